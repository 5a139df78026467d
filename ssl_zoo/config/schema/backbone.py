"""The block `backbone`."""

from __future__ import annotations

from typing import Literal

from ssl_zoo.config.schema.types import Width, section


@section
class BackboneConfig:
    """A timm model without its classifier."""

    name: str = "resnet50"
    """Name of a timm model; `ssl-zoo list backbones` has them."""
    stem: Literal["standard", "small"] = "standard"
    """The first layers of a ResNet. small: 3x3 convolution of stride 1 without max-pool, for small images."""
    pretrained: bool = False
    """Whether timm's weights are the start; they are downloaded."""
    zero_init_last: bool = True
    """Whether the scale of the last BN of each residual block starts at 0, where the model has one."""
    freeze_patch_embedding: bool = False
    """Whether a transformer's patch embedding stays as it is initialised: MoCo v3 trains more steadily with it."""
    num_heads: Width | None = None
    """Attention heads in each layer of a plain transformer. null: the model's own. MoCo v3's ViT-S has 12 and timm's 6,
    with weights of the same shapes."""

    def __post_init__(self) -> None:
        if self.pretrained and self.num_heads is not None:
            raise ValueError(
                "backbone.pretrained=true takes weights that were trained with the model's own attention heads; "
                f"received backbone.num_heads={self.num_heads} as well; leave out one"
            )
