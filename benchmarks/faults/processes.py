"""Commands of ssl-zoo, each in a fork of this process, which has imported everything and computed nothing."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import logging
import os
import re
import runpy
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, TextIO

from .injection import Injection, plant

__all__ = ["Command", "Ended", "warm_up"]

MODULES = (
    "training.run", "evaluation.run", "reports.bench", "reports.report", "exporters.run", "exporters.to_timm",
    "exporters.to_safetensors", "embedding.run", "importers.run", "training.curves", "pages.charts", "suites.worker",
    "sharding.run",
)  # fmt: skip
LIMIT = 200.0  # seconds of a command, which is then taken to hang
DIE_WITH_PARENT = 1  # of prctl


class Ended(NamedTuple):
    """A command that has ended."""

    status: int  # negative: the signal that ended it
    out: str
    err: str
    seconds: float

    @property
    def line(self) -> str:
        """The last line of stderr."""
        return (self.err.strip().splitlines() or [""])[-1]


def warm_up() -> None:
    """Imports heavy modules once."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", COLUMNS="1000")
    for name in MODULES:
        importlib.import_module(f"ssl_zoo.{name}")
    for name in ("sklearn.datasets", "pyarrow.parquet", "tensorboard.summary.writer.event_file_writer"):
        importlib.import_module(name)
    importlib.import_module("torch").set_num_threads(1)
    logging.getLogger("tensorboard").setLevel(logging.ERROR)


def _fork_modules(fault: Injection | None) -> None:
    """Lets further Python processes of this one be forks too, which have nothing to import, and plants their fault."""
    start: Any = subprocess.Popen

    def fork(command: Sequence[str], **how: Any) -> Any:
        name = (
            re.search(r"run_module\('([\w.]+)'", command[2])
            if command[:2] == [sys.executable, "-c"]
            else None
        )
        if name is None:
            return start(command, **how)

        def work() -> NoReturn:
            os.closerange(3, 256)  # one of them tells the parent that the program has begun
            os.environ.clear()
            os.environ.update(how["env"])
            sys.stdin, sys.stdout, sys.stderr = map(_stream, range(3))
            sys.argv = [name[1], *command[3:]]
            if fault is not None and fault.module == name[1]:
                plant(fault)
            _end(lambda: runpy.run_module(name[1], run_name="__main__", alter_sys=True))

        return start(command, preexec_fn=work, **how)

    subprocess.Popen = fork  # type: ignore[assignment, misc]


def _stream(number: int) -> TextIO:
    return os.fdopen(number, "w" if number else "r", closefd=False)


def _end(action: Callable[[], object]) -> NoReturn:
    """Ends this fork as an interpreter would end after the action."""
    status = 1
    try:
        action()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()
    os._exit(status)


class Command:
    """A command that runs in a fork.

    Args:
        arguments: of `ssl-zoo`.
        folder: where it runs.
        fault: what happens to it.
        before: is called in the fork first.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        fault: Injection | None = None,
        before: Callable[[], object] | None = None,
    ) -> None:
        self.started, self._out_err = time.monotonic(), ["", ""]
        ends = [os.pipe(), os.pipe()]
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._child(arguments, folder, fault, before, [write for _, write in ends])
        self._readers = []
        for number, (read, write) in enumerate(ends):
            os.close(write)
            file = os.fdopen(read, errors="replace")
            self._readers.append(threading.Thread(target=self._read, args=(number, file), daemon=True))
            self._readers[-1].start()

    def _child(
        self,
        arguments: Sequence[str],
        folder: Path,
        fault: Injection | None,
        before: Callable[[], object] | None,
        ends: list[int],
    ) -> NoReturn:
        def action() -> None:
            os.setsid()
            ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
            for number, end in enumerate(ends, 1):
                os.dup2(end, number)
            sys.stdout, sys.stderr = map(_stream, (1, 2))
            os.chdir(folder)
            _fork_modules(fault)
            if before is not None:
                before()
            if fault is not None and not fault.module:
                plant(fault)
            sys.argv = ["ssl-zoo", *arguments]
            importlib.import_module("ssl_zoo.cli.main").entry()

        _end(action)

    def _read(self, number: int, file: IO[str]) -> None:
        with file:
            for line in file:
                self._out_err[number] += line

    def wait(self, limit: float = LIMIT) -> Ended:
        """Waits for its end, and ends what it leaves behind in its session.

        Raises:
            TimeoutError: it has not ended in time, and was killed.
        """
        until = time.monotonic() + limit
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > until:
                self._kill()
                os.waitpid(self.pid, 0)
                raise TimeoutError(
                    f"the command did not end within {limit} s; stderr: {self._out_err[1][-2000:]}"
                )
            time.sleep(0.02)
        for reader in self._readers:
            reader.join(timeout=10)
        self._kill()
        out, err = self._out_err
        return Ended(os.waitstatus_to_exitcode(status), out, err, time.monotonic() - self.started)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
