"""A tiny trained run for the tests of what is done with one, and ways to harm it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import ssl_zoo
from helpers.runs import overrides
from ssl_zoo.run_dir.checkpoints import read_checkpoint


def train_tiny(folder: Path, method: str = "simsiam", *more: str) -> Path:
    """Trains two epochs of 160 digits; returns the run directory."""
    ssl_zoo.train(overrides(method, "monitor.baselines=false", f"run_dir={folder}", *more), silent=True)
    return folder


class Bomb:
    """Makes a folder `boom` when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("boom",))


def rewrite(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a checkpoint and writes it anew, whole."""
    contents = read_checkpoint(file)
    change(contents)
    torch.save(contents, file)


def _drop_a_weight(contents: dict[str, Any]) -> None:
    del contents["state_dict"]["method.encoder.backbone.conv1.weight"]


def _add_a_weight(contents: dict[str, Any]) -> None:
    contents["state_dict"]["method.encoder.backbone.conv9.weight"] = torch.zeros(1)


def _reshape_a_weight(contents: dict[str, Any]) -> None:
    state = contents["state_dict"]
    name = "method.encoder.backbone.conv1.weight"
    state[name] = state[name][:-1]


def _forget_the_stamp(contents: dict[str, Any]) -> None:
    del contents["ssl_zoo"]


# What is done to a run's last checkpoint, and what the refusal says of it.
HARMS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a weight missing": (lambda file: rewrite(file, _drop_a_weight), "1 missing, such as 'conv1.weight'"),
    "a weight too many": (lambda file: rewrite(file, _add_a_weight), "1 unknown, such as 'conv9.weight'"),
    "another shape": (
        lambda file: rewrite(file, _reshape_a_weight),
        "1 of another shape, such as 'conv1.weight'",
    ),
    "of another program": (lambda file: rewrite(file, _forget_the_stamp), "holds no run"),
    "cut off": (lambda file: file.write_bytes(file.read_bytes()[:1000]), "BadZipFile"),
    "code": (lambda file: torch.save({"ssl_zoo": Bomb()}, file), "it would run code"),
    "none there": (lambda file: file.unlink(), "holds no checkpoints/last.ckpt"),
}
