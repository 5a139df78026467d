"""A SLURM of one machine: `sbatch`, `srun`, `squeue`, `scontrol`, `scancel` and `sacct` on the PATH, for tests.

Jobs are local processes; what is asked is kept in `calls.jsonl`. As SLURM does it: signals reach all processes of a
job's steps (what srun started) and not the batch script; a requeued job is stopped by SIGTERM, then SIGKILL, and its
script runs again with SLURM_RESTART_COUNT; `squeue` lists what waits, runs or is being stopped, and nothing else.

    python tests/helpers/fake_slurm.py FOLDER     makes FOLDER/bin, to be put on the PATH with FAKE_SLURM=FOLDER

- [0] https://slurm.schedmd.com/sbatch.html, srun.html, squeue.html, scontrol.html, scancel.html, sacct.html
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

ROOT = Path(os.environ.get("FAKE_SLURM", "."))
KILL_WAIT = 30.0  # seconds between SIGTERM and SIGKILL, SLURM's default
ALIVE = ("PENDING", "RUNNING", "COMPLETING")


def install(folder: Path) -> Path:
    """Makes the commands; returns their folder."""
    commands = folder / "bin"
    commands.mkdir(parents=True)
    for name in ("sbatch", "srun", "squeue", "scontrol", "scancel", "sacct"):
        file = commands / name
        file.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S {shlex.quote(__file__)} {name} "$@"\n'
        )
        file.chmod(0o755)
    return commands


class FakeSlurm:
    """What a test sees of it.

    Args:
        folder: of its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, install(folder)

    @property
    def environment(self) -> dict[str, str]:
        return {"FAKE_SLURM": str(self.folder), "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def calls(self, name: str) -> list[list[str]]:
        """The arguments of each call of a command, in order."""
        file = self.folder / "calls.jsonl"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []
        return [call[1:] for call in calls if call[0] == name]

    def job(self, number: str) -> dict[str, Any]:
        return _read(self.folder, number)

    def signal(self, number: str, which: int) -> None:
        """Signals the processes of a job's steps, as at `--signal` seconds before the time limit."""
        _signal(self.folder, number, which)

    def preempt(self, number: str) -> None:
        """Announces pre-emption: SIGCONT and SIGTERM, and nothing more within the grace time."""
        for which in (signal.SIGCONT, signal.SIGTERM):
            _signal(self.folder, number, which)

    def close(self) -> None:
        """Kills what still runs."""
        for file in self.folder.glob("*.controller"):
            with contextlib.suppress(OSError):
                os.kill(int(file.read_text()), signal.SIGKILL)
        for file in self.folder.glob("*.job"):
            _signal(self.folder, file.name.removesuffix(".job"), signal.SIGKILL)


def _read(folder: Path, number: str) -> dict[str, Any]:
    return json.loads((folder / f"{number}.job").read_text())  # type: ignore[no-any-return]


def _write(number: str, **changes: Any) -> None:
    file = ROOT / f"{number}.job"
    values = {**(_read(ROOT, number) if file.is_file() else {}), **changes}
    part = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}")
    part.write_text(json.dumps(values))
    part.replace(file)


def _fail(message: str) -> None:
    sys.exit(f"{message}")


def _processes(folder: Path, number: str) -> list[int]:
    """All processes of a job's steps, as a cgroup holds them."""
    found = [int(file.read_text()) for file in folder.glob(f"{number}.task*")]
    for pid in found:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def _signal(folder: Path, number: str, which: int) -> None:
    for pid in _processes(folder, number):
        with contextlib.suppress(OSError):
            os.kill(pid, which)


def sbatch(arguments: list[str]) -> None:
    script = Path(arguments[-1]).read_text()
    options = dict(re.findall(r"^#SBATCH --([\w-]+)=?(.*)$", script, re.M))
    options |= dict(re.findall(r"--([\w-]+)=?(\S*)", " ".join(arguments[:-1])))
    if options.get("partition") == "missing":
        _fail(
            "sbatch: error: invalid partition specified: missing\n"
            "sbatch: error: Batch job submission failed: Invalid partition name specified"
        )
    number = str(len(list(ROOT.glob("*.sh"))) + 101)
    (ROOT / f"{number}.sh").write_text(script)
    last = re.match(r"0-(\d+)(?:%(\d+))?", options.get("array", ""))
    jobs = [f"{number}_{index}" for index in range(int(last[1]) + 1)] if last else [number]
    for job in jobs:
        _write(job, state="PENDING", restarts=0, options=options)
    command = [sys.executable, "-S", __file__, "_control", last[2] if last and last[2] else "1000", *jobs]
    with (ROOT / "controller.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=os.getcwd()
        )
    (ROOT / f"{number}.controller").write_text(str(process.pid))
    print(f"Submitted batch job {number}")


def _control(arguments: list[str]) -> None:
    """Runs the jobs of a submission, so many at a time."""
    parallel, *jobs = arguments
    with ThreadPoolExecutor(min(int(parallel), len(jobs))) as pool:
        list(pool.map(_run_job, jobs))


def _run_job(number: str) -> None:
    while True:
        if (ROOT / f"{number}.cancel").exists():
            return _write(number, state="CANCELLED")
        again = _run_script(number)
        if not again:
            return None
        _write(number, state="PENDING", restarts=_read(ROOT, number)["restarts"] + 1)
        while (ROOT / "busy").exists():  # the nodes are another's
            time.sleep(0.05)


def _run_script(number: str) -> bool:
    """Runs a job's script once; returns whether it is requeued."""
    job = _read(ROOT, number)
    options, (main, _, task) = job["options"], number.partition("_")
    nodes, each = int(options.get("nodes", 1)), int(options.get("ntasks-per-node", 1))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SLURM_")},
        "SLURM_JOB_ID": str(int(main) + 1000 + int(task)) if task else main,
        "SLURM_NTASKS": str(nodes * each),
        "SLURM_NTASKS_PER_NODE": str(each),
        "SLURM_JOB_NUM_NODES": str(nodes),
        "SLURM_NNODES": str(nodes),
        "SLURM_JOB_NODELIST": "127.0.0.1",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_JOB_NAME": options.get("job-name", "job"),
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "FAKE_JOB": number,
        **({"SLURM_ARRAY_JOB_ID": main, "SLURM_ARRAY_TASK_ID": task} if task else {}),
        **({"SLURM_RESTART_COUNT": str(job["restarts"])} if job["restarts"] else {}),
    }
    requeue, cancel = ROOT / f"{number}.requeue", ROOT / f"{number}.cancel"
    for file in [requeue, *ROOT.glob(f"{number}.task*")]:
        file.unlink(missing_ok=True)
    _write(number, state="RUNNING")
    output = _named(options.get("output", str(ROOT / "slurm-%j.out")), environment, 0)
    with open(output, "ab") as log:
        script = ["bash", str(ROOT / f"{main}.sh")]
        process = subprocess.Popen(script, env=environment, stdout=log, stderr=log, start_new_session=True)
    until = float("inf")
    while process.poll() is None:
        if until == float("inf") and (requeue.exists() or cancel.exists()):
            _write(number, state="COMPLETING" if requeue.exists() else "CANCELLED")
            for which in (signal.SIGCONT, signal.SIGTERM):
                _signal(ROOT, number, which)
            until = time.monotonic() + KILL_WAIT
        if time.monotonic() > until:
            _signal(ROOT, number, signal.SIGKILL)
            process.kill()
        time.sleep(0.05)
    if requeue.exists() and not cancel.exists():
        return True
    state = "CANCELLED" if cancel.exists() else "FAILED" if process.returncode else "COMPLETED"
    _write(number, state=state, status=process.returncode)
    return False


def _named(pattern: str, environment: dict[str, str], rank: int) -> str:
    main = environment.get("SLURM_ARRAY_JOB_ID", environment["SLURM_JOB_ID"])
    values = {"%A": main, "%a": environment.get("SLURM_ARRAY_TASK_ID", ""), "%t": str(rank)}
    for mark, value in {**values, "%j": environment["SLURM_JOB_ID"]}.items():
        pattern = pattern.replace(mark, value)
    return pattern


def srun(arguments: list[str]) -> None:
    taken, files = 0, {"--output": "", "--error": ""}
    while arguments[taken].startswith("-"):
        name, equals, value = arguments[taken].partition("=")
        if name in files:
            taken += not equals
            files[name] = value if equals else arguments[taken]
        taken += 1
    tasks, each = int(os.environ["SLURM_NTASKS"]), int(os.environ["SLURM_NTASKS_PER_NODE"])
    processes = []
    for rank in range(tasks):
        places = {"PROCID": rank, "LOCALID": rank % each, "NODEID": rank // each, "STEP_NUM_TASKS": tasks}
        environment = {**os.environ, **{f"SLURM_{name}": str(value) for name, value in places.items()}}
        streams = [open(_named(file, environment, rank), "ab") if file else None for file in files.values()]  # noqa: SIM115
        wait, pid = _start_task(arguments[taken:], environment, streams)
        (ROOT / f"{os.environ['FAKE_JOB']}.task{rank}").write_text(str(pid))
        processes.append(wait)
    for which in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(which, signal.SIG_IGN)
    statuses = [wait() for wait in processes]
    sys.exit(max(status if status >= 0 else 128 - status for status in statuses))


def _start_task(
    command: list[str], environment: dict[str, str], streams: list[IO[bytes] | None]
) -> tuple[Callable[[], int], int]:
    """Starts a process of a step; returns what waits for its status, and its number."""
    if "SSL_ZOO_TESTS_FORKS" in environment and command[0] == sys.executable:
        sys.path.insert(0, str(Path(__file__).parent))
        import forks

        return forks.status_of(
            command, environment, [0, *(s.fileno() if s else n for n, s in enumerate(streams, 1))]
        )
    process = subprocess.Popen(command, env=environment, stdout=streams[0], stderr=streams[1])
    return process.wait, process.pid


def squeue(arguments: list[str]) -> None:
    if (ROOT / "down").exists():
        _fail("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    assert {"--noheader", "--array"} <= set(arguments), arguments
    pattern = next(argument.partition("=")[2] for argument in arguments if argument.startswith("--format="))
    for file in sorted(ROOT.glob("*.job")):
        number = file.name.removesuffix(".job")
        if (state := _read(ROOT, number)["state"]) in ALIVE:
            print(pattern.replace("%i", number).replace("%T", state))


def scontrol(arguments: list[str]) -> None:
    number = arguments[-1]
    if not (ROOT / f"{number}.job").is_file():
        _fail(f"Invalid job id specified for job {number}")
    job = _read(ROOT, number)
    may_requeue = "no-requeue" not in job["options"]
    if arguments[0] == "requeue":
        if not may_requeue:
            _fail(f"Requested operation is presently disabled for job {number}")
        (ROOT / f"{number}.requeue").touch()
    else:
        assert arguments[:-1] == ["--oneliner", "show", "job"], arguments
        facts = f"Requeue={may_requeue:d} Restarts={job['restarts']} BatchFlag=1"
        print(f"JobId={number} JobName=ssl-zoo JobState={job['state']} Reason=None {facts}")


def scancel(arguments: list[str]) -> None:
    (ROOT / f"{arguments[-1]}.cancel").touch()


def sacct(arguments: list[str]) -> None:
    print("JobID|State|NodeList")
    for file in sorted(ROOT.glob("*.job")):
        number = file.name.removesuffix(".job")
        print(f"{number}|{_read(ROOT, number)['state']}|localhost")


if __name__ == "__main__":
    name, *rest = sys.argv[1:]
    if rest or name in ("squeue", "sacct"):
        with (ROOT / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps([name, *rest]) + "\n")
        globals()[name](rest)
    else:
        print(install(Path(name).absolute()))
