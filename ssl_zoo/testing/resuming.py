"""Clause on a run that is stopped and resumed: it ends as the run that was left alone, to the bit."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.errors import Interrupted
from ssl_zoo.method import Method
from ssl_zoo.run_dir.checkpoints import LAST, STAMP, read_checkpoint
from ssl_zoo.testing.contract import Broken
from ssl_zoo.testing.setting import Setting
from ssl_zoo.testing.stopping import stopped_after
from ssl_zoo.testing.train_steps import train_steps
from ssl_zoo.training.fit import fit
from ssl_zoo.training.prepare import prepare

__all__ = ["resume"]

STOPPED = 2  # optimizer steps, of three in an epoch


def resume(setting: Setting) -> None:
    """A run that is stopped and resumed ends as one that was left alone, to the bit: all state is in the checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        whole = _train(setting, Path(folder) / "whole")
        try:
            with stopped_after(STOPPED):
                _train(setting, Path(folder) / "stopped")
        except Interrupted:
            saved = Path(folder) / "stopped" / "checkpoints" / LAST
        resumed = _train(setting, Path(folder) / "resumed", f"resume={saved}")
    differing = [name for name, value in whole.items() if resumed.get(name) != value]
    if differing or whole.keys() != resumed.keys():
        culprits = _outside(setting)
        changed = f"; what changes in training and is not saved: {', '.join(culprits)}" if culprits else ""
        raise Broken(
            "all state of the method in its state dict, and nothing that lasts from step to step beside it",
            f"{len(differing)} values of the last checkpoint that differ after a stop{changed}",
            "register a tensor that changes by register_buffer, empty in after_step what loss noted, take the number "
            "of the step from the progress that hooks are given, and draw from torch's global generator alone",
        )


def _train(setting: Setting, run_dir: Path, *more: str) -> dict[str, bytes]:
    """Trains two epochs without measuring; returns the values of the last checkpoint by their path."""
    run_dir.mkdir()
    config = setting.compose(f"run_dir={run_dir}", *more)
    ready = dataclasses.replace(prepare(config, run_dir), evaluator=None)
    fit(ready, lambda row: None)
    saved = read_checkpoint(run_dir / "checkpoints" / LAST)
    saved[STAMP].pop("config")  # has the run directory
    return {path: value for path, value in _flat(saved) if "/callbacks/" not in path}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Yields the leaves of nested lists and mappings as bytes, so that nan equals nan."""
    if isinstance(value, (dict, list, tuple)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(inner, f"{path}/{key}")
    elif isinstance(value, torch.Tensor):
        yield path, value.contiguous().flatten().view(torch.uint8).numpy().tobytes()
    else:
        yield path, repr(value).encode()


def _outside(setting: Setting) -> list[str]:
    """Returns the attributes that three steps change and that the state dict does not hold."""
    method = setting.build()
    before = dict(_attributes(method))
    train_steps(method, setting.batches(3), lr=0.1)
    return [name for name, value in _attributes(method) if before.get(name) != value]


def _attributes(method: Method) -> Iterator[tuple[str, Any]]:
    """Yields plain numbers and tensors among the modules' attributes, and the buffers that are not saved."""
    saved, torchs = method.state_dict(), vars(torch.nn.Module()).keys()
    for path, module in method.named_modules():
        for name, value in vars(module).items():
            if name not in torchs and isinstance(value, (int, float, list, tuple, dict, torch.Tensor)):
                yield f"{path}.{name}".lstrip("."), tuple(_flat(value))
    for name, buffer in method.named_buffers():
        if name not in saved:
            yield name, tuple(_flat(buffer))
