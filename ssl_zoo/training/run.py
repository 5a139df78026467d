"""A run, from its configuration to its directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch

from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, ReaderSplit
from ssl_zoo.data.given import passing
from ssl_zoo.distributed import from_all, from_rank_zero
from ssl_zoo.errors import UserError
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.writing import write_file
from ssl_zoo.run_dir.checkpoints import set_aside
from ssl_zoo.run_dir.continuation import compose_run
from ssl_zoo.run_dir.directory import claim_run_dir
from ssl_zoo.run_dir.environment import environment
from ssl_zoo.run_dir.result import Result
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.terminal.counting import showing_counts
from ssl_zoo.training.attach import complete_records
from ssl_zoo.training.conclude import conclude
from ssl_zoo.training.fit import fit
from ssl_zoo.training.launch import launched
from ssl_zoo.training.loggers import ending, quiet_event_writer
from ssl_zoo.training.prepare import Prepared, prepare
from ssl_zoo.training.process import launcher, this_process
from ssl_zoo.training.progress import TrainingProgress
from ssl_zoo.training.shared import Shared

__all__ = ["run", "train"]


def train(
    overrides: Sequence[str] = (),
    *,
    data: Any = None,
    test: Any = None,
    silent: bool = False,
    shared: Shared | None = None,
) -> Result:
    """Trains a method: `ssl_zoo.train(["method=simsiam", "epochs=5"])`, as `ssl-zoo train` does.

    Args:
        overrides: the same overrides as on the command line.
        data: a map-style Dataset in place of the images that `data=` names. Its items are images, or pairs of an image
            and a label: Pillow's, or arrays and tensors (H, W), (H, W, C) or (C, H, W) of uint8, uint16 or floats in
            [0, 1]. An item must be the same each time. A run is resumed with the same Dataset.
        test: likewise, labelled test images.
        silent: print nothing.
        shared: what earlier runs of this process have loaded and measured.

    Returns:
        What `result.json` in the run directory holds.

    Raises:
        UserError: the overrides, or what they name, are wrong; nothing has been created.
        Unfinished: the result is written, and a record of wandb, mlflow or trackio is not complete.
        Interrupted: Ctrl-C; the run is saved and `resume=auto` continues it.
    """
    with passing(overrides, data, test) as overrides:
        config = compose_run(overrides)
        if data is not None:
            _check_processes(config)
        return run(config, silent=silent, shared=shared)


def _check_processes(config: RunConfig) -> None:
    """Refuses to start further processes, which have no Dataset; those of torchrun and srun pass it themselves."""
    if config.trainer.devices > 1 and launcher(config) == "itself":
        raise UserError(
            f"trainer.devices={config.trainer.devices} would start processes that the Dataset of data= is not in; "
            "start the script with torchrun, or set trainer.devices=1"
        )


def run(config: RunConfig, *, silent: bool = False, shared: Shared | None = None) -> Result:
    """Trains by a complete configuration. See `train`. Each of several processes returns the same."""
    rank_zero = this_process(config).rank_zero
    with ExitStack() as stack:
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        run_dir, locked = stack.enter_context(claim_run_dir(config)) if rank_zero else (None, True)
        with showing_counts(config.trainer.progress and rank_zero and not silent):
            ready = prepare(config, run_dir, shared)
        progress = TrainingProgress(
            config.epochs,
            ready.position.epoch,
            silent=silent or not rank_zero,
            bar=config.trainer.progress,
        )
        if rank_zero:
            _set_aside(ready)  # first: a result beside config.yaml is one of as many epochs
            write_file(ready.run_dir / "config.yaml", to_yaml(config))
            write_json(ready.run_dir / "environment.json", _environment(ready))
            progress.announce(ready, locked=locked)
        with launched(config), quiet_event_writer():
            try:
                trained = fit(ready, progress.report, progress.log)
            finally:
                progress.stop()
            _gather_skipped(ready.data)
            ready = dataclasses.replace(ready, method=trained.method)
            with ending(trained.loggers):
                result = from_rank_zero(conclude(ready, trained, progress) if rank_zero else None)
        assert isinstance(result, Result)
        if rank_zero:
            complete_records(trained.loggers, config, result)
    return result


def _environment(ready: Prepared) -> dict[str, Any]:
    """Returns the record of the start that began the run, with those that continued it in order."""
    now = environment(ready.hardware)
    if (first := read_record(ready.run_dir / "environment.json")) is None:
        return now if ready.start is None else {**now, "start_from": ready.start}
    before = first.get("continued")
    starts = [*(before if isinstance(before, list) else []), {"from": list(ready.position), **now}]
    return {**first, "continued": starts}


def _set_aside(ready: Prepared) -> None:
    """Renames the result of a run that had ended and is trained further, and a damaged checkpoint."""
    saved = ready.saved
    if saved is None:
        return
    result = ready.run_dir / "result.json"
    if saved.epochs != ready.config.epochs and result.is_file():
        os.replace(result, result.with_name(f"result-{saved.epochs}-epochs.json"))
    if saved.instead_of is not None and saved.path.parent.parent.samefile(ready.run_dir):
        set_aside(saved.path.parent)


def _gather_skipped(data: Data) -> None:
    """Adds the files that other processes have skipped, so that the result counts them too."""
    everywhere = from_all(data.unreadable)
    if isinstance(data.train, ReaderSplit) and data.train.unreadable is not None:
        for unreadable in everywhere:
            data.train.unreadable.update(unreadable)
