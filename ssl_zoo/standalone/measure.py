"""Figures of embeddings, of one process or as a mean over several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_zoo.distributed import from_all
from ssl_zoo.errors import UserError
from ssl_zoo.metrics import Embeddings, computed, measure_embeddings
from ssl_zoo.monitors.evidence import is_finite
from ssl_zoo.monitors.learning import Distances
from ssl_zoo.standalone.watch import Watch

__all__ = ["Losses", "Measured", "measure", "measure_views"]


class Losses:
    """Mean of the losses of an epoch, without those that are not finite unless the last is one.

    A step whose loss was not finite may have been left out, as gradient scalers do, and the training be sound.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begins an epoch."""
        self._sum: Tensor | float = 0.0
        self._count: Tensor | int = 0
        self._last: Tensor | None = None

    def add(self, loss: Tensor) -> None:
        """Adds the loss of a step, on its device: nothing waits for a GPU here."""
        self._last = loss.detach().float().mean()
        finite = self._last.isfinite()
        self._sum = self._sum + torch.where(finite, self._last, 0.0)
        self._count = self._count + finite

    @property
    def mean(self) -> float | None:
        """The mean; None: no loss was seen."""
        if self._last is None:
            return None
        last = float(self._last)
        return float(self._sum) / float(self._count) if math.isfinite(last) else last


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Metrics of embeddings, and what a verdict needs besides."""

    metrics: dict[str, float]
    distances: Distances | None  # of this process's images; None: one view, or not finite
    images: int  # N that were measured together
    width: int  # D
    loss: float | None
    weights_finite: bool = True


def measure_views(views: Sequence[Embeddings]) -> dict[str, float]:
    """Measures the embeddings of two views, or of one, without the metrics that compare two."""
    values = measure_embeddings(views[0], views[-1])
    if len(views) == 2:
        return values
    return {key: value for key, value in values.items() if computed()[key].views == 1}


def measure(watch: Watch, losses: Losses, network: nn.Module) -> Measured | None:
    """Measures what a watch keeps. Of several processes each measures its own images; the figures are their means.

    All processes must call it. What they return is equal but for the distances.

    Args:
        watch: of the training steps.
        losses: of the steps so far.
        network: whose weights should be finite.

    Returns:
        The figures; None: a process has seen no step since the last time.

    Raises:
        UserError: there are no two images to compare, in any process.
    """
    kept = watch.groups()
    groups = [group for group in kept if len(group[0].z) > 1]
    each_process = from_all((bool(kept), [(len(g[0].z), measure_views(g)) for g in groups]))
    if not all(some for some, _ in each_process):
        return None
    figures = [each for _, mine in each_process for each in mine]
    if not all(mine for _, mine in each_process):
        raise UserError(
            "CollapseMonitor compares the images of a batch; received batches of one image; set a larger batch_size"
        )
    rows = sum(count for count, _ in figures)
    keys = [key for key in figures[0][1] if all(key in values for _, values in figures)]
    metrics = {key: sum(count * values[key] for count, values in figures) / rows for key in keys}
    known = [each for each in from_all(losses.mean) if each is not None]
    return Measured(
        metrics=metrics,
        distances=_distances(groups) if is_finite(metrics) else None,
        images=min(count for count, _ in figures),
        width=groups[0][0].z.shape[1],
        loss=sum(known) / len(known) if known else None,
        weights_finite=all(from_all(all(bool(p.isfinite().all()) for p in network.parameters()))),
    )


def _distances(groups: list[list[Embeddings]]) -> Distances | None:
    """Returns the distances of this process's images, each from the centre of its own group."""
    if len(groups[0]) < 2:
        return None
    each = [Distances.between(first.z, second.z) for first, second in groups]
    return Distances(torch.cat([d.views for d in each]), torch.cat([d.center for d in each]))
