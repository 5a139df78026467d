"""Processes that end with the one that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import multiprocessing, os, sys, time
from ssl_zoo.terminal.signals import end_with_parent


def child():
    end_with_parent()
    print("begun", flush=True)
    time.sleep(30)
    print("survived", flush=True)


if __name__ == "__main__":
    process = multiprocessing.get_context(sys.argv[1]).Process(target=child)
    process.start()
    process.join()
"""


@pytest.mark.skipif(os.name == "nt", reason="a child's output does not come through the parent's pipe")
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_ends_when_its_parent_is_killed(method: str, tmp_path: Path) -> None:
    """The pipe ends when all who write to it have ended: the child among them, long before it would by itself."""
    (tmp_path / "script.py").write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, tmp_path / "script.py", method], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "begun\n"
    parent.kill()
    assert parent.stdout.read() == ""
    parent.wait()
    parent.stdout.close()


FORKED = """
import os, signal, sys, time
from ssl_zoo.terminal.signals import StopRequest, signals_interrupt

with StopRequest() if sys.argv[1] == "loop" else signals_interrupt():
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows forks no processes")
@pytest.mark.parametrize("where", ["loop", "elsewhere"])
def test_a_worker_that_is_just_starting_ends_without_a_traceback(where: str) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, where], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (f"{int(signal.SIGTERM)}\n", "")
