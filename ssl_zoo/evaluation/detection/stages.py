"""The stages of a timm model: which module gives which feature map, and which weights come before it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from timm.models import FeatureHooks
from torch import Tensor, nn

from ssl_zoo.errors import UserError

__all__ = ["Stage", "find_stages", "modules_by_stage", "usable_stages"]

PROBE = (128, 192)  # pixels: not square, and a multiple of the strides there are


class Stage(NamedTuple):
    """A module of a backbone whose output is a feature map."""

    module: str  # its name in the backbone
    channels: int
    stride: int  # pixels of the image per pixel of the map
    hook: dict[str, Any]  # as timm's FeatureHooks takes it


def find_stages(backbone: nn.Module, title: str) -> tuple[Stage, ...]:
    """The stages that timm lists for a model, with the strides that are seen, not those that timm expects: a
    small stem changes them.

    Args:
        backbone: a timm model, images (N, 3, H, W) of any size.
        title: of the model, for the message.

    Raises:
        UserError: the model takes images of one size only, or gives no maps (N, C, H / stride, W / stride).
    """
    info = getattr(backbone, "feature_info", None)
    rule = "detection needs a backbone that takes images of any size and gives feature maps (N, C, H, W)"
    fix = "evaluate a convolutional network, for instance backbone.name=resnet50"
    if not info:
        raise UserError(f"{rule}; timm lists none for '{title}'; {fix}")
    hooks = [dict(info[i]) for i in range(len(info))]
    collected = FeatureHooks(hooks, backbone.named_modules())
    parameter = next(backbone.parameters())
    was_training = backbone.training
    try:
        with torch.no_grad():
            backbone.eval()(torch.zeros(1, 3, *PROBE, device=parameter.device))
        maps: Mapping[str, Tensor] = collected.get_output(parameter.device)
    except (AssertionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"{rule}; '{title}' refuses one of {PROBE[0]} x {PROBE[1]} pixels: {str(error).splitlines()[0]}; {fix}"
        ) from error
    finally:
        backbone.train(was_training)
        for handle in collected._handles:
            handle.remove()
    stages = []
    for hook in hooks:
        shape = tuple(maps[hook["module"]].shape)
        stride = PROBE[0] // shape[2] if len(shape) == 4 else 0
        if stride == 0 or shape[1:] != (hook["num_chs"], PROBE[0] // stride, PROBE[1] // stride):
            raise UserError(f"{rule}; '{hook['module']}' of '{title}' gives {shape}; {fix}")
        if stride & (stride - 1):
            raise UserError(f"{rule} of strides 1, 2, 4 ...; that of '{title}' is {stride}; {fix}")
        stages.append(Stage(hook["module"], shape[1], stride, hook))
    return tuple(stages)


def usable_stages(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """The deepest stage of each stride, four at most: those that a feature pyramid stands on."""
    deepest = {stage.stride: stage for stage in stages}
    return tuple(sorted(deepest.values(), key=lambda stage: stage.stride))[-4:]


def modules_by_stage(backbone: nn.Module, stages: tuple[Stage, ...]) -> tuple[tuple[nn.Module, ...], ...]:
    """The modules that hold weights of their own, in `len(stages) + 1` groups: up to the output of the first
    stage, of the second, ..., and those behind the last.

    As timm's own feature extraction it takes modules to be registered in the order of their use.
    """
    names = [name for name, _ in backbone.named_modules()]
    ends = [
        max(i for i, name in enumerate(names) if name == stage.module or name.startswith(stage.module + "."))
        for stage in stages
    ]
    groups: list[list[nn.Module]] = [[] for _ in range(len(stages) + 1)]
    for position, module in enumerate(backbone.modules()):
        held = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        if held:
            groups[sum(position > end for end in ends)].append(module)
    return tuple(map(tuple, groups))
