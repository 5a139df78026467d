"""Runs that halt at a step until they are stopped or killed, so that a test meets them under way on any machine.

    HOLD=FOLDER:STEP python tests/helpers/stopping.py VERB OVERRIDES ...

does what `ssl-zoo VERB OVERRIDES ...` does, the runs of a suite included. A run that has done so many optimizer steps
in this start notes its process's number in FOLDER/NAME, NAME being that of its run directory, and waits for a signal.
With HOLD_RANK=1 it is that process of several. A run that has noted itself does not halt again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GUARD = 600.0  # seconds after which a test that waits has failed: not a measure of speed


def start(hold: Path, step: int, *command: str) -> subprocess.Popen[str]:
    """Starts a verb whose runs halt at a step and note themselves in `hold`."""
    hold.mkdir()
    return subprocess.Popen(
        [sys.executable, __file__, *command],
        env={**os.environ, "HOLD": f"{hold}:{step}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def halted(hold: Path, runs: int, process: subprocess.Popen[str]) -> list[int]:
    """Waits until so many runs have halted; returns their processes' numbers."""
    wait_for(lambda: len(list(hold.glob("*.pid"))) == runs or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    return [int(file.read_text()) for file in hold.glob("*.pid")]


def wait_for(what: Callable[[], object]) -> None:
    until = time.monotonic() + GUARD
    while not what():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """The processes that a process has started, on Linux."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def is_gone(pid: int) -> bool:
    """Whether a process has ended, or waits for whoever inherited it to take note."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def _hold() -> None:
    from ssl_zoo.training.callbacks import EpochRows
    from ssl_zoo.training.saving import StopWhenAsked

    folder, _, step = os.environ["HOLD"].rpartition(":")
    inner = EpochRows.on_train_batch_end  # before the step is saved

    def halting(self: EpochRows, trainer: Any, *rest: Any) -> None:
        rank, note = int(os.environ.get("HOLD_RANK", "0")), Path(folder) / self.run_dir.name
        noted = note.with_name(f"{note.name}.pid").exists()
        if trainer.global_step == int(step) and self.process.rank == rank and not noted:
            note.write_text(str(os.getpid()))
            note.rename(note.with_name(f"{note.name}.pid"))  # whole from the first moment that it is seen
            (stop,) = (callback for callback in trainer.callbacks if isinstance(callback, StopWhenAsked))
            while not stop.request.asked:
                time.sleep(0.02)
        inner(self, trainer, *rest)

    EpochRows.on_train_batch_end = halting  # type: ignore[method-assign,assignment]


def _suite() -> None:
    """Has the runs of a suite started by this file too."""
    from ssl_zoo.hardware.interpreter import module_command
    from ssl_zoo.suites import launch_local as local

    real = subprocess.Popen

    class Held(real):  # type: ignore[misc, valid-type]
        def __init__(self, command: list[str], **more: Any) -> None:
            if command == module_command("ssl_zoo.suites.worker", "--serve"):  # and not scontrol
                command = [command[0], __file__, "work", *command[3:]]
            super().__init__(command, **more)

    local.subprocess.Popen = Held  # type: ignore[attr-defined, misc]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    if sys.argv[1] == "work":
        from ssl_zoo.suites import worker as work

        _hold()
        sys.argv = sys.argv[1:]
        work.main()
    else:
        from ssl_zoo.cli import main as cli

        if sys.argv[1] == "bench":
            _suite()
        else:
            _hold()
        sys.exit(cli.main(sys.argv[1:]))
