"""Further processes without their imports, which take seconds each: forks of a process that has imported everything.

    with forks.instead_of_interpreters(): ...

has `subprocess.Popen([sys.executable, ...])` fork what the interpreter would run, in tests to which the start of an
interpreter is not the point. The fork is this process's child, with the streams, the environment and the working
directory asked for, and runs a script, `-m MODULE` or `-c CODE` to the end of an interpreter; so do those that it
starts itself. A process that has computed must not be forked (torch refuses a backward pass in it), so that a
server does it, which only imports. What it forks for this process, the parent of orphans, is adopted by it; what it
forks for a process that isn't its ancestor, such as srun's, it waits for itself, and reports the status.

Elsewhere than on Linux interpreters are started.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

SERVER = "SSL_ZOO_TESTS_FORKS"  # variable with the server's address, for processes that are not its ancestors
BECOME_SUBREAPER, DIE_WITH_PARENT = 36, 1  # of prctl
IMPORTS = (
    "ssl_zoo.training.run",
    "ssl_zoo.reports.bench",
    "ssl_zoo.evaluation.run",
    "ssl_zoo.training.sharded_weights",
    "torch.distributed.launcher.api",
    "torch.utils.tensorboard",
)
FLAGS = ("-m", "-c", "-u")  # of an interpreter, that are understood
real: Any = subprocess.Popen


class Wanted(NamedTuple):
    """What an interpreter would be given."""

    arguments: list[str]  # without the interpreter's own
    environment: dict[str, str]
    folder: str
    session: bool = False  # whether it leads a new one
    adopted: bool = True  # whether the process that asks becomes its parent


def run_here(wanted: Wanted) -> None:
    """Does in this process what the interpreter would."""
    os.environ.clear()
    os.environ.update(wanted.environment)
    os.chdir(wanted.folder)
    if wanted.session:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    subprocess.Popen = Forked  # type: ignore[misc]
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    _open_streams()
    first, *rest = (argument for argument in wanted.arguments if argument != "-u")
    if first == "-m":
        sys.argv = ["", *rest[1:]]
        sys.path.insert(0, "")
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        exec(compile(rest[0], "<string>", "exec"), main.__dict__)
    else:
        sys.argv = [first, *rest]
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")


def _open_streams() -> None:
    """Opens the standard streams as an interpreter does: the server's may have been files, and these be pipes."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    at_once = bool(os.environ.get("PYTHONUNBUFFERED"))
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        stream = open(  # noqa: SIM115
            fd,
            "w" if fd else "r",
            encoding=encoding or getattr(sys, f"__{name}__").encoding,
            errors="backslashreplace" if name == "stderr" else errors or "strict",
            closefd=False,
        )
        if fd:
            stream.reconfigure(write_through=at_once, line_buffering=name == "stderr")  # type: ignore[union-attr]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


class Forked(real):  # type: ignore[misc]
    """`subprocess.Popen`, with a fork of this process for an interpreter's start."""

    def _execute_child(self, args: Any, executable: Any, preexec_fn: Any, *more: Any) -> None:
        close_fds, pass_fds, cwd, env, _, _, shell, *rest = more
        streams, session = rest[:6], rest[11]
        starts = isinstance(args, (list, tuple)) and args[0] == sys.executable and len(args) > 1
        if shell or preexec_fn or not starts or not (args[1] in FLAGS or str(args[1]).endswith(".py")):
            super()._execute_child(args, executable, preexec_fn, *more)
            return
        environment = dict(os.environ if env is None else env)
        wanted = Wanted(list(args[1:]), environment, os.fspath(cwd or os.getcwd()), bool(session))
        child_ends = [streams[0], streams[3], streams[5]]  # of stdin, stdout, stderr; -1: this process's own
        fds = [number if fd == -1 else fd for number, fd in enumerate(child_ends)]
        self.pid = self._fork(wanted, fds, pass_fds if close_fds else ())
        self._child_created = True
        self._close_pipe_fds(*streams)

    def _fork(self, wanted: Wanted, fds: Sequence[int], keep: Sequence[int]) -> int:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if (pid := os.fork()) == 0:
            _end_as_interpreter(wanted, fds, keep)
        return pid


class ForkedByServer(Forked):
    """The same for a process that has computed."""

    def _fork(self, wanted: Wanted, fds: Sequence[int], keep: Sequence[int]) -> int:
        assert not keep
        with _ask(server(), wanted, fds) as answers:
            return int(answers.recv(100))


def _end_as_interpreter(wanted: Wanted, fds: Sequence[int], keep: Sequence[int] = ()) -> None:
    """Runs what is wanted in this fork, and ends the process as an interpreter ends."""
    atexit._clear()
    high = [os.dup(fd) for fd in fds]
    for number, fd in enumerate(high):
        os.dup2(fd, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):
                os.close(int(name))
    status = 1
    try:
        run_here(wanted)
        status = 0
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        else:
            status = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(status)


def _ask(address: str, wanted: Wanted, fds: Sequence[int]) -> socket.socket:
    """Sends the server what is wanted; it answers with a process's number, and its status if it keeps it."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(address)
    part = Path(f"{address}.{os.getpid()}")
    part.write_text(json.dumps(wanted))
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
    connection.sendmsg([os.fsencode(part)], [rights])
    return connection


def status_of(
    command: Sequence[str], environment: Mapping[str, str], fds: Sequence[int]
) -> tuple[Callable[[], int], int]:
    """Forks for a process that isn't the server's ancestor; returns what waits for its status, and its number."""
    wanted = Wanted(list(command[1:]), dict(environment), os.getcwd(), adopted=False)
    answers = _ask(os.environ[SERVER], wanted, fds)
    pid = int(answers.recv(100))
    return lambda: int(answers.recv(100)), pid


@functools.cache
def server() -> str:
    """Starts the server of this process; returns its address. It ends with this process."""
    ctypes.CDLL(None).prctl(BECOME_SUBREAPER, 1, 0, 0, 0)
    address = str(Path(tempfile.mkdtemp()) / "forks")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = real([sys.executable, __file__, address], env=environment, stdout=subprocess.PIPE)
    _servers.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n", "see its traceback on stderr"
    os.environ[SERVER] = address
    return address


def close() -> None:
    """Ends the server of this process, if there is one."""
    for process in _servers:
        with process:
            process.kill()
        shutil.rmtree(Path(os.environ.pop(SERVER)).parent, ignore_errors=True)


_servers = list[Any]()


@contextlib.contextmanager
def instead_of_interpreters() -> Iterator[None]:
    """Has this process fork where it would start an interpreter, while the block lasts."""
    if sys.platform != "linux":
        yield
        return
    server()
    with mock.patch.object(subprocess, "Popen", ForkedByServer):
        yield


def serve(address: str) -> None:
    """Imports, and forks what it is asked for."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)
    del sys.path[0]  # this folder
    for name in IMPORTS:
        importlib.import_module(name)
    threads = {file.read_text().strip() for file in Path("/proc/self/task").glob("*/comm")}
    assert threads <= {Path("/proc/self/comm").read_text().strip(), "jemalloc_bg_thd"}, (
        threads
    )  # a fork has one
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(100)
    print("ready", flush=True)
    waiting: dict[int, socket.socket] = {}
    while True:
        if select.select([listener], [], [], 0.02 if waiting else None)[0]:
            connection, _ = listener.accept()
            message, rights, *_ = connection.recvmsg(4096, socket.CMSG_SPACE(12))
            file, fds = Path(os.fsdecode(message)), array.array("i")
            fds.frombytes(rights[0][2])
            wanted = Wanted(*json.loads(file.read_text()))
            file.unlink()
            pid = _fork_orphan(wanted, fds) if wanted.adopted else _fork_child(wanted, fds)
            for fd in fds:
                os.close(fd)
            connection.send(str(pid).encode())
            if wanted.adopted:
                connection.close()
            else:
                waiting[pid] = connection
        for pid in list(waiting):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                with waiting.pop(pid) as connection, contextlib.suppress(OSError):
                    connection.send(str(os.waitstatus_to_exitcode(status)).encode())


def _fork_child(wanted: Wanted, fds: Sequence[int]) -> int:
    if (pid := os.fork()) == 0:
        _end_as_interpreter(wanted, fds)
    return pid


def _fork_orphan(wanted: Wanted, fds: Sequence[int]) -> int:
    """Forks a process whose parent ends at once, so that the ancestor that adopts orphans becomes its parent."""
    end, note = os.pipe()
    if (between := os.fork()) == 0:
        parent = os.getpid()
        if (pid := os.fork()) == 0:
            while os.getppid() == parent:
                time.sleep(0.001)
            _end_as_interpreter(wanted, fds)
        os.write(note, str(pid).encode())
        os._exit(0)
    os.waitpid(between, 0)
    pid = int(os.read(end, 20))
    os.close(end)
    os.close(note)
    return pid


if __name__ == "__main__":
    serve(sys.argv[1])
