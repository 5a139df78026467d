"""The blocks of a backbone, one after another, and their recomputation in the backward pass.

timm knows the blocks of each of its models: it groups their parameters for layer-wise learning rates, by regular
expressions over names.

- [0] activation checkpointing: Chen et al., 2016, https://arxiv.org/abs/1604.06174
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ssl_zoo.errors import UserError
from ssl_zoo.method import Encoder, Method

__all__ = ["blocks_of", "check_blocks", "recompute_blocks"]


def blocks_of(backbone: nn.Module) -> list[nn.Module]:
    """Returns a timm model's blocks, such as the layers of a transformer; none where timm names none."""
    try:
        named: Any = backbone.group_matcher(coarse=False)["blocks"]  # type: ignore[operator]
    except (AttributeError, KeyError, TypeError):  # no timm model, no blocks, or a function over names
        return []
    rules = (
        [(named, None)] if isinstance(named, str) else named
    )  # a rule with a number is of what lies between
    patterns = [re.compile(pattern) for pattern, number in rules if number is None]
    modules = dict(backbone.named_modules())
    found: dict[str, nn.Module] = {}
    for name in modules:
        match = next(filter(None, (pattern.match(name) for pattern in patterns)), None)
        if match is not None and match.group() in modules:
            found[match.group()] = modules[match.group()]
    return list(found.values())


def check_blocks(backbone: nn.Module, name: str, what: str) -> None:
    """Refuses a backbone without blocks.

    Args:
        backbone: a timm model.
        name: its name.
        what: needs blocks: a key with its value, and what that does.

    Raises:
        UserError: timm names no blocks of it.
    """
    if not blocks_of(backbone):
        raise UserError(
            f"{what} a backbone block by block, and timm names no blocks of '{name}'; leave {what.partition('=')[0]} "
            "out, or choose a ResNet or a ViT"
        )


def recompute_blocks(method: Method, name: str) -> None:
    """Lets each block of a method's backbones keep only its inputs for the backward pass, in place.

    timm's own switch runs a block's BN twice, which moves its running statistics twice.

    Args:
        method: whose parameters, buffers and their names stay as they are.
        name: of the backbone, for the message.

    Raises:
        UserError: the backbone has no blocks that timm knows.
    """
    for encoder in [module for module in method.modules() if isinstance(module, Encoder)]:
        check_blocks(encoder.backbone, name, "trainer.activation_checkpointing=true computes")
        for block in blocks_of(encoder.backbone):
            block.forward = _Recomputed(block)


class _Recomputed:
    """Forward pass of a block that is run once more in the backward pass; the random numbers are the same."""

    def __init__(self, block: nn.Module) -> None:
        self.block = block
        self.forward: Callable[..., Any] = block.forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return self.forward(*args, **kwargs)
        return checkpoint(
            self.forward,
            *args,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _OnCopies(self.block)),
            **kwargs,
        )


class _OnCopies:
    """Replaces a block's buffers by copies, into which a further pass writes what the first has written.

    Each backward pass through the same graph enters it anew.
    """

    def __init__(self, block: nn.Module) -> None:
        self.block = block
        self.buffers: list[tuple[nn.Module, str, Tensor]] = []

    def __enter__(self) -> None:
        self.buffers = [
            (module, name, buffer)
            for module in self.block.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        for module, name, buffer in self.buffers:
            setattr(module, name, buffer.clone())

    def __exit__(self, *raised: object) -> None:
        for module, name, buffer in self.buffers:
            setattr(module, name, buffer)
        self.buffers = []
