"""Memory that runs out ends a verb with one message, whoever noticed it, and leaves no empty run directory."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.runs import overrides
from torch.utils.data import DataLoader, Dataset

from ssl_zoo.cli import main as cli
from ssl_zoo.terminal.out_of_memory import out_of_memory_message
from ssl_zoo.training import run as run_module

pytestmark = pytest.mark.slow


def too_large() -> None:
    torch.empty(2**50)


def too_large_for_numpy() -> None:
    np.empty(2**50)


class Killed(Dataset[int]):
    """Whose worker is killed as the kernel does it."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return index


def worker_killed() -> None:
    list(DataLoader(Killed(), num_workers=1, multiprocessing_context="fork"))


def on_a_gpu() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.\nmore lines")


def wrapped() -> None:
    try:
        too_large()
    except RuntimeError as error:
        raise KeyError("something else") from error


FAULTS = [
    too_large,
    too_large_for_numpy,
    on_a_gpu,
    wrapped,
    *([worker_killed] if hasattr(os, "fork") else []),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_training_that_runs_out_of_memory(
    fault: Callable[[], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fit(*_: Any, **__: Any) -> None:
        fault()

    monkeypatch.setattr(run_module, "fit", fit)
    assert cli.main(["train", *overrides("simsiam", f"run_dir={tmp_path / 'run'}")]) == 1
    printed = capfd.readouterr().err
    (line,) = [line for line in printed.splitlines() if line.startswith("ssl-zoo: ")]
    killed = "ssl-zoo: a worker process was killed (signal 9); often memory ran out; "
    assert line.startswith(killed if fault is worker_killed else "ssl-zoo: memory ran out: ")
    assert "set a smaller batch_size (trainer.accumulate=N keeps the images per step)" in line
    assert "Traceback" not in printed
    assert not (tmp_path / "run").exists() or not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("verb", ["eval", "bench", "report", "export", "embed", "doctor"])
def test_every_verb_says_it_in_one_line(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(cli.VERBS, verb, lambda overrides: too_large())
    assert cli.main([verb, "x=1"]) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("ssl-zoo: memory ran out: ")
    assert printed.count("\n") == 1


def test_other_errors_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(overrides: object) -> None:
        raise RuntimeError("shapes differ")

    monkeypatch.setitem(cli.VERBS, "eval", fail)
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main(["eval", "run=x"])
    assert out_of_memory_message(RuntimeError("shapes differ"), "eval") is None
