"""Mean and standard deviation of the pixels where the number of channels is another than the data's own."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Any

__all__ = ["fill_pixels"]

LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in gray, ITU-R 601
IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}


def fill_pixels(
    data: Mapping[str, Any], given: Container[str], gray_of: Callable[[str], Any] | None
) -> dict[str, Any]:
    """Returns the block `data` with mean and std of as many channels as it has, where they were not given.

    Gray from colour: measured on the images where that is possible, else what the weights of red, green and blue make
    of the three values. Colour from gray: the gray value three times, which is exact.

    Args:
        data: the block.
        given: keys of overrides, for instance `data.mean`.
        gray_of: measures a folder's gray pixels, or returns None; see `ssl_zoo.data.folder_sample`.
    """
    block = dict(data)
    channels = block.get("channels", 3)
    for key, default in IMAGENET.items():
        values = block.get(key, default)
        if f"data.{key}" in given or isinstance(channels, bool) or not isinstance(values, (list, tuple)):
            continue
        if channels == 1 and len(values) == 3:
            measured = None if gray_of is None else gray_of(block["train"])
            luma = sum(weight * value for weight, value in zip(LUMA, values, strict=True))
            block[key] = [round(luma, 4) if measured is None else getattr(measured, key)]
        elif channels == 3 and len(values) == 1:
            block[key] = [values[0]] * 3
    return block
