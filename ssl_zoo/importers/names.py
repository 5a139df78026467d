"""Names of weights in timm's words. Most programs build torchvision's ResNets, whose names timm shares.

- [0] `nn.Sequential(*list(resnet.children())[:-1])`, as lightly's examples and BYOL-PyTorch keep a ResNet
- [1] torchvision's transformers, https://github.com/pytorch/vision (torchvision/models/vision_transformer.py)
- [2] EfficientNet-PyTorch's names, https://github.com/lukemelas/EfficientNet-PyTorch
- [3] SimCLRv2-Pytorch's names, https://github.com/Separius/SimCLRv2-Pytorch (resnet.py)
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ssl_zoo.importers.formats import Shapes

__all__ = ["timm_names"]


def timm_names(shapes: Shapes) -> dict[str, str]:
    """Returns timm's name of each weight; the same name where none is known.

    Args:
        shapes: of an encoder's weights, by their names without the encoder's prefix.
    """
    for mark, translate in STYLES.items():
        if mark in shapes:
            return translate(shapes)
    return {name: name for name in shapes}


def _substituted(shapes: Shapes, *rules: tuple[str, str]) -> dict[str, str]:
    """Applies regular expressions in order."""
    names = {}
    for name in shapes:
        timm_name = name
        for pattern, replacement in rules:
            timm_name = re.sub(pattern, replacement, timm_name)
        names[name] = timm_name
    return names


def _children(shapes: Shapes) -> dict[str, str]:
    """A ResNet's children by number: convolution, BN, (ReLU, max-pool), four stages."""
    parts = {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}
    return {
        name: ".".join([parts.get(first, first), rest])
        for name in shapes
        for first, _, rest in [name.partition(".")]
    }


def _torchvision_vit(shapes: Shapes) -> dict[str, str]:
    return _substituted(
        shapes,
        (r"^class_token$", "cls_token"),
        (r"^conv_proj\.", "patch_embed.proj."),
        (r"^encoder\.pos_embedding$", "pos_embed"),
        (r"^encoder\.layers\.encoder_layer_", "blocks."),
        (r"^encoder\.ln\.", "norm."),
        (r"\.ln_(\d)\.", r".norm\1."),
        (r"\.self_attention\.in_proj_", ".attn.qkv."),
        (r"\.self_attention\.out_proj\.", ".attn.proj."),
        (r"\.mlp\.(0|linear_1)\.", ".mlp.fc1."),
        (r"\.mlp\.(3|linear_2)\.", ".mlp.fc2."),
    )


def _efficientnet(shapes: Shapes) -> dict[str, str]:
    """Blocks are numbered through; in timm a stage is the blocks of one width.

    A block without expansion has two convolutions and BNs, numbered from _bn1; timm numbers from bn1 in each.
    """
    stages, width, names = list[int](), 0, {}
    numbers = sorted({int(name.split(".")[1]) for name in shapes if name.startswith("_blocks.")})
    for number in numbers:
        here = shapes.get(f"_blocks.{number}._project_conv.weight", (0,))[0]
        stages, width = [*stages, 0] if here != width else [*stages[:-1], stages[-1] + 1], here
        before, expands = f"_blocks.{number}.", f"_blocks.{number}._expand_conv.weight" in shapes
        for name in (name for name in shapes if name.startswith(before)):
            part, _, rest = name.removeprefix(before).partition(".")
            part = _block_part(part, expands)
            names[name] = f"blocks.{len(stages) - 1}.{stages[-1]}.{part}.{rest}"
    whole = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
    for name in (name for name in shapes if name not in names):
        part, _, rest = name.partition(".")
        names[name] = f"{whole.get(part, part)}.{rest}"
    return names


def _block_part(part: str, expands: bool) -> str:
    if (number := re.fullmatch(r"_bn(\d)", part)) is not None:
        return f"bn{int(number[1]) + expands}"
    return {
        "_expand_conv": "conv_pw",
        "_depthwise_conv": "conv_dw",
        "_se_reduce": "se.conv_reduce",
        "_se_expand": "se.conv_expand",
        "_project_conv": "conv_pwl" if expands else "conv_pw",
    }.get(part, part)


def _simclr_v2(shapes: Shapes) -> dict[str, str]:
    return _substituted(
        shapes,
        (r"^net\.0\.0\.", "conv1."),
        (r"^net\.0\.1\.0\.", "bn1."),
        (r"^net\.(\d)\.blocks\.", r"layer\1."),
        (r"\.projection\.shortcut\.", ".downsample.0."),
        (r"\.projection\.bn\.0\.", ".downsample.1."),
        (r"\.net\.0\.", ".conv1."),
        (r"\.net\.1\.0\.", ".bn1."),
        (r"\.net\.2\.", ".conv2."),
        (r"\.net\.3\.0\.", ".bn2."),
        (r"\.net\.4\.", ".conv3."),
        (r"\.net\.5\.0\.", ".bn3."),
    )


STYLES: dict[str, Callable[[Shapes], dict[str, str]]] = {  # by a name that has just one meaning
    "4.0.conv1.weight": _children,
    "conv_proj.weight": _torchvision_vit,
    "_conv_stem.weight": _efficientnet,
    "net.1.blocks.0.net.0.weight": _simclr_v2,
}
