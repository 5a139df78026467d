"""The timm model that weights belong to: named by the user or found by shapes, then compared weight by weight."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import timm
import torch

from ssl_zoo.backbone import check_num_heads
from ssl_zoo.errors import UserError, suggest
from ssl_zoo.exporters.torchvision_resnet import torchvision_names
from ssl_zoo.importers.formats import Shapes

__all__ = ["Architecture", "find_architecture"]

WIDTHS = {192: "tiny", 384: "small", 768: "base", 1024: "large", 1280: "huge"}  # timm's names of transformers
EFFICIENTNETS = ("tf_efficientnet_lite{}", "tf_efficientnet_b{}")
COUNTER = "num_batches_tracked"  # of BN: absent in old files, and read by no evaluation
SHOWN = 6  # weights in a message


class Architecture(NamedTuple):
    """A timm model without its classifier."""

    name: str
    stem: str  # standard or small
    size: int | None  # pixels, where the weights are for one size of images; None: any
    shapes: Shapes  # of its weights


def find_architecture(
    shapes: Shapes,
    name: str | None,
    stem: str | None,
    size: int | None = None,
    num_heads: int | None = None,
) -> Architecture:
    """Returns the model whose weights have these names and shapes, each of them.

    Args:
        shapes: of the encoder's weights, by timm's names.
        name: the model that the user names; None: it is looked for.
        stem: standard or small, as the user says; None: standard.
        size: of the images, as the user says, where the weights do not say it; None: the model's default.
        num_heads: attention heads of a transformer; None: the model's own.

    Raises:
        UserError: there is no such model, it cannot have that number of heads, or the weights are not those of it.
    """
    size = _size_of(shapes) or size
    if name is not None:
        if not timm.is_model(name.partition(".")[0]):
            known = timm.list_models()
            raise UserError(
                f"unknown backbone '{name}'; timm has {len(known)} models"
                f"{suggest(name, known) or ', see ssl-zoo list backbones'}"
            )
        found = _architecture(name, stem or "standard", size, num_heads)
        if wrong := _differences(found.shapes, shapes):
            raise _unfitting(found, wrong, shapes, "")
        return found
    tried = list[tuple[Architecture, list[str]]]()
    for candidate in _candidates(shapes):
        found = _architecture(candidate, stem or "standard", size, num_heads)
        wrong = _differences(found.shapes, shapes)
        if not wrong:
            return found
        tried.append((found, wrong))
    if tried:
        nearest, wrong = min(tried, key=lambda each: len(each[1]))
        others = ", the nearest of " + ", ".join(each.name for each, _ in tried) if len(tried) > 1 else ""
        raise _unfitting(nearest, wrong, shapes, others)
    first = [f"{key} {tuple(shape)}" for key, shape in list(shapes.items())[:3]]
    raise UserError(
        "the encoder's model must be known by the shapes of its weights, as a ResNet, a plain transformer or an "
        f"EfficientNet is; received {len(shapes)} weights, {', '.join(first)} …; name a model of timm with "
        "backbone.name= (with format=timm, of any kind)"
    )


def _candidates(shapes: Shapes) -> Iterator[str]:
    """Yields names of timm models that the weights may be of."""
    if "layer1.0.conv1.weight" in shapes:
        yield from torchvision_names()
    elif "blocks.0.attn.qkv.weight" in shapes and "patch_embed.proj.weight" in shapes:
        width, _, patch, _ = shapes["patch_embed.proj.weight"]
        name = f"vit_{WIDTHS.get(width)}_patch{patch}_224"
        if timm.is_model(name):
            yield name
    elif "conv_stem.weight" in shapes:
        names = (family.format(number) for family in EFFICIENTNETS for number in range(9))
        yield from filter(timm.is_model, names)


def _size_of(shapes: Shapes) -> int | None:
    """Returns the side of the images that a transformer with a class token has positions for."""
    positions, patch = shapes.get("pos_embed", ()), shapes.get("patch_embed.proj.weight", ())
    if len(positions) != 3 or len(patch) != 4:
        return None
    side = math.isqrt(positions[1] - 1)
    return side * patch[-1] if side * side == positions[1] - 1 else None


@lru_cache(maxsize=32)
def _architecture(name: str, stem: str, size: int | None, num_heads: int | None) -> Architecture:
    """Builds a model without values.

    Raises:
        UserError: its stem cannot be made small, it cannot have so many attention heads, or timm cannot build it.
    """
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    fixed = default is not None and bool(default.fixed_input_size)
    options: dict[str, Any] = {"img_size": size} if fixed and size is not None else {}
    if num_heads is not None:
        check_num_heads(name, num_heads)
        options["num_heads"] = num_heads
    try:
        with torch.device("meta"), torch.no_grad():
            model = timm.create_model(name, num_classes=0, **options)
    except Exception as error:  # whatever timm makes of a size
        raise UserError(
            f"timm cannot build backbone '{name}' for images of {size} pixels: {str(error).splitlines()[0]}; name "
            "another with backbone.name="
        ) from error
    shapes = {key: tuple(weight.shape) for key, weight in model.state_dict().items()}
    if stem == "small":
        if "layer1.0.conv1.weight" not in shapes or len(shapes.get("conv1.weight", ())) != 4:
            raise UserError(f"backbone.stem=small is of ResNets; received it with '{name}'; leave it out")
        shapes["conv1.weight"] = (*shapes["conv1.weight"][:2], 3, 3)
    built = (size or int(default.input_size[-1])) if default is not None and fixed else None
    return Architecture(name, stem, built, shapes)


def _has_3x3_stem(shapes: Shapes) -> bool:
    return "layer1.0.conv1.weight" in shapes and shapes.get("conv1.weight", ())[2:] == (3, 3)


def _differences(wanted: Shapes, given: Shapes) -> list[str]:
    """Describes each weight that is missing, left over or of another shape."""
    wrong = [
        f"{key} is {tuple(given[key])} and not {tuple(shape)}"
        for key, shape in wanted.items()
        if key in given and tuple(given[key]) != tuple(shape)
    ]
    wrong += [
        f"{key} {tuple(shape)} is missing"
        for key, shape in wanted.items()
        if key not in given and not key.endswith(COUNTER)
    ]
    return wrong + [
        f"{key} {tuple(shape)} is none of its weights" for key, shape in given.items() if key not in wanted
    ]


def _unfitting(model: Architecture, wrong: list[str], shapes: Shapes, others: str) -> UserError:
    more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    fix = "leave backbone.name out to have it found by the shapes, or name the model of this file"
    if model.size is not None:
        fix += f", with the size= of its images (now {model.size})"
    if others:
        fix = "name its model with backbone.name=, if it is another one of timm"
    if _has_3x3_stem(shapes) and model.stem == "standard":
        fix = (
            "stride and padding of a 3x3 stem are not in the file: set backbone.stem=small if it has stride 1, padding "
            "1 and no max-pool after it"
        )
    return UserError(
        f"every weight of the encoder must be one of backbone '{model.name}'{others}, {len(model.shapes)} in all; "
        f"received {len(shapes)}: {'; '.join(wrong[:SHOWN])}{more}; {fix}"
    )
