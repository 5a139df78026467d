"""SLURM's queue: which jobs wait or run, and the record of the jobs that were submitted for a folder."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.files.json_files import load_json, write_json

__all__ = ["Queue", "read_jobs", "record_jobs"]

JOBS = "jobs.json"
PAUSE = 10.0  # seconds between two questions to SLURM while something is waited for
PATIENCE = 60  # seconds that squeue may take


class Queue:
    """The user's jobs that wait or run, asked for every few seconds."""

    def __init__(self) -> None:
        self._states = dict[str, str]()
        self._asked = float("-inf")

    def ask(self) -> dict[str, str]:
        """Returns the state of each job, by its number: 12, or 12_3 in an array.

        Raises:
            UserError: SLURM does not answer.
        """
        command = ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
            problem = " ".join(done.stderr.split()) if done.returncode else ""
        except FileNotFoundError as error:
            raise UserError(
                "launcher=slurm needs SLURM's squeue and sbatch; received a machine without them; nothing was "
                "submitted; start the same command on a login node of the cluster, or leave launcher=slurm out"
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            problem = str(error)
        if problem:
            raise UserError(
                f"launcher=slurm asks squeue which jobs are under way; it answers '{problem}'; nothing was submitted; "
                "try again where squeue works"
            )
        lines = [line.split() for line in done.stdout.splitlines()]
        self._states = {line[0]: line[1] for line in lines if len(line) == 2}
        self._asked = time.monotonic()
        return self._states

    def expect(self, number: str) -> None:
        """Takes a job that was just submitted for one that waits, until SLURM answers."""
        self._states[number], self._asked = "PENDING", float("-inf")

    def states(self) -> dict[str, str]:
        """Returns what `ask` returned, asked again after a pause; while SLURM does not answer, what it last said."""
        if time.monotonic() - self._asked >= PAUSE:
            self._asked = time.monotonic()
            with contextlib.suppress(UserError):
                self.ask()
        return self._states


def read_jobs(folder: Path) -> dict[str, Any]:
    """Returns the record of the jobs submitted for a folder, by what they run."""
    try:
        jobs = load_json(folder / JOBS)
    except (OSError, ValueError):
        return {}
    return jobs if isinstance(jobs, dict) else {}


def record_jobs(folder: Path, jobs: Mapping[str, Any]) -> None:
    """Adds jobs to the record; who submits holds the folder meanwhile."""
    write_json(folder / JOBS, {**read_jobs(folder), **jobs})
