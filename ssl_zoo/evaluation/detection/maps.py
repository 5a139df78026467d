"""A timm model as torchvision's detectors take a backbone: images to named feature maps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from timm.models import FeatureHooks
from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from ssl_zoo.evaluation.detection.stages import Stage

__all__ = ["Maps"]


class Maps(nn.Module):
    """The maps of some stages, named "0", "1", ..., with or without a feature pyramid on them.

    Hooks see the maps while the model runs as it always does: nothing of it is rebuilt. The maps leave as
    float32 whatever they were computed in: in bf16 torchvision would round a box at 800 pixels to a multiple of 4.

    Args:
        body: a timm model.
        stages: those whose maps are wanted, of rising stride; one without a pyramid.
        pyramid: channels of the pyramid, which adds the map "pool" of half the last one's size; 0: none.
        dtype: what autocast computes in; None: float32.

    - [0] Feature Pyramid Networks, 2017, https://arxiv.org/abs/1612.03144
    """

    def __init__(
        self, body: nn.Module, stages: Sequence[Stage], pyramid: int, dtype: torch.dtype | None
    ) -> None:
        super().__init__()
        assert pyramid or len(stages) == 1
        self.body = body.to(memory_format=torch.channels_last)
        self.names = [stage.module for stage in stages]
        self.hooks = FeatureHooks([stage.hook for stage in stages], body.named_modules())
        self.dtype = dtype
        self.fpn: nn.Module | None = None
        if pyramid:
            channels = [stage.channels for stage in stages]
            self.fpn = FeaturePyramidNetwork(channels, pyramid, extra_blocks=LastLevelMaxPool())
        self.out_channels = pyramid or stages[0].channels  # torchvision asks for it by this name

    def forward(self, images: Tensor) -> OrderedDict[str, Tensor]:
        """Images (N, 3, H, W), normalised, to maps (N, C, H / stride, W / stride) float32."""
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype is not None):
            self.body(images.contiguous(memory_format=torch.channels_last))
            hooked: Mapping[str, Tensor] = self.hooks.get_output(images.device)
            maps = OrderedDict((str(i), hooked[name]) for i, name in enumerate(self.names))
            if self.fpn is not None:
                maps = self.fpn(maps)
        return OrderedDict((name, x.float()) for name, x in maps.items())
