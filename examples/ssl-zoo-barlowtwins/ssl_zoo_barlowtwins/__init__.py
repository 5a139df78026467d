"""Barlow Twins: the cross-correlation of the two views' embeddings should be the identity.

    c_ij = corr over the batch of (z1)_i and (z2)_j
    L = sum over i of (1 - c_ii)^2  +  lambda * sum over i != j of c_ij^2

No pair of views stands in this loss, so it is no point of ssl-zoo's grid: `loss` is written out here, by
lightly's `BarlowTwinsLoss`. Encoder, views, trainer, monitors and verdict are ssl-zoo's.

- [0] Barlow Twins, 2021, https://arxiv.org/abs/2103.03230 (Algorithm 1)
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from lightly.loss import BarlowTwinsLoss
from pydantic import Field
from torch import Tensor, nn

from ssl_zoo import LossOutput, Method, MethodConfig, register, section


@section
class BarlowTwinsConfig(MethodConfig):
    """What `method.` may say besides the projector."""

    lambda_param: Annotated[float, Field(gt=0)] = 5e-3  # the paper's
    loss_scale: Annotated[float, Field(gt=0)] = 1.0


@register("barlowtwins", config=BarlowTwinsConfig)
class BarlowTwins(Method):
    """Barlow Twins (Zbontar et al., 2021): decorrelates the channels of the embedding."""

    def __init__(self, config: BarlowTwinsConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.criterion = BarlowTwinsLoss(lambda_param=config.lambda_param)
        self.loss_scale = config.loss_scale

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """The two views (N, C, H, W) to the loss."""
        z1, z2 = (self.encoder(view) for view in views)  # (N, D) each
        with torch.autocast(z1.device.type, enabled=False):
            return LossOutput(loss=self.loss_scale * self.criterion(z1.float(), z2.float()))
