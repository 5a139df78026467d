"""Clause on several processes: what they compute together is what one computes by itself.

Two processes take steps on halves of a batch and average their gradients, one process takes the same steps on all of
it. Equal are the losses, the gradients of each step, and the state after the last, BN's statistics among it.
"""

from __future__ import annotations

import dataclasses
import datetime
import multiprocessing
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from ssl_zoo.config.mapping import from_mapping, to_mapping
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.parts.batchnorm import synchronize
from ssl_zoo.terminal.signals import end_with_parent
from ssl_zoo.testing.contract import Broken
from ssl_zoo.testing.setting import Setting
from ssl_zoo.testing.train_steps import Batch, Steps, train_steps

__all__ = ["two_processes"]

# Sums of float32 in another order differ by some 1e-7 of their terms; a hundred of them in a row make 1e-5.
ROUNDING = 1e-5
# Rounding is relative to the largest value of a group, but not to less than this, which cancels out of larger values.
SMALLEST = 1e-2
LR = 0.001  # so low that three steps do not amplify the rounding
WAIT = datetime.timedelta(seconds=600)
MEND = (
    "gather with ssl_zoo.gather every embedding that the loss couples with others of the batch: negatives, a mean, a "
    "variance or a correlation (see ssl_zoo.distributed), and every embedding that is stored"
)


def two_processes(setting: Setting) -> None:
    """Losses, gradients and state of two processes equal those of one with the whole batch; BN is synchronised."""
    method = dataclasses.replace(setting.config.method, batch_norm="sync")
    config = dataclasses.replace(setting.config, method=method)
    batches = setting.batches(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the others have: sums in the same order
    alone = train_steps(setting.build_plain(config), batches, lr=LR)
    torch.set_num_threads(threads)
    first, second = _both(config, batches)
    for name, value in first.state.items():
        if not torch.equal(value, second.state[name]):
            raise Broken("the same state in both processes", f"{name} differs", MEND)
    for step, (a, b) in enumerate(zip(alone.losses, first.losses, strict=True), 1):
        _compare("the mean of the two losses", {f"that of step {step}": a}, {f"that of step {step}": b})
        one, two = alone.gradients[step - 1], first.gradients[step - 1]
        _compare(f"the gradient of step {step}", one, two)
    _compare("the state after three steps", alone.state, first.state)


def _compare(what: str, one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> None:
    """Compares tensors by name, to rounding of the largest value among them."""
    if one.keys() != two.keys():
        raise Broken(
            f"{what} to be of the same parameters", f"{sorted({*one} ^ {*two})[0]} in one of them", MEND
        )
    values = [float(value.double().abs().max()) for value in one.values() if value.numel()]
    tolerance = ROUNDING * max(SMALLEST, *values, 0.0)
    for name, expected in one.items():
        found = two[name]
        if expected.shape != found.shape:
            raise Broken(f"{what} as of one process", f"{name} of another shape, {tuple(found.shape)}", MEND)
        error = float((found.double() - expected.double()).abs().max()) if expected.numel() else 0.0
        if not error <= tolerance:
            raise Broken(f"{what} as of one process", f"{name} is off by {error:.2g}", MEND)


def _both(config: RunConfig, batches: list[Batch]) -> list[Steps]:
    """Returns what each of the two processes has found."""
    # The class is unpickled in the processes, and so imported and registered there.
    method = METHODS.get(config.method.name).load()
    with tempfile.TemporaryDirectory() as folder:
        try:
            mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
                _work,
                args=(folder, method, to_mapping(config), batches),
                nprocs=2,
                start_method=_start_method(),
            )
        except Exception as error:  # whatever the method raises, and a class that cannot be pickled
            raise Broken(
                "the steps to run in two processes, which import the method by the name of its module",
                f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}",
                "define the class at the top of a module, and let all processes gather equally often",
            ) from error
        found = [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    return [Steps(*values) for values in found]


def _start_method() -> str:
    """Returns how a process is started: from a server that has imported torch once, where there is such a thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    multiprocessing.get_context("forkserver").set_forkserver_preload([__name__])
    return "forkserver"


def _work(rank: int, folder: str, method: type[Any], mapping: dict[str, Any], batches: list[Batch]) -> None:
    """Takes the steps in one of the two processes, on its half of each batch."""
    end_with_parent()
    torch.set_num_threads(1)
    config = from_mapping(mapping)
    built = Setting(config.method.name).build_plain(config)
    synchronize(built, torch.device("cpu"))
    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=WAIT)
    try:
        found = train_steps(built, batches, lr=LR, part=(rank, 2))
        torch.save(tuple(found), Path(folder) / f"{rank}.pt")
        dist.barrier()
    finally:
        dist.destroy_process_group()
