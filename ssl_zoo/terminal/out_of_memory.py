"""Turns all ways to run out of memory into one message with advice, instead of a traceback.

torch has an exception class for a GPU's memory only; a CPU's allocator, DataLoader's killed workers and the processes
of a training raise a RuntimeError that is known by its text.
"""

from __future__ import annotations

import errno

__all__ = ["out_of_memory_message", "reports_out_of_memory"]

TEXTS = (
    "can't allocate memory",  # torch's CPU allocator
    "not enough memory",  # the same on Windows
    "out of memory",  # CUDA, cuDNN, MPS
    "Cannot allocate memory",
    "out of shared memory",
    "unable to mmap",
)
TRAINING = (
    "set a smaller batch_size (trainer.accumulate=N keeps the images per step) or a smaller augment.size"
)
WORKER = "is killed by signal: Killed"  # a DataLoader's worker
KILLED = "a worker process was killed (signal 9); often memory ran out"
LOADING = "data.workers=0 and data.cache_mb=0 take less as well"
OTHERWISE = "close other programs, or take fewer runs or images at once"
HELP = {
    "train": f"{TRAINING}; {LOADING}",
    "doctor": f"{TRAINING}; {LOADING}",
    "bench": f"{TRAINING} for its runs; {LOADING}",
    "eval": f"set a smaller batch_size or chunk under the protocol's key; {LOADING}",
    "embed": f"set a smaller batch_size; {LOADING}",
}


def reports_out_of_memory(text: str) -> bool:
    """Whether a text, such as an error's or the last output of a process, reports that memory ran out."""
    return WORKER in text or any(sign in text for sign in TEXTS)


def out_of_memory_message(error: BaseException, verb: str) -> str | None:
    """Returns the message for an error that memory running out has caused; None where something else has.

    Args:
        error: whatever was raised.
        verb: of the command line, whose keys the message proposes.
    """
    visited: set[int] = set()  # causes may go in a circle
    cause: BaseException | None = error
    while cause is not None and id(cause) not in visited:
        visited.add(id(cause))
        refused = isinstance(cause, OSError) and cause.errno == errno.ENOMEM
        if isinstance(cause, RuntimeError) and WORKER in str(cause):
            return f"{KILLED}; {HELP.get(verb, OTHERWISE)}"
        if refused or isinstance(cause, MemoryError) or _is_out_of_memory(cause):
            lines = str(cause).strip().splitlines() or ["an allocation was refused"]
            text = next((line for line in lines if reports_out_of_memory(line)), lines[0])
            return f"memory ran out: {text.strip()[:300]}; {HELP.get(verb, OTHERWISE)}"
        cause = cause.__cause__ or cause.__context__
    return None


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and reports_out_of_memory(str(error))
