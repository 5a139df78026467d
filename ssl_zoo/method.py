"""Base of all methods: an encoder and a loss over views, independent of trainer and command line."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import MethodConfig
from ssl_zoo.parts.heads import build_projector
from ssl_zoo.parts.schedule import Progress

__all__ = ["Encoder", "LossOutput", "Method"]


@dataclass(frozen=True)
class LossOutput:
    """Result of `Method.loss`: the scalar to minimise, in float32."""

    loss: Tensor


class Encoder(nn.Module):
    """Backbone and projector: z = g(f(x)).

    Args:
        backbone: maps images (N, C, H, W) to features (N, num_features).
        projector: maps features (N, num_features) to embeddings (N, D).
    """

    def __init__(self, backbone: nn.Module, projector: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = projector

    def forward(self, x: Tensor | Sequence[Tensor]) -> Tensor:
        """Maps images (N, C, H, W) to embeddings (N, D); batches of several sizes are joined before the projector."""
        batches = [x] if isinstance(x, Tensor) else x
        z: Tensor = self.projector(torch.cat([self.backbone(batch) for batch in batches]))
        return z


class Method(nn.Module, ABC):
    """Encoder and loss. A method outside the grid implements `loss` alone.

    Args:
        config: the method's own configuration.
        backbone: maps images (N, C, H, W) to features (N, num_features).
        num_features: width of the backbone's output.

    Attributes:
        needs_labels: whether the method asks for the labels of the training images, by `take_labels`.
    """

    needs_labels: ClassVar[bool] = False

    def __init__(self, config: MethodConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__()
        self.encoder = Encoder(backbone, build_projector(config.projector, num_features))
        self._projector_lr = config.projector.lr_multiplier
        self.embedding_dim = config.projector.output_dim if config.projector.layers else num_features

    @abstractmethod
    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """Computes the loss of a batch, or of this process's part of it.

        Over several processes DDP averages the gradients. For a mean over images that is the whole batch's
        gradient. A loss that couples the images of a batch (negatives, a mean, variance or correlation over the
        batch) takes what it couples them with from `ssl_zoo.gather`, which has the rule. All BN of the method is
        synchronised by `method.batch_norm: sync`, the default.

        Args:
            views: one tensor (N, C, H, W) per view; the n-th images of all views show the same image.
            index: (N,), the position of each image in the training set.
        """

    def predict(self, z: Tensor) -> Tensor | None:
        """Maps embeddings (N, D) to the predictor's outputs (N, D), for the diagnostics; None without one."""
        return None

    def recover(self, p: Tensor) -> Tensor | None:
        """Maps predictions (N, D) back to embeddings (N, D), for the diagnostics; None without an inverse predictor."""
        return None

    def predictor_weight(self) -> Tensor | None:
        """Returns the weight (D, D) of a linear predictor, for the diagnostics; None where there is none."""
        return None

    def constant_lr_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the parameters whose learning rate the schedule leaves at its peak."""
        return ()

    def lr_multipliers(self) -> Iterable[tuple[nn.Module, float]]:
        """Returns modules whose learning rate is a multiple of the optimizer's, with the factor."""
        return ((self.encoder.projector, self._projector_lr),)

    def weight_decays(self) -> Iterable[tuple[nn.Module, float]]:
        """Returns modules whose weight decay is not the optimizer's, with their own."""
        return ()

    def allocate(self, images: int) -> None:
        """Called once before training with the number of training images, for state that is kept per image."""

    def take_labels(self, labels: Tensor, classes: int) -> None:
        """Called once before training, after `allocate`, if the method asks for labels; no other gets them.

        Args:
            labels: (images,) int64, the class of each training image, which `index` in `loss` points into.
            classes: how many there are.
        """

    def before_step(self, progress: Progress) -> None:
        """Called before the first forward pass of each optimizer step."""

    def after_backward(self, progress: Progress) -> None:
        """Called when the gradients of an optimizer step are complete, before they are applied."""

    def after_step(self, progress: Progress) -> None:
        """Called after each optimizer step, once however many batches were accumulated."""
