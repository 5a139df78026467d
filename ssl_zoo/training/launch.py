"""Starts the other processes of a training on this machine.

One command starts them all: the process that the user started has rank zero, and it starts the rest with the
complete configuration once that has been checked. Lightning's own launcher would run the user's script anew,
which a notebook does not have and a test runner must not run. Started by torchrun, or by srun with one task per
process, nothing is started here. With several machines and neither of these, the same command runs on each,
with NODE_RANK, MASTER_ADDR and MASTER_PORT set.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import torch

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.errors import Interrupted, ProcessLost, UserError
from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.run_dir.directory import command_to_continue
from ssl_zoo.terminal.out_of_memory import out_of_memory_message, reports_out_of_memory
from ssl_zoo.training.process import launcher

__all__ = ["PREFIX", "launched"]

PREFIX = "ssl-zoo: "  # of a message to the user
PATIENCE = 10.0  # seconds for the error to come through by itself, before another's ends this process
MOMENT = 30.0  # seconds in which a failing process gets to its end, on a busy machine too


@contextmanager
def launched(config: RunConfig) -> Iterator[None]:
    """Runs the other processes of this machine for the time of the block, where nothing else starts them.

    If one of them fails this process ends as well; otherwise it would wait for ever.

    Raises:
        UserError: another process has met an error of the user's, such as a file that cannot be read.
        ProcessLost: one that torchrun or srun started has ended, on another machine perhaps.
    """
    before = dict(os.environ)
    was_started = "LOCAL_RANK" in os.environ
    starts_none = config.trainer.devices == 1 or was_started or launcher(config) != "itself"
    others = [] if starts_none else _start(config)
    over = threading.Event()
    if others:
        threading.Thread(target=_watch, args=(others, over), daemon=True).start()
    try:
        yield
        _leave_group()
        for other in others:
            other.process.wait(timeout=60)
    except (UserError, Interrupted):
        raise
    except Exception as error:
        over.set()
        if not _is_local(error) and (failure := _failure(others)) is not None:
            raise failure from error
        if config.trainer.processes > 1 and _is_lost_connection(error):
            raise ProcessLost(_lost_message(config, error)) from error
        raise
    finally:
        over.set()
        for other in others:
            other.process.kill()
            other.process.wait()
            other.errors.close()
        _leave_group()
        os.environ.clear()
        os.environ.update(before)


class _Other(NamedTuple):
    """Another process that this one started, with what it wrote to stderr."""

    rank: int
    process: subprocess.Popen[str]
    errors: IO[str]

    def failure(self) -> Exception | None:
        """Returns why it ended, if it ended badly."""
        if self.process.poll() in (None, 0):
            return None
        self.errors.seek(0)
        text = self.errors.read()
        if self.process.returncode == 2:
            return UserError(text.rpartition(PREFIX)[2].strip())
        if self.process.returncode == -9:  # as the kernel ends what takes too much
            return MemoryError(
                f"process {self.rank} of the training was killed (signal 9), for which memory is the usual reason"
            )
        if reports_out_of_memory(text):
            return MemoryError(f"process {self.rank} of the training was refused memory")
        return RuntimeError(
            f"process {self.rank} of the training ended with status {self.process.returncode}\n{text[-3000:]}"
        )


def _start(config: RunConfig) -> list[_Other]:
    devices = config.trainer.devices
    os.environ.update(_environment(config.trainer.processes))
    command = module_command("ssl_zoo.training.further_process", str(os.getpid()))
    others = []
    for rank in range(1, devices):
        errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 (closed with the process)
        process = subprocess.Popen(
            command,
            env={**os.environ, "LOCAL_RANK": str(rank)},
            stdin=subprocess.PIPE,
            stdout=errors,
            stderr=errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches rank zero alone, which stops the others
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:  # it has ended already: _watch reports why
            process.stdin.write(json.dumps(to_mapping(config)))
        others.append(_Other(rank, process, errors))
    return others


def _environment(world_size: int) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    return {
        "LOCAL_RANK": "0",
        "NODE_RANK": os.environ.get("NODE_RANK", "0"),
        "WORLD_SIZE": str(world_size),
        "MASTER_ADDR": os.environ.get("MASTER_ADDR", "127.0.0.1"),
        "MASTER_PORT": os.environ.get("MASTER_PORT", port),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }


def _is_local(error: Exception) -> bool:
    """Whether the error is this process's alone. The others then wait for this one and would not end."""
    return isinstance(error, OSError) or out_of_memory_message(error, "train") is not None


def _is_lost_connection(error: Exception) -> bool:
    """Whether a process waited in vain for another: gloo raises RuntimeErrors with the place in its sources."""
    if not isinstance(error, RuntimeError) or "ncclInvalid" in str(error):  # a disk's; a wrong request
        return False
    return isinstance(error, torch.distributed.DistError) or bool(re.search(r"gloo/|by peer", str(error)))


def _lost_message(config: RunConfig, error: Exception) -> str:
    reason = re.sub(r"^\[\S*\] |\. This is .*", "", next(iter(str(error).splitlines()), type(error).__name__))
    rest = "" if config.run_dir is None else f"; to continue: {command_to_continue(Path(config.run_dir))}"
    return (
        "another process of the training has ended, or its machine does not answer any more, and so ends this one "
        f"({reason}); what was saved before is kept{rest}"
    )


def _failure(others: list[_Other]) -> Exception | None:
    """Returns why another process failed, waiting a moment for it; an error of the user's before any other."""
    deadline = time.monotonic() + MOMENT
    while time.monotonic() < deadline and any(other.process.poll() is None for other in others):
        time.sleep(0.1)
    failures = [failure for other in others if (failure := other.failure()) is not None]
    return min(failures, key=lambda failure: not isinstance(failure, UserError), default=None)


def _watch(others: list[_Other], over: threading.Event) -> None:
    """Ends this process, which may wait for a message for ever, when another has failed."""
    while not over.wait(1.0):
        for other in others:
            failure = other.failure()
            if failure is not None and not over.wait(PATIENCE):
                for rest in others:
                    rest.process.kill()
                sys.stderr.write(f"{PREFIX}{failure}\n")
                sys.stderr.flush()
                os._exit(2 if isinstance(failure, UserError) else 1)


def _leave_group() -> None:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
