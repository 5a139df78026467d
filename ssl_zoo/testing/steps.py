"""Clauses on several steps: the same again from the same seed, and state that moves once per optimizer step."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _NormBase

from ssl_zoo.method import Method
from ssl_zoo.testing.contract import Broken
from ssl_zoo.testing.setting import Setting
from ssl_zoo.testing.train_steps import progress, state_of, train_steps

__all__ = ["accumulation", "same_seed"]


def same_seed(setting: Setting) -> None:
    """The same seed gives the same losses and weights, to the bit, whatever other generators have drawn."""
    batches = setting.batches(3)

    def train(before: Callable[[int], None]) -> list[Tensor]:
        found = train_steps(setting.build(), batches, lr=0.1, before=before)
        return [*found.losses, *found.state.values()]

    first, second = train(lambda step: None), train(_draw_elsewhere)
    if not all(torch.equal(a, b) for a, b in zip(first, second, strict=True)):
        differing = [
            n for n, (a, b) in enumerate(zip(first[:3], second[:3], strict=True), 1) if not torch.equal(a, b)
        ]
        raise Broken(
            "the same result to the bit from the same seed",
            f"losses that differ in step {differing[0]}"
            if differing
            else "losses alike and other weights or state",
            "draw from torch's global generator alone, which the trainer seeds before each batch, and from no "
            "generator of its own, nor NumPy's, nor Python's",
        )


def accumulation(setting: Setting) -> None:
    """Two batches make one optimizer step: state moves between the steps, not in loss."""
    first, second = setting.batches(2)
    method = setting.build()
    method.before_step(progress(0))
    before = _own_state(method)
    torch.manual_seed(1)
    alone = method.loss(*second).loss
    moved = [name for name, value in _own_state(method).items() if not torch.equal(value, before[name])]
    if moved:
        raise Broken(
            "loss to leave the state as it is, but for BN's statistics: of several batches in an optimizer step each "
            "would move it",
            f"{moved[0]} changed",
            "note in loss what is to be stored, and store it in after_step",
        )
    method = setting.build()
    method.before_step(progress(0))
    method.loss(*first)
    torch.manual_seed(1)
    after_another = method.loss(*second).loss
    if not torch.equal(alone, after_another):
        raise Broken(
            "a batch's loss not to depend on the other batches of its optimizer step",
            f"{alone.item():.6g} by itself and {after_another.item():.6g} after another batch",
            "keep nothing from one loss to the next that after_step has not stored",
        )


def _draw_elsewhere(step: int) -> None:
    """Moves the generators that the trainer does not seed; torch's is seeded in each step."""
    random.seed(step + 1)
    np.random.seed(step + 1)  # noqa: NPY002 (methods may draw from it)


def _own_state(method: Method) -> dict[str, Tensor]:
    """Returns the state dict without the statistics of normalisations."""
    norms = [path for path, module in method.named_modules() if isinstance(module, _NormBase)]
    theirs = {f"{path}.{name}" for path in norms for name, _ in method.get_submodule(path).named_buffers()}
    return {name: value for name, value in state_of(method).items() if name not in theirs}
