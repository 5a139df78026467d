"""Barlow Twins: the cross-correlation of the two views' embeddings should be the identity.

    c_ij = corr over the batch of (z1)_i and (z2)_j
    L = sum over i of (1 - c_ii)^2  +  lambda * sum over i != j of c_ij^2

No pair of views stands in this loss, so it is no point of ssl-zoo's grid: `loss` is written out here, by
lightly's `BarlowTwinsLoss`. Encoder, views, trainer, monitors and verdict are ssl-zoo's.

Mean, variance and correlation are over the whole batch, so both embeddings are gathered from all processes.
lightly's `gather_distributed` would sum correlations that each process has normalised by its own part. BN in
the projector is synchronised by `method.batch_norm: sync`, the default.

- [0] Barlow Twins, 2021, https://arxiv.org/abs/2103.03230 (Algorithm 1)
"""

from collections.abc import Sequence
from typing import Annotated

import torch
from lightly.loss import BarlowTwinsLoss
from pydantic import Field
from torch import Tensor, nn

from ssl_zoo import LossOutput, Method, MethodConfig, gather, register, section


@section
class BarlowTwinsConfig(MethodConfig):
    """The keys that `method.` takes, besides the projector."""

    lambda_param: Annotated[float, Field(gt=0)] = 5e-3
    """Weight of the redundancy term, the paper's."""
    loss_scale: Annotated[float, Field(gt=0)] = 1.0
    """Multiplies the loss."""


@register("barlowtwins", config=BarlowTwinsConfig)
class BarlowTwins(Method):
    """Barlow Twins (Zbontar et al., 2021): decorrelates the channels of the embedding."""

    def __init__(self, config: BarlowTwinsConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.criterion = BarlowTwinsLoss(lambda_param=config.lambda_param)
        self.loss_scale = config.loss_scale

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """The two views (N, C, H, W) to the loss over the images of all processes."""
        z1, z2 = (self.encoder(view) for view in views)  # (N, D) each
        with torch.autocast(z1.device.type, enabled=False):
            z1, z2 = gather(z1.float()), gather(z2.float())  # (world size * N, D) each
            return LossOutput(loss=self.loss_scale * self.criterion(z1, z2))
