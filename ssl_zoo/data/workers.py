"""Work on images in the worker processes of a DataLoader.

Processes, not threads: Pillow holds the interpreter's lock for most of the time that a small file takes, and
threads get in each other's way. 20,480 JPEGs of 32 pixels, 4 cores kept busy by other jobs (load 5),
median of 3: 2,300 images/s in 4 threads, 3,800 in one, 5,000 in 2 processes, 4,700 in 4.
"""

from __future__ import annotations

import os
import sys
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from ssl_zoo.data.decode import Unreadable, quiet
from ssl_zoo.data.handover import PREFETCH, InShared, ResultMemory, own
from ssl_zoo.data.names import Names
from ssl_zoo.errors import UserError

__all__ = ["FileWork", "Work", "run_tasks"]

Task = TypeVar("Task")
Result = TypeVar("Result")


class _Fault(NamedTuple):
    message: str


class Work(Dataset[Any], Generic[Task, Result]):
    """Something done with images, `do(task) -> result`, where a task holds positions among them."""

    _memory: ResultMemory | None = None

    @property
    def memory(self) -> ResultMemory:
        """Where a result's images may be put, so that they need not be copied."""
        if self._memory is None:
            self._memory = ResultMemory()
        return self._memory

    @abstractmethod
    def do(self, task: Task) -> Result:
        """Does the work; may raise Unreadable or UserError."""

    def __getitem__(self, task: Task) -> Any:
        # A fault is returned, not raised: DataLoader would bury its message in a traceback.
        self.memory.begin()
        try:
            with quiet():
                return self.memory.finish(self.do(task))
        except Unreadable as error:
            return _Fault(f"every image must be readable; '{error.path}' is not: {error.reason}; {error.fix}")
        except UserError as error:
            return _Fault(str(error))


class FileWork(Work[Task, Result]):
    """Work on files.

    Args:
        root: the folder.
        names: paths relative to it.
    """

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self._root = os.fspath(root)
        self._names = Names.of(names)

    def path(self, position: int) -> str:
        """Returns the path of a file."""
        return os.path.join(self._root, self._names[position])


def run_tasks(
    work: Work[Task, Result],
    tasks: Iterable[Task],
    workers: int,
    pin: bool = False,
) -> Iterator[Result]:
    """Yields the results of the tasks, in order, computed by `workers` processes.

    `pin` puts results into page-locked memory where there is a GPU. The processes live for one pass: torch's
    persistent ones take 5 s each to stop when they end in a reference cycle, as in Lightning's trainer they
    do. More processes than the machine has cores are not started. Nothing is drawn from torch's global
    generator, whose state a resumed run restores.

    Raises:
        UserError: an image was unreadable, or the work raised it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processes = min(workers, cores)
    # Python 3.14 starts processes in another way by default, which would import torch anew for each pass.
    pinned = pin and torch.cuda.is_available()
    context = "fork" if processes > 0 and sys.platform == "linux" else None
    loader: DataLoader[Any] = DataLoader(
        work,
        batch_size=None,  # a task is a whole batch
        sampler=tasks,
        num_workers=processes,
        prefetch_factor=PREFETCH if processes else None,
        multiprocessing_context=context,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        generator=torch.Generator(),
    )
    # Shared memory that is held here is not mapped anew when it comes again.
    held = deque[InShared](maxlen=processes * (PREFETCH + 1))
    for value in loader:
        result = value
        if isinstance(value, InShared) and pinned:  # pinning has copied it
            result = value.result
        elif isinstance(value, InShared):
            held.append(value)
            result = own(value)
        if isinstance(result, _Fault):
            raise UserError(result.message)
        yield result


def _as_it_is(result: Any) -> Any:
    return result
