"""The number of attention heads of a transformer: its weights have the same shapes with any."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import nn

from ssl_zoo.errors import UserError

__all__ = ["built_heads", "check_num_heads", "heads_of"]


def heads_of(model: nn.Module) -> set[int]:
    """Returns the numbers of heads that the attention layers of a timm model have."""
    numbers = (getattr(module, "num_heads", None) for module in model.modules())
    return {number for number in numbers if isinstance(number, int)}


def built_heads(name: str, num_heads: int | None = None) -> set[int]:
    """Returns the numbers of heads of a timm model before it is built; None: its own number."""
    return heads_of(_without_values(name, num_heads))


def check_num_heads(name: str, num_heads: int) -> None:
    """Refuses a number of heads that a timm model cannot be built with; nothing is computed.

    Args:
        name: of the model.
        num_heads: in each of its attention layers.

    Raises:
        UserError: it has no attention, or another number of heads in each stage, or a width that isn't a multiple.
    """
    plain = _without_values(name)
    own = sorted(heads_of(plain))
    rule = f"backbone.num_heads={num_heads} is the number of attention heads of a plain transformer"
    fix = "leave it out, or choose a ViT, for instance backbone.name=vit_small_patch16_224"
    if len(own) != 1:
        has = f"has {', '.join(map(str, own))} in its stages" if own else "has none"
        raise UserError(f"{rule}; '{name}' {has}; {fix}")
    width: Any = getattr(plain, "embed_dim", None) or plain.num_features
    if width % num_heads:
        nearest = min((n for n in range(1, width + 1) if not width % n), key=lambda n: abs(n - num_heads))
        raise UserError(
            f"the attention heads must divide the width of a transformer; received backbone.num_heads={num_heads} "
            f"with '{name}', which is {width} wide; set for instance backbone.num_heads={nearest}"
        )
    try:
        fits = built_heads(name, num_heads) == {num_heads}
    except Exception:  # whatever a constructor makes of an argument that it does not know
        fits = False
    if not fits:
        raise UserError(f"{rule}; timm builds '{name}' with {own[0]} only; {fix}")


def _without_values(name: str, num_heads: int | None = None) -> nn.Module:
    with torch.device("meta"), torch.no_grad():
        model: nn.Module = timm.create_model(name, num_classes=0, num_heads=num_heads)
    return model
