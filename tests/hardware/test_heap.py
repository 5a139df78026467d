"""Freed memory stays with a process that asks for it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
from ssl_zoo.hardware.heap import keep_freed_memory, return_freed_memory

def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        bytearray(8 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "keep":
    keep_freed_memory()
faults(1)
kept = faults(20)
return_freed_memory()
print(kept, faults(1))
"""


def _faults(how: str) -> list[int]:
    printed = subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True)
    return [int(number) for number in printed.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    kept, after = _faults("keep")
    assert (
        kept < after / 4
    )  # of twenty times 8 MiB; then of one, whose pages are as large as the system likes
    usual, _ = _faults("not")
    assert usual > kept
