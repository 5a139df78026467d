"""Channels, bits, mean and std of the images that are trained on, and the augmentations that such images can take."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

__all__ = ["PIXELS", "fill_pixels", "without_colours"]

PIXELS = ("channels", "bit_depth", "mean", "std", "interpolation")  # keys of the data that are the encoder's

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in gray, ITU-R 601
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
NO_COLOURS = {"autoaugment": "none", "jitter": {"saturation": 0.0, "hue": 0.0}, "grayscale": 0.0}


def fill_pixels(data: Mapping[str, Any], given: Container[str], images: Any) -> dict[str, Any]:
    """Returns the block `data` with channels, bits, mean and std, where they were not given.

    Channels and bits are the files'; photos of 8 bits stay colour. Mean and std of 8-bit colour images are ImageNet's.
    Gray from colour: measured on the images where that is possible, else what the weights of red, green and blue make
    of the three values. Colour from gray: the gray value three times, which is exact. All others are measured.

    Args:
        data: the block.
        given: keys of overrides, for instance `data.mean`.
        images: the module that looks at the images, `ssl_zoo.image_defaults`, or None.
    """
    block = dict(data)
    if block.get("channels") == "auto":
        del block["channels"]
    sample = None if images is None else images.sample_of(block)
    if sample is not None:
        block |= sample.identity(block)
        if (seen := sample.pixels) is not None:
            block = {"channels": seen.channels, "bit_depth": seen.bit_depth, **block}
    channels, bit_depth = block.get("channels", 3), block.get("bit_depth", 8)
    if type(channels) is not int or channels < 1 or bit_depth not in (8, 16):
        return block
    unlike_photos = channels not in (1, 3) or bit_depth == 16
    for key, default in IMAGENET.items():
        values = block.get(key, default)
        if f"data.{key}" in given or not isinstance(values, (list, tuple)):
            continue
        if unlike_photos and images is not None and key not in block:
            measured = None if sample is None else sample.statistics(channels, bit_depth)
            # Where none could be read the folder is refused once it is looked through, with the reason.
            block[key] = [0.5] * channels if measured is None else list(getattr(measured, key))
        elif channels == 1 and len(values) == 3:
            measured = None if sample is None else sample.gray()
            luma = sum(weight * value for weight, value in zip(LUMA, values, strict=True))
            block[key] = [round(luma, 4) if measured is None else getattr(measured, key)]
        elif channels == 3 and len(values) == 1:
            block[key] = [values[0]] * 3
    return block


def without_colours(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns settings that turn off what computes with red, green and blue; None where the images may have them.

    Args:
        values: what was composed, with the channels.
    """
    channels, augment = values["data"].get("channels", 3), values.get("augment")
    if channels in (1, 3) or not isinstance(augment, Mapping):
        return None
    views = augment.get("views")
    named = views if isinstance(views, Mapping) else {}
    differing = {
        name: {key: off for key, off in NO_COLOURS.items() if key in view}
        for name, view in named.items()
        if isinstance(view, Mapping)
    }
    return {"augment": {**NO_COLOURS, **({"views": differing} if differing else {})}}
