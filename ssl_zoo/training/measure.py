"""Measures an encoder: kNN and the metrics of its embeddings during training, the linear probe at its end.

Always in evaluation mode and in float32, whatever the training precision, so that rounding neither hides
nor makes a collapse. Where training is in bf16 a forward pass in float32 costs as much as training on a view or
more, so kNN, which sees many images, is measured seldom; see `knn_every`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, Split, skipping
from ssl_zoo.data.sampling import random_subset
from ssl_zoo.errors import UserError
from ssl_zoo.features import each_batch, evaluating, images_at_once
from ssl_zoo.hardware.device import Hardware
from ssl_zoo.method import Method
from ssl_zoo.metrics import Embeddings, measure_embeddings
from ssl_zoo.monitors.knn import usual_k
from ssl_zoo.monitors.learning import Distances
from ssl_zoo.monitors.probe import probe_protocol
from ssl_zoo.training.fixed_views import FixedViews
from ssl_zoo.training.measurement import Labelled, Measurement, Scores, score_features
from ssl_zoo.training.shared import Shared, fingerprint

__all__ = ["Evaluator"]

PIXEL_SIDE = 32  # the pixel baseline sees images of at most this side
KNN_FRACTION = 0.02  # of the time of training, for kNN
VIEW_COST = {"fp32": 3.0, "bf16": 0.75, "fp16": 0.75}  # of training on a view, in forward passes in float32


class Evaluator:
    """Measures encoders on fixed images.

    Args:
        config: the run's configuration.
        data: its images.
        hardware: where the encoder is, and the precision it is trained in.
        shared: what earlier runs of this process have measured; None: nothing.

    Raises:
        UserError: `monitor.knn.k` is larger than the labelled training set.
    """

    def __init__(
        self, config: RunConfig, data: Data, hardware: Hardware, shared: Shared | None = None
    ) -> None:
        self.config = config
        self.shared = Shared() if shared is None else shared
        self.data = data
        self.hardware = hardware._replace(precision="fp32")
        self.device = hardware.device
        self.precision = hardware.precision
        self.test = data.test
        self.labelled = (
            None
            if data.labelled is None
            else random_subset(data.labelled, config.monitor.labelled_samples, seed=0)
        )
        self.scored = self.labelled is not None and self.test is not None
        size = 0 if self.labelled is None else len(self.labelled)
        self.k = config.monitor.knn.k or usual_k(size)
        probe = config.monitor.probe
        # Where no class has more labels than a draw takes, every draw is the same.
        self.draws = 1 if self.scored and self._labels_of(max) <= probe.labels_per_class else probe.draws
        if self.scored and self.k > size:
            raise UserError(
                f"monitor.knn.k must be at most the number of labelled training images, {size}; received {self.k}; "
                f"set monitor.knn.k={max(1, size // 10)}"
            )
        self.views = FixedViews(config, data.train, self.device)
        self.classes = _classes_seen(self.views.images, data.classes)

    def measure(self, method: Method, *, knn: bool = True, probe: bool = True) -> Measurement:
        """Measures the embeddings of two views, and kNN and the linear probe on the backbone's features."""
        with evaluating(method):
            embedded = self._embed_two_views(method)
            diagnostics = measure_embeddings(*(_with_predictions(method, z) for z in embedded))
            finite = math.isfinite(diagnostics["center_ratio"])
            distances = Distances.between(*embedded) if finite else None
            if not (self.scored and (knn or probe)):
                return Measurement(diagnostics, Scores(), distances)
            size, backbone = self.config.augment.size, method.encoder.backbone
            labelled, test = (
                self._each(split, size, lambda x: backbone(x).float()) for split in self._splits()
            )
            k, draws = self.k if knn else None, self.draws if probe else None
            scores = score_features(labelled, test, self.config.monitor, k=k, draws=draws)
            return Measurement(diagnostics, scores, distances)

    def estimate_energy(self, method: Method) -> float:
        """Estimates the residual energy 1 - m_o^2 of the embeddings from a few images; nan where one is not finite.

        Without bias: the mean of n unit vectors has E|o|^2 = m_o^2 + (1 - m_o^2) / n.
        """
        with evaluating(method):
            view = Embeddings(method.encoder.forward(self.views.few).float())
            n = len(view.z)
            return float(1 - view.center.square().sum()) * n / (n - 1)

    def measure_untrained(self, method: Method, *, scores: bool = True) -> Measurement:
        """Measures a method before its training; once for all runs of this process that begin with equal encoders."""
        key = ("untrained", self._settings, repr(scores), fingerprint(method.encoder))
        return self.shared.once(key, lambda: self.measure(method, knn=scores, probe=scores))

    def pixel_scores(self) -> Scores:
        """Measures kNN and the linear probe on raw pixels, at most 32 x 32; once for all runs of this process."""
        if not self.scored:
            return Scores()
        settings = (self._pixel_side, self.config.monitor, self.device, torch.get_num_threads())
        return self.shared.once(("pixels", repr(settings)), self._score_pixels)

    @property
    def _settings(self) -> str:
        """All but images and weights that an encoder's measurement depends on, and more of the trainer's."""
        config = self.config
        return repr(
            (config.augment, config.monitor, config.backbone, config.trainer, torch.get_num_threads())
        )

    @property
    def _pixel_side(self) -> int:
        return min(self.config.augment.size, PIXEL_SIDE)

    def _score_pixels(self) -> Scores:
        labelled, test = (
            self._each(split, self._pixel_side, lambda x: x.flatten(1)) for split in self._splits()
        )
        return score_features(labelled, test, self.config.monitor, k=self.k, draws=self.draws)

    @property
    def knn_every(self) -> int:
        """Measurements from one kNN to the next: `monitor.knn.every_measurements`, or as few as its cost allows."""
        monitor = self.config.monitor
        if monitor.knn.every_measurements is not None or not self.scored:
            return monitor.knn.every_measurements or 1
        images = sum(len(split) for split in self._splits())
        # All processes wait for a measurement.
        epochs = monitor.every_epochs / self.config.trainer.processes
        training = VIEW_COST[self.precision] * len(self.data.train) * len(self.config.views) * epochs
        return math.ceil(images / (KNN_FRACTION * training))

    @property
    def knn_protocol(self) -> str | None:
        """The kNN protocol in words, with its labelled training set; None without labels."""
        if not self.scored:
            return None
        assert self.data.labelled is not None
        used, labelled = len(self._splits()[0]), len(self.data.labelled)
        images = (
            f"{used:,} of {labelled:,} images, a fixed random part" if used < labelled else f"{used:,} images"
        )
        return (
            f"weighted kNN on the backbone's features, k={self.k}, T={self.config.monitor.knn.temperature:g}, "
            f"labelled training set of {images}"
        )

    @property
    def linear_protocol(self) -> str | None:
        """The linear probe's protocol in words; None without labels."""
        if not self.scored:
            return None
        per_class = self.config.monitor.probe.labels_per_class
        fewer = f" (all where a class has fewer; at least {self._labels_of(min)})"
        return probe_protocol(per_class, self.draws) + (fewer if self._labels_of(min) < per_class else "")

    def _labels_of(self, extreme: Callable[[list[int]], int]) -> int:
        """Returns the number of labels of the largest or smallest class."""
        labels = self._splits()[0].labels
        assert labels is not None
        return extreme(torch.bincount(labels).tolist())

    def _splits(self) -> tuple[Split, Split]:
        assert self.labelled is not None
        assert self.test is not None
        return self.labelled, self.test

    def _each(self, split: Split, size: int, transform: Callable[[Tensor], Tensor]) -> Labelled:
        """Applies a transform to the readable images of a split, batch by batch; with their labels."""
        assert split.labels is not None
        images = skipping(split)
        features, readable, count = [], [], 0
        data = self.config.data
        for batch in each_batch(transform, images, size, data.mean, data.std, self.hardware):
            features.append(batch)
            readable += [count + row for row in range(len(batch)) if row not in images.faults]
            count += len(batch)
        if len(readable) == count:
            return Labelled(torch.cat(features), split.labels)
        return Labelled(torch.cat(features)[readable], split.labels[readable])

    def _embed_two_views(self, method: Method) -> tuple[Tensor, Tensor]:
        embedded: tuple[list[Tensor], list[Tensor]] = ([], [])
        for views in self.views.pairs():
            for z, view in zip(embedded, views, strict=True):
                for part in torch.split(view, images_at_once(self.device)):
                    # Without torch.compile, for another precision.
                    z.append(method.encoder.forward(part).float())
        return torch.cat(embedded[0]), torch.cat(embedded[1])  # (N, D) each


def _with_predictions(method: Method, z: Tensor) -> Embeddings:
    """Returns embeddings (N, D) with what the method's predictor and its inverse make of them, where it has them."""
    p = method.predict(z)
    return Embeddings(z, p, method.predictor_weight(), None if p is None else method.recover(p))


def _classes_seen(split: Split, classes: Sequence[str] | None) -> int | None:
    """Returns the number of classes among some images, which may lack rare ones; all where that is not known."""
    if classes is None or split.labels is None or bool((split.labels < 0).any()):
        return None if classes is None else len(classes)
    return len(torch.unique(split.labels))
