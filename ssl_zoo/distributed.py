"""Communication between several processes. With one process each function returns what it is given.

A batch is divided into equal, consecutive parts, the n-th for the process of rank n, so that what is gathered
has the order that one process would have seen. The gradient is averaged over the processes by DDP, and `gather`
adds up, in the backward pass, the gradients that a tensor gets from all processes' losses. So the gradient is that of
the mean of the processes' losses. It equals that of one process with the whole batch where this mean is its loss:

- each process's loss is the mean over its own images, whose keys may be gathered (InfoNCE), or
- each process computes the same loss over all images, from gathered tensors alone (Barlow Twins).
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from ssl_zoo import from_lightly as lightly

__all__ = [
    "any_process", "average", "from_all", "from_rank_zero", "gather", "random_order", "rank", "reordered", "world_size",
]  # fmt: skip

T = TypeVar("T")


def rank() -> int:
    """Returns the number of this process, from 0."""
    return int(lightly.rank())


def world_size() -> int:
    """Returns the number of processes."""
    return int(lightly.world_size())


def gather(x: Tensor) -> Tensor:
    """Concatenates the tensors of all processes, with gradient; with one process it returns its argument.

    For `Method.loss` where a loss couples the images of a batch. The gradient is right without any factor where each
    process's loss is the mean over its own images, whose keys may be gathered (InfoNCE), and where each process
    computes the same loss over all images, from gathered tensors alone (Barlow Twins). What is stored for later
    steps is gathered too. All processes must call it, equally often.

    Args:
        x: (N, ...), of one shape in all processes.

    Returns:
        (world_size * N, ...), in the order of ranks, which is that of the batch.
    """
    return torch.cat(lightly.gather(x.contiguous())) if world_size() > 1 else x


@torch.no_grad()
def average(x: Tensor) -> Tensor:
    """Returns the mean over the processes of a tensor of one shape, without gradient."""
    return gather(x[None]).mean(dim=0) if world_size() > 1 else x


def random_order(count: int, device: torch.device) -> Tensor:
    """Returns a permutation of `range(count)`, (count,) int64 on the CPU: that which rank zero drew on the device."""
    order = torch.randperm(count, device=device)
    if world_size() > 1:
        torch.distributed.broadcast(order, src=0)
    return order.cpu()


@torch.no_grad()
def reordered(x: Tensor, order: Tensor) -> Tensor:
    """Returns this process's part of the whole batch in another order, without gradient.

    A process receives its own rows alone, where lightly's `batch_shuffle` has it receive the whole batch.

    Args:
        x: (N, ...), of one shape in all processes.
        order: (world_size * N,) int64, a permutation on the CPU, the same in all processes: row k of the whole is to
            be its row `order[k]`.
    """
    count, me = len(x), rank()
    owner = order // count
    here = (owner == me).nonzero().flatten()  # (N,) ascending, and so by the process that asks for it
    mine = owner.chunk(world_size())[me]
    sent = x[(order[here] - me * count).to(x.device)].contiguous()
    received = torch.empty_like(sent)
    from_each, to_each = (
        torch.bincount(part, minlength=world_size()).tolist() for part in (mine, here // count)
    )
    torch.distributed.all_to_all_single(received, sent, from_each, to_each)
    rows = received[mine.argsort(stable=True).argsort().to(x.device)]  # they came by sender
    deep = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return rows.contiguous(memory_format=torch.channels_last) if deep else rows


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether the flag is true in any process; all must call it."""
    return bool(gather(torch.tensor([flag], device=device)).any()) if world_size() > 1 else flag


def from_rank_zero(value: object) -> object:
    """Returns to all processes the value of rank zero."""
    if world_size() == 1:
        return value
    box = [value]
    torch.distributed.broadcast_object_list(box, src=0)
    return box[0]


def from_all(value: T) -> list[T]:
    """Returns the values of all processes, in the order of ranks."""
    values = [value] * world_size()
    if world_size() > 1:
        torch.distributed.all_gather_object(values, value)
    return values
