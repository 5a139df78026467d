"""Memory is asked before it is taken: a run that would exceed what is free is refused, with what would fit."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from typing import NamedTuple

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.free_memory import free_memory, resident
from ssl_zoo.training.footprint import Footprint, footprint
from ssl_zoo.training.process import launcher
from ssl_zoo.training.shared import Shared

__all__ = ["Need", "check_memory", "need"]

MIB, GIB = 2**20, 2**30
# What is taken beside tensors, as benchmarks/memory_estimate.py measured it on CPUs: modules imported later, threads'
# own heaps; and the allocator's gaps. A GPU's part is for the libraries' workspaces.
BESIDE = {"cpu": 128 * MIB, "cuda": 512 * MIB}
GAPS = 1.05
SPARE = 1.1  # measured peaks were up to 9 % above the estimate
SIZES = (192, 160, 128, 96, 64, 48, 32, 16)  # pixels that are proposed


class Need(NamedTuple):
    """Memory that a run would still take on this machine, in bytes."""

    of: Footprint
    processes: int  # on this machine, which take from the same memory
    others: int  # bytes that the processes yet to be started take before they train

    @property
    def total(self) -> int:
        """Bytes of all processes, with what is not in tensors."""
        each = round(GAPS * self.of.total) + BESIDE.get(self.of.device.type, 0)
        return self.processes * each + self.others

    def fits(self, free: int) -> bool:
        """Whether so many bytes are enough, with a tenth to spare."""
        return self.total * SPARE <= free


def need(config: RunConfig, data: Data) -> Need | None:
    """Estimates what a run would still take; None where its method cannot be stepped without values.

    Raises:
        UserError: the run cannot be built.
    """
    try:
        of = footprint(config, data)
    except UserError:
        raise
    except Exception:  # whatever a plugin's method does with values that are not there
        return None
    if of.device.type != "cpu":
        return Need(of, 1, 0)
    starts = launcher(config) == "itself"
    return Need(of, config.trainer.devices, (config.trainer.devices - 1) * resident() if starts else 0)


def check_memory(config: RunConfig, data: Data, shared: Shared | None = None) -> None:
    """Refuses a run that would take more memory than is free. One process of a machine checks for all.

    Raises:
        UserError: with the figures, and values that would fit; or the run cannot be built.
    """
    if os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0")) != "0":
        return
    shared = Shared() if shared is None else shared
    key = ("need", repr(dataclasses.replace(config, seed=0, run_dir=None)))  # equal for all seeds
    wanted = shared.once(key, lambda: need(config, data))
    free = None if wanted is None else free_memory(wanted.of.device)
    if wanted is None or free is None or wanted.fits(free):
        return
    of, where = wanted.of, "" if wanted.of.device.type == "cpu" else f" on {wanted.of.device}"
    each = f" in {wanted.processes} processes" if wanted.processes > 1 else ""
    raise UserError(
        f"a run must fit into the memory that is free{where}, {_gib(free)}, with a tenth to spare; this one would "
        f"take about {_gib(wanted.total)} more{each} (weights, gradients and optimizer {_gib(of.kept)}, a training "
        f"step at batch_size={config.batch_size} {_gib(of.step - of.kept)}, measuring {_gib(of.measuring - of.kept)}); "
        f"{_remedies(config, data, wanted, free)}; trainer.memory_check=false skips this check"
    )


def _remedies(config: RunConfig, data: Data, wanted: Need, free: int) -> str:
    """Values that would fit, as the same check has it."""

    def fits(changed: RunConfig) -> bool:
        try:
            now = need(changed, data)
        except UserError:  # such as a size that the backbone cannot read
            return False
        return now is not None and now.fits(free)

    remedies = []
    kept, of = wanted._replace(of=dataclasses.replace(wanted.of, step=wanted.of.kept, measuring=0)), wanted.of
    if not kept.fits(free):
        return (
            f"the largest tensor is {of.largest}; set a smaller one's key (method.*_dim, method.queue.size, "
            "method.prototypes.number), or choose a smaller backbone.name"
        )
    smaller = next((c for c in _smaller_batches(config) if fits(c)), None)
    if smaller is not None:
        remedies.append(f"batch_size={smaller.batch_size} trainer.accumulate={smaller.trainer.accumulate}")
    size = next((c for c in _smaller_images(config) if fits(c)), None)
    if size is not None:
        remedies.append(f"augment.size={size.augment.size}")
    if remedies:
        return f"set {', or '.join(remedies)}"
    return (
        "set a smaller batch_size with trainer.accumulate, a smaller augment.size or a smaller backbone.name"
    )


def _smaller_batches(config: RunConfig) -> Iterator[RunConfig]:
    """Yields the same images per optimizer step in smaller batches, halved again and again."""
    batch, accumulate = config.batch_size, config.trainer.accumulate
    while batch % 2 == 0 and batch // 2 >= 2 * config.trainer.processes:
        batch, accumulate = batch // 2, accumulate * 2
        if batch % config.trainer.processes == 0:
            trainer = dataclasses.replace(config.trainer, accumulate=accumulate)
            yield dataclasses.replace(config, batch_size=batch, trainer=trainer)


def _smaller_images(config: RunConfig) -> Iterator[RunConfig]:
    """Yields the same views of smaller images."""
    augment = config.augment
    for size in SIZES:
        if size < augment.size:
            views = {
                name: dataclasses.replace(view, size=size) if view.size == augment.size else view
                for name, view in augment.views.items()
            }
            yield dataclasses.replace(config, augment=dataclasses.replace(augment, size=size, views=views))


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.0f} MiB"
