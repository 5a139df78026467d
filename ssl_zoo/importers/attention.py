"""How many attention heads a checkpoint's transformer has: neither names nor shapes of its weights tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.importers.formats import FORMATS, CheckpointFormat, Shapes

__all__ = ["num_heads_of"]


def num_heads_of(
    entry: CheckpointFormat, given: int | None, weights: Mapping[str, Tensor], keys: Shapes, file: str
) -> int | None:
    """Returns the number of attention heads; None: that of timm's model.

    Args:
        entry: the format.
        given: the number that the user names; None: that of the program's model definition.
        weights: of the encoder, by timm's names.
        keys: shapes of all that the checkpoint holds.
        file: for messages.

    Raises:
        UserError: the program has another number than the user names; or the position embedding is MoCo v3's, in a
            format whose transformers have timm's number.
    """
    shapes = {name: tuple(weight.shape) for name, weight in weights.items()}
    theirs = None if entry.num_heads is None else entry.num_heads(shapes, keys)
    if given is not None:
        if theirs not in (None, given):
            raise UserError(
                f"the transformers of {entry.title} have {theirs} attention heads at the width of '{file}'; received "
                f"backbone.num_heads={given}; leave it out, or set the format of the program that wrote the file"
            )
        return given
    if entry.num_heads is None and "" in {layout.encoder for layout in entry.layouts}:
        moco = FORMATS["mocov3"].num_heads
        assert moco is not None
        if (number := moco(shapes, keys)) is not None and _has_mocos_positions(weights):
            own = shapes["cls_token"][-1] // 64
            raise UserError(
                f"a transformer must have the attention heads that it was trained with; the position embedding of "
                f"'{file}' is MoCo v3's, fixed sines and cosines, whose transformers have {number}, and those of "
                f"format={entry.name} {own}; set format=mocov3, or backbone.num_heads={own} if that is its number"
            )
    return theirs


def _has_mocos_positions(weights: Mapping[str, Tensor]) -> bool:
    """Whether the position embedding is the one that MoCo v3 fixes: zeros of the class token, then sines and cosines.

    - [0] MoCo v3, https://github.com/facebookresearch/moco-v3 (vits.py, build_2d_sincos_position_embedding)
    """
    positions = weights.get("pos_embed")
    if positions is None or positions.ndim != 3 or positions.shape[-1] % 4:
        return False
    side, width = math.isqrt(positions.shape[1] - 1), positions.shape[-1]
    if side * side != positions.shape[1] - 1:
        return False
    frequencies = 10000.0 ** -(torch.arange(width // 4) / (width // 4))
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [place.flatten()[:, None] * frequencies for place in (rows, columns)]  # (patches, width / 4)
    table = torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)
    fixed = torch.cat([torch.zeros(1, width), table])
    return torch.allclose(positions[0].float(), fixed, rtol=0, atol=2e-3)  # as exact as half precision
