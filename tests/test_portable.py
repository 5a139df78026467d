"""The package runs where text is not UTF-8 by default, and where there are no POSIX calls, as on Windows."""

from __future__ import annotations

import ast
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssl_zoo.terminal import signals

ROOT = Path(__file__).parents[1]
FILES = sorted(path for room in ("ssl_zoo", "methods") for path in (ROOT / room).rglob("*.py"))
# What Windows lacks, and why a file may name it.
POSIX = {
    "os": {
        "fork",
        "getuid",
        "killpg",
        "kill",
        "mkfifo",
        "nice",
        "pread",
        "sched_getaffinity",
        "setsid",
        "uname",
    },
    "signal": {"SIGALRM", "SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "alarm", "pause"},
}
MODULES = {"fcntl", "grp", "pty", "pwd", "resource", "termios"}
GUARDED = {
    "ssl_zoo/data/shards/split.py": "by hasattr: os.pread, else seek and read",
    "ssl_zoo/data/workers.py": "by hasattr: os.sched_getaffinity, else os.cpu_count",
    "ssl_zoo/files/locks.py": "behind sys.platform == 'win32'",
    "ssl_zoo/hardware/free_memory.py": "its caller catches ImportError",
    "ssl_zoo/hardware/peak_memory.py": "catches ImportError",
    "ssl_zoo/suites/launch_local.py": "HAS_GROUPS; os.sched_getaffinity by hasattr",
    "ssl_zoo/terminal/signals.py": "by hasattr, and os.name",
}
NOT_TEXT = {"Image", "client", "os", "system", "tarfile", "webbrowser"}  # whose `open` opens no text


def calls(path: Path) -> Iterator[ast.Call]:
    return (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
    )


def opens_text(call: ast.Call) -> bool:
    """Whether a call reads or writes text, and takes an encoding."""
    name = ast.unparse(call.func)
    receiver, _, method = name.rpartition(".")
    if method in ("read_text", "write_text"):
        return True
    if method in ("TemporaryFile", "NamedTemporaryFile"):
        default, modes = "w+b", call.args[:1]
    elif method == "open" and receiver.rpartition(".")[2] not in NOT_TEXT:
        default, modes = "r", call.args[:1] if receiver else call.args[1:2]
    else:
        return False
    modes = [*modes, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
    return "b" not in (ast.unparse(modes[0]) if modes else default)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_text_has_its_encoding(path: Path) -> None:
    without = [
        f"{path.name}:{call.lineno}: {ast.unparse(call)}"
        for call in calls(path)
        if opens_text(call) and not any(keyword.arg == "encoding" for keyword in call.keywords)
    ]
    assert not without


def posix_names(path: Path) -> set[str]:
    """The names in a file that Windows lacks."""
    named = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named |= {node.attr} & POSIX.get(node.value.id, set())
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            named |= {*modules} & MODULES
    return named


def test_what_windows_lacks_is_named_in_files_that_have_another_way() -> None:
    assert {path.relative_to(ROOT).as_posix() for path in FILES if posix_names(path)} == set(GUARDED)


@pytest.mark.parametrize("system", ["posix", "nt"])
def test_a_thread_stops_its_process(system: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the handler of SIGTERM in the main thread. On Windows os.kill would end the process without it."""
    if system == "nt":
        monkeypatch.setattr(signals, "os", SimpleNamespace(name="nt", getpid=os.getpid))
    request = signals.StopRequest()
    request.listen()
    try:
        thread = threading.Thread(target=signals.stop_this_process)
        thread.start()
        thread.join()
        assert (request.asked, request.number) == (True, signal.SIGTERM)
    finally:
        request.close()
