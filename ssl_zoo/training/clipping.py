"""The length of gradients, and gradients clipped to one; whole or divided among the processes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

__all__ = ["clip_gradients", "gradient_norm"]


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Returns the Euclidean length () of all gradients together; 0 where there are none.

    Where some are divided among the processes, all must call it.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros((), device=parameters[0].device)
    kinds = [[g for g in gradients if isinstance(g, DTensor) is sharded] for sharded in (False, True)]
    norms = [torch.nn.utils.get_total_norm(kind) for kind in kinds if kind]
    whole = [norm.full_tensor() if isinstance(norm, DTensor) else norm for norm in norms]
    return (whole[0] if len(whole) == 1 else torch.stack(whole).norm()).float()


def clip_gradients(parameters: list[nn.Parameter], longest: float) -> None:
    """Shortens all gradients together to at most `longest`, as torch's `clip_grad_norm_`, divided ones too."""
    factor = (longest / (gradient_norm(parameters) + 1e-6)).clamp(max=1)
    for parameter in parameters:
        if parameter.grad is not None:
            gradient = parameter.grad
            (gradient.to_local() if isinstance(gradient, DTensor) else gradient).mul_(factor)
