"""A few optimizer steps of a method without a trainer, its hooks called as the trainer calls them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.config.schema import OptimizerConfig
from ssl_zoo.distributed import average, gather
from ssl_zoo.method import Method
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.training.optim import build_optimizer

__all__ = ["Batch", "Steps", "progress", "state_of", "train_steps"]


class Batch(NamedTuple):
    """Views (N, C, H, W), and the positions (N,) of their images in the training set."""

    views: Sequence[Tensor]
    index: Tensor  # type: ignore[assignment]

    def part(self, rank: int, world: int) -> Batch:
        """Returns the rank-th of `world` equal consecutive parts."""
        size = len(self.index) // world
        rows = slice(rank * size, (rank + 1) * size)
        return Batch([view[rows] for view in self.views], self.index[rows])


class Steps(NamedTuple):
    """What optimizer steps found: losses (steps,), the gradients of each step, and the state after the last."""

    losses: Tensor
    gradients: list[dict[str, Tensor]]
    state: dict[str, Tensor]


def train_steps(
    method: Method,
    batches: Sequence[Batch],
    *,
    lr: float,
    part: tuple[int, int] = (0, 1),
    before: Callable[[int], None] = lambda step: None,
) -> Steps:
    """Trains one optimizer step per batch; gradients are averaged over the processes, as DDP does.

    Args:
        method: in training mode, with its state allocated.
        batches: of all processes.
        lr: the learning rate, the same in each step.
        part: (rank, world): which part of each batch is this process's.
        before: called before each step with its number.
    """
    settings = OptimizerConfig(lr=lr, lr_scaling="none")
    optimizer = build_optimizer(settings, method, len(batches[0].index))
    losses, gradients = [], []
    for number, batch in enumerate(batches):
        now = progress(number)
        views, index = batch.part(*part)
        torch.manual_seed(number)
        before(number)
        method.before_step(now)
        optimizer.zero_grad()
        loss = method.loss(views, index).loss
        loss.backward()  # type: ignore[no-untyped-call]
        for parameter in method.parameters():
            if parameter.grad is not None:
                parameter.grad = average(parameter.grad)
        method.after_backward(now)
        gradients.append({n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None})
        optimizer.step()
        method.after_step(now)
        losses.append(gather(loss.detach()[None]).mean())
    return Steps(torch.stack(losses), gradients, state_of(method))


def progress(step: int) -> Progress:
    """Returns the progress of a step: eight in all, two in an epoch."""
    return Progress(step, total_steps=8, steps_per_epoch=2)


def state_of(method: Method) -> dict[str, Tensor]:
    """Returns a copy of the method's state dict."""
    return {name: value.clone() for name, value in method.state_dict().items()}
