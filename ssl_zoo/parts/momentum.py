"""The moving average of an encoder's weights, in place, whole or divided among processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

__all__ = ["update_momentum"]


@torch.no_grad()
def update_momentum(online: nn.Module, target: nn.Module, decay: float) -> None:
    """Moves the parameters of a copy towards the original's: target <- decay * target + (1 - decay) * online.

    lightly's `update_momentum`, which takes no mixture of whole and divided parameters.
    """
    for sharded in (False, True):
        of: list[Tensor] = [p for p in online.parameters() if isinstance(p, DTensor) is sharded]
        copies: list[Tensor] = [p for p in target.parameters() if isinstance(p, DTensor) is sharded]
        if copies:
            torch._foreach_mul_(copies, decay)
            torch._foreach_add_(copies, of, alpha=1.0 - decay)
