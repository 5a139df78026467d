"""Rows of small images side by side, as one picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

__all__ = ["BLUE", "ORANGE", "stack", "strip", "tile"]

SIDE = 64  # pixels of a tile, about
GAP = 4
FOOT = 9  # room for the marks
BLUE, ORANGE = (59, 130, 246), (217, 83, 15)  # seen on white and on black


def tile(pixels: Tensor, *, stretch: bool = False) -> Image.Image:
    """Makes an image (C, H, W), integers or of [0, 1], a square tile; small ones are magnified by a whole number.

    Of two channels, or of four and more, the first three are shown as red, green and blue, as far as there are so many.

    Args:
        pixels: the image.
        stretch: show its least value black and its largest white, as 16 bits are seldom used to the full.
    """
    if len(pixels) not in (1, 3):
        pixels = pixels[:3] if len(pixels) > 3 else pixels[[0, 1, 1]]
    if stretch:
        pixels = pixels.float()
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / (high - low).clamp(min=1e-6)
    if pixels.is_floating_point():
        pixels = (pixels * 255).round().to(torch.uint8)
    array = np.ascontiguousarray(pixels.permute(1, 2, 0).expand(-1, -1, 3).numpy())  # (H, W, 3)
    image = Image.fromarray(array)
    side = image.width
    if side > SIDE:
        return image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return image.resize((side * (SIDE // side),) * 2, Image.Resampling.NEAREST)


def strip(tiles: Sequence[Image.Image], marks: Sequence[bool | None]) -> Image.Image:
    """Joins tiles in a row, on a transparent ground, the first a little apart.

    Args:
        tiles: of one size or several; each has the room of the largest.
        marks: below each tile: a blue bar for True, an orange cross for False, nothing for None.
    """
    side = max(image.width for image in tiles)
    foot = FOOT if any(mark is not None for mark in marks) else 0
    width = len(tiles) * (side + GAP) + 2 * GAP
    row = Image.new("RGBA", (width, side + foot))
    draw = ImageDraw.Draw(row)
    for number, (image, mark) in enumerate(zip(tiles, marks, strict=True)):
        left = number * (side + GAP) + (3 * GAP if number else 0)
        inset = (side - image.width) // 2
        row.paste(image, (left + inset, inset))
        middle, below = left + side // 2, side + 1
        if mark is True:
            draw.rectangle([middle - 9, below + 2, middle + 9, below + 4], fill=BLUE)
        elif mark is False:
            for end in (-1, 1):
                draw.line([middle - 4 * end, below, middle + 4 * end, below + 7], fill=ORANGE, width=3)
    return row


def stack(rows: Sequence[Image.Image]) -> Image.Image:
    """Joins rows below one another on white, for the file."""
    width = max(row.width for row in rows)
    height = sum(row.height + GAP for row in rows)
    stacked = Image.new("RGB", (width, height), "white")
    top = 0
    for row in rows:
        stacked.paste(row, (0, top), row)
        top += row.height + GAP
    return stacked
