"""Joint embedding: any of lightly's losses over the embeddings of two views.

    z_1, z_2 = g(f(x_1)), g(f(x_2))       f: backbone, g: projector; one encoder, each view encoded by itself
    L = criterion(z_1, z_2)               over the images of all processes

Off the grid: no stop-gradient, no predictor, no momentum encoder; whether a loss is symmetric is its own affair.
`method.criterion` names the loss and holds its arguments, `method.criterion={name: TiCoLoss, rho: 8}`. VICReg [0] and
DCL [1] have YAML files of their own with their papers' settings: `method=vicreg`, `method=dcl`.

Both sides are gathered from all processes before the loss, which then computes the same over the whole batch in each.
A loss's own `gather_distributed` stays off: it would gather a second time, and not everything (a process keeps the
invariance of its own images in VICReg, the weights of its own images in DCLW; MACL has none).

- [0] VICReg, 2021, https://arxiv.org/abs/2105.04906
- [1] DCL, 2021, https://arxiv.org/abs/2110.06848
- [2] lightly, https://docs.lightly.ai/self-supervised-learning/lightly.loss.html
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_zoo.config.registries import register
from ssl_zoo.config.schema import JointEmbeddingConfig
from ssl_zoo.distributed import gather
from ssl_zoo.method import LossOutput, Method
from ssl_zoo.parts.criterion import Criterion
from ssl_zoo.parts.schedule import Progress


@register("joint_embedding", config=JointEmbeddingConfig)
class JointEmbedding(Method):
    """Any of lightly's losses over two embeddings (VICReg, DCL, Barlow Twins, TiCo …): `method.criterion`."""

    def __init__(self, config: JointEmbeddingConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.criterion = Criterion(config.criterion, self.embedding_dim)
        self.loss_scale = config.loss_scale

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """The two views (N, C, H, W) to the loss over the images of all processes."""
        z1, z2 = (self.encoder(view) for view in views)  # (N, D) each
        with torch.autocast(z1.device.type, enabled=False):
            z1, z2 = gather(z1.float()), gather(z2.float())  # (world size * N, D) each
            return LossOutput(loss=self.loss_scale * self.criterion(z1, z2))

    def after_step(self, progress: Progress) -> None:
        """Moves what the loss keeps from step to step."""
        self.criterion.update()
