"""Supervised: a classifier on the backbone, the upper line that methods without labels are compared with.

    L = cross-entropy( W f(x) + b, y )        f: backbone, and projector if there is one; the mean over all views

Off the grid, and the one method that asks for labels: those of all training images, of which the n-th is that of the
n-th image. One view of an image is enough, and made unless `augment.views` says otherwise. Monitors, verdict and
evaluation see the encoder alone, as of any method: the accuracies of a run are those of the same linear probe and kNN.

The settings are of [1], which SimCLR [0] compares with such networks in Table 1 and SimSiam in Table 5: a rate of 0.1
per 256 images, no weight decay of BN, W of N(0, 0.01^2). Deviations: a cosine in place of steps, as in the other
methods, and 100 epochs for their 90.

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709
- [1] Goyal et al., 2017, https://arxiv.org/abs/1706.02677 (Sec. 5.1)
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssl_zoo.config.registries import register
from ssl_zoo.config.schema import LabelsConfig
from ssl_zoo.method import LossOutput, Method


@register("supervised", config=LabelsConfig)
class Supervised(Method):
    """Cross-entropy of the labels: a reference for methods without them (SimCLR, Table 1; SimSiam, Table 5)."""

    needs_labels = True
    labels: Tensor  # (images,)

    def __init__(self, config: LabelsConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.label_smoothing = config.label_smoothing
        self.classifier: nn.Linear | None = None  # as wide as the data has classes
        self.register_buffer("labels", torch.empty(0, dtype=torch.int64), persistent=False)

    def take_labels(self, labels: Tensor, classes: int) -> None:
        """Keeps the labels, and makes the classifier."""
        self.labels = labels.to(self.labels.device)
        self.classifier = nn.Linear(self.embedding_dim, classes, device=self.labels.device)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """The views (N, C, H, W), V of them, to the mean over views and images of this process."""
        if self.classifier is None:
            raise RuntimeError(
                "a classifier needs labels and has none; call method.take_labels(labels, classes) first"
            )
        z = self.encoder(views)  # (V N, D)
        y = self.labels[index].repeat(len(views))  # (V N,)
        with torch.autocast(z.device.type, enabled=False):
            return LossOutput(
                cross_entropy(self.classifier(z.float()), y, label_smoothing=self.label_smoothing)
            )
