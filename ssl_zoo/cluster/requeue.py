"""Requeues the SLURM job of a run that was stopped and is saved.

SLURM stops a job at its time limit, and to give its nodes to another. It tells it before: SIGUSR1 with `#SBATCH
--signal=USR1@120`, SIGTERM with a grace time for pre-emption. The run saves itself, asks `scontrol requeue` and ends;
SLURM then runs the same script again, in which `resume=auto` continues the run.

- [0] https://slurm.schedmd.com/sbatch.html (--signal, --requeue), https://slurm.schedmd.com/preempt.html
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from ssl_zoo.errors import Interrupted, Requeued, UserError
from ssl_zoo.run_dir.paths import LAST
from ssl_zoo.terminal.signals import SCHEDULER, ignored

__all__ = ["requeueing", "this_job"]

PATIENCE = 60  # seconds that scontrol may take


def this_job() -> str | None:
    """Returns the number of the SLURM job in which this process runs, 12 or 12_3 in an array; None in none."""
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID") or None


@contextmanager
def requeueing(
    folder: str | Path | None, wanted: bool | Literal["auto"], *, resumes: bool, processes: int = 1
) -> Iterator[None]:
    """Requeues the job, once, when a run in the block is stopped by SLURM; all of the run's processes call it.

    Args:
        folder: the run directory, or the folder of a suite's.
        wanted: `trainer.requeue`.
        resumes: whether the job, run again, continues the run.
        processes: number of the run's.

    Raises:
        Requeued: the run is saved and its job requeued.
        Interrupted: it was stopped, and its job is not requeued: the message says why.
        UserError: `wanted` is true, and nothing can be requeued.
    """
    job = this_job()
    if wanted is True:
        _check(job, resumes=resumes)
    before = _progress(folder)
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        number = getattr(error, "number", 0)
        if job is None or not wanted or not resumes or number not in SCHEDULER or _has_neighbours(processes):
            raise
        with ignored():  # requeueing ends this job, by the same signals
            if _rank() != 0:
                raise Requeued("", number) from None
            reason = _refusal(job, number, progressed=_progress(folder) != before)
        text = str(error) or "stopped"
        if reason is not None:
            raise Interrupted(f"{text}; job {job} is not requeued: {reason}", number) from None
        raise Requeued(f"{text}; job {job} is requeued", number) from None


def _check(job: str | None, *, resumes: bool) -> None:
    """Refuses trainer.requeue=true where nothing could be requeued or continued."""
    if not resumes:
        raise UserError(
            "trainer.requeue=true needs run_dir=FOLDER and resume=auto, by which the job continues the run when it "
            "comes back; received no resume=auto; add them"
        )
    if job is None:
        raise UserError(
            "trainer.requeue=true needs a SLURM job; received none (SLURM_JOB_ID is not set); leave it out, and jobs "
            "are requeued where there are any"
        )
    facts = _facts(job)
    if facts.get("Requeue", "1") == "0" or facts.get("BatchFlag", "1") == "0":
        raise UserError(
            f"trainer.requeue=true needs a batch job that may be requeued; job {job} is none; submit it by sbatch with "
            "--requeue"
        )


def _refusal(job: str, number: int, *, progressed: bool) -> str | None:
    """Requeues a job; returns why that is not done, None where it is."""
    state = _facts(job).get("JobState", "unknown")
    if state == "CANCELLED" or (number == signal.SIGTERM and state not in ("RUNNING", "unknown")):
        return f"its state is {state}, so it was cancelled or its time is used up; submit it again to go on"
    if number != signal.SIGTERM and not progressed:
        return "nothing was saved in its whole time, so it would come back for ever; submit it with more time"
    try:
        done = _scontrol("requeue", job)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"scontrol cannot be run ({error}); submit it again"
    if done.returncode:
        message = " ".join((done.stderr or done.stdout).split())
        return f"scontrol says '{message or f'status {done.returncode}'}'; submit it again"
    return None


def _facts(job: str) -> dict[str, str]:
    """Returns what scontrol reports of a job; nothing where it cannot be asked."""
    try:
        done = _scontrol("--oneliner", "show", "job", job)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return dict(re.findall(r"(\w+)=(\S*)", done.stdout)) if done.returncode == 0 else {}


def _scontrol(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["scontrol", *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE
    )


def _has_neighbours(processes: int) -> bool:
    """Whether srun has started other runs beside this one, in the same job."""
    tasks = os.environ.get("SLURM_STEP_NUM_TASKS", "1")
    return "TORCHELASTIC_RUN_ID" not in os.environ and tasks not in ("1", str(processes))


def _rank() -> int:
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0")))


def _progress(folder: str | Path | None) -> list[tuple[str, int]]:
    """Returns names and times of what runs, and their evaluations, leave when they have got on."""
    if folder is None:
        return []
    root = Path(folder).expanduser()
    signs = (f"checkpoints/{LAST}", "result.json", "eval-*.json")
    files = sorted(file for sign in signs for run in ("", "*/") for file in root.glob(run + sign))
    return [(str(file), file.stat().st_mtime_ns) for file in files]
