"""Masks of objects, by pycocotools: an optional package, that of ssl-zoo[detection]."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.errors import UserError

__all__ = ["decode", "encode_mask", "need_pycocotools", "to_rle"]


def need_pycocotools() -> None:
    """Checks that pycocotools is there.

    Raises:
        UserError: it isn't.
    """
    if find_spec("pycocotools") is None:
        raise UserError(
            "kind=detection scores with pycocotools, which is not installed; pip install 'ssl-zoo[detection]'"
        )


def to_rle(shape: Any, height: int, width: int) -> dict[str, Any]:
    """The mask of an outline as compressed RLE.

    Args:
        shape: a list of polygons (x1, y1, x2, y2, ...) in pixels, which together are one object, or RLE, its
            counts a list or compressed.
        height: of the image, in pixels.
        width: as `height`.
    """
    from pycocotools import mask

    if isinstance(shape, list):
        return cast("dict[str, Any]", mask.merge(mask.frPyObjects(shape, height, width)))
    if isinstance(shape["counts"], list):
        return cast("dict[str, Any]", mask.frPyObjects(shape, height, width))
    return cast("dict[str, Any]", shape)


def decode(shapes: tuple[Any, ...], height: int, width: int) -> NDArray[np.uint8]:
    """The masks of n outlines, uint8 (n, height, width) of 0 and 1."""
    from pycocotools import mask

    if not shapes:
        return np.zeros((0, height, width), np.uint8)
    masks: NDArray[np.uint8] = mask.decode([to_rle(shape, height, width) for shape in shapes])  # (H, W, n)
    return np.ascontiguousarray(masks.transpose(2, 0, 1))


def encode_mask(masks: NDArray[np.uint8]) -> tuple[dict[str, Any], ...]:
    """Compressed RLE of masks (n, H, W) of 0 and 1."""
    from pycocotools import mask

    return tuple(mask.encode(np.asfortranarray(masks.transpose(1, 2, 0)))) if len(masks) else ()
