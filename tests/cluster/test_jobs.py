"""Runs and suites in the jobs of a SLURM that is played on this machine: what is asked of it, and who comes back."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from helpers import stopping as held
from helpers.fake_slurm import FakeSlurm
from helpers.runs import overrides
from helpers.tiny_suites import figures, in_process, write_suite

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.suites import launch_slurm
from ssl_zoo.suites.record import read

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
needs_submitit = pytest.mark.skipif(
    find_spec("submitit") is None, reason="submitit is not installed; pip install 'ssl-zoo[slurm]'"
)
RUN = ("epochs=2", "monitor.every_epochs=100", "monitor.baselines=false", "trainer.threads=1")
TWO = ("trainer.devices=2", "trainer.accelerator=cpu")


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSlurm]:
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
    fake = FakeSlurm(tmp_path / "slurm")
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(launch_slurm, "TICK", 0.1)
    monkeypatch.setattr("ssl_zoo.training.submit.TICK", 0.1)
    monkeypatch.setattr("ssl_zoo.cluster.queue.PAUSE", 0.2)
    yield fake
    fake.close()


def halts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: int, verb: str) -> Path:
    """Has the processes of jobs halt at a step; returns the folder in which they note themselves."""
    hold = tmp_path / "hold"
    hold.mkdir()
    monkeypatch.setenv("HOLD", f"{hold}:{step}")

    def command(module: str, *arguments: str) -> list[str]:
        return [sys.executable, held.__file__, *([verb] if verb == "work" else []), *arguments]

    monkeypatch.setattr("ssl_zoo.training.submit.module_command", command)
    monkeypatch.setattr(launch_slurm, "module_command", command)
    return hold


def ended(slurm: FakeSlurm, number: str) -> str:
    held.wait_for(lambda: slurm.job(number)["state"] not in ("PENDING", "RUNNING", "COMPLETING"))
    return str(slurm.job(number)["state"])


def halted(hold: Path, runs: int) -> None:
    held.wait_for(lambda: len(list(hold.glob("*.pid"))) == runs)


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (a, b)
    )
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("processes", [1, 2])
def test_a_batch_script_comes_back_and_ends_as_if_left_alone(
    processes: int, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGUSR1 to one process, and pre-emption of two, both of which srun has started."""
    if processes > (os.cpu_count() or 1):
        pytest.skip("two processes need two cores")
    hold = halts(monkeypatch, tmp_path, 7, "train")
    run = overrides("byol", *RUN, *(TWO if processes == 2 else ()))
    script = tmp_path / "job.sh"
    script.write_text(
        f"#!/bin/bash\n#SBATCH --ntasks-per-node={processes}\n#SBATCH --signal=USR1@120\n#SBATCH --requeue\n"
        f"#SBATCH --output={tmp_path / 'log'}\n"
        f"srun {sys.executable} {held.__file__} train {shlex.join(run)} run_dir={tmp_path / 'run'} resume=auto\n"
    )
    subprocess.run(["sbatch", str(script)], check=True, capture_output=True)
    halted(hold, 1)
    if processes == 1:
        slurm.signal("101", signal.SIGUSR1)
    else:
        slurm.preempt("101")
    assert ended(slurm, "101") == "COMPLETED", (tmp_path / "log").read_text()
    assert slurm.job("101")["restarts"] == 1
    assert slurm.calls("scontrol") == [["--oneliner", "show", "job", "101"], ["requeue", "101"]], "once"
    assert (tmp_path / "log").read_text().count("; job 101 is requeued") == 1
    assert not list((tmp_path / "run").glob("hpc_ckpt*")), "Lightning's own, which it would continue"
    ssl_zoo.train([*run, f"run_dir={tmp_path / 'whole'}"], silent=True)
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


def test_a_suite_within_a_job_comes_back(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal reaches the suite's command and its worker, neither of which ends before the trial is saved."""
    hold = halts(monkeypatch, tmp_path, 1, "bench")
    suite = write_suite(tmp_path / "mine.yaml", rows={"one": {}}, claims=None)
    bench = [f"suite={suite}", "seeds=1", f"out={tmp_path / 'out'}"]
    script = tmp_path / "job.sh"
    script.write_text(
        f"#!/bin/bash\n#SBATCH --output={tmp_path / 'log'}\n"
        f"srun {sys.executable} {held.__file__} bench {shlex.join(bench)}\n"
    )
    subprocess.run(["sbatch", str(script)], check=True, capture_output=True)
    halted(hold, 1)
    slurm.signal("101", signal.SIGUSR1)
    assert ended(slurm, "101") == "COMPLETED", (tmp_path / "log").read_text()
    assert slurm.job("101")["restarts"] == 1
    assert slurm.calls("scontrol") == [["--oneliner", "show", "job", "101"], ["requeue", "101"]], (
        "the worker asks not"
    )
    assert list((tmp_path / "out" / "rows").glob("*/result.json"))


@needs_submitit
def test_a_run_is_submitted_once_comes_back_and_is_found_again(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hold = halts(monkeypatch, tmp_path, 7, "train")
    run = [*overrides("simsiam", *RUN), f"run_dir={tmp_path / 'run'}"]
    request = [
        "slurm.gpus=0",
        "slurm.minutes=240",
        "slurm.partition=long",
        "slurm.cpus=2",
        "slurm.extra={qos: low}",
    ]
    command = ["train", *run, "launcher=slurm", *request]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    log = tmp_path / "run" / "submitit" / "101_0_log.err"
    assert printed.startswith(f"submitted as job 101: 1 x 2 cores, 240 minutes; log: {log}\n")
    (script,) = (tmp_path / "run" / "submitit").glob("101_submission.sh")
    for line in (
        "--partition=long", "--time=240", "--nodes=1", "--ntasks-per-node=1", "--cpus-per-task=2", "--mem=32GB",
        "--qos=low", "--signal=USR1@120", "--requeue", "--open-mode=append", "--job-name=ssl-zoo", "--gpus-per-node=0",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in script.read_text()
    assert "srun --unbuffered --output" in script.read_text()
    assert "--cpus-per-task=2 " in script.read_text().partition("srun ")[2]

    halted(hold, 1)
    assert cli.main(command) == 0
    assert capsys.readouterr().out == (
        f"under way already, as job 101 (RUNNING); log: {log}; to end it: scancel 101\n"
    )
    slurm.signal("101", signal.SIGUSR1)
    assert cli.main([*command, "wait=true"]) == 0, log.read_text()
    assert capsys.readouterr().out.endswith(f"done: {tmp_path / 'run' / 'result.json'}\n")
    assert ended(slurm, "101") == "COMPLETED"
    assert "; job 101 is requeued" in log.read_text()
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"done already: {tmp_path / 'run' / 'result.json'}\n"
    assert len(slurm.calls("sbatch")) == 1
    assert [call for call in slurm.calls("scontrol") if call[0] == "requeue"] == [["requeue", "101"]]
    ssl_zoo.train([*overrides("simsiam", *RUN), f"run_dir={tmp_path / 'whole'}"], silent=True)
    assert_same_weights(tmp_path / "run", tmp_path / "whole")


@needs_submitit
def test_a_run_that_ended_early_is_done(
    slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with monitor.stop_on=collapsed; more epochs are another matter."""
    run = ["swav", "optimizer.name=sgd", "optimizer.lr=1e30", *RUN, "epochs=3", f"run_dir={tmp_path / 'run'}"]
    assert ssl_zoo.train(overrides(*run), silent=True).epochs == 1
    command = ["train", *overrides(*run), "launcher=slurm", "slurm.gpus=0", "wait=true"]
    assert cli.main(command) == 0
    assert capsys.readouterr().out == f"done already: {tmp_path / 'run' / 'result.json'}\n"
    assert slurm.calls("sbatch") == []
    assert cli.main([*command[:-1], "epochs=4"]) == 0
    assert len(slurm.calls("sbatch")) == 1


@needs_submitit
def test_a_job_that_fails_is_reported_and_submitted_again(
    slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mistake is one that only the job can find."""
    command = ["train", *overrides("simsiam", *RUN, "batch_size=200"), f"run_dir={tmp_path / 'run'}"]
    command += ["launcher=slurm", "slurm.gpus=0", "wait=true"]
    for number in ("101", "102"):
        assert cli.main(command) == 1
        log = tmp_path / "run" / "submitit" / f"{number}_0_log.err"
        assert "batch_size must be at most the number of training images, 160" in log.read_text()
        *_, error = capsys.readouterr().err.splitlines()  # below what it has seen of the job
        assert error.startswith(f"ssl-zoo: job {number} has ended before the run; see {log}; "), error


@needs_submitit
@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["optimizer.lr=-1"], "greater than 0"),
        (["slurm.minuts=3"], "did you mean 'slurm.minutes'"),
        (["slurm.minutes=1"], "slurm.grace must be less than the time limit, 60 seconds; received 120"),
        (["resume=elsewhere/last.ckpt"], "by resume=auto; received resume=elsewhere"),
        (
            ["trainer.devices=3", "slurm.gpus=8"],
            "trainer.devices must be slurm.gpus, 8, a process for each; received 3",
        ),
        (["trainer.num_nodes=2"], "trainer.num_nodes must be slurm.nodes, 1; received 2"),
        (["slurm.gpus=3", "slurm.nodes=2"], "must be a multiple of their number, 6; received 32"),
        (["data=imagefolder", "data.train=missing"], "there is none at 'missing'"),
        (["trainer.loggers=[nonsense]"], "nonsense"),
        (
            ["slurm.partition=missing"],
            "which refused: sbatch: error: Batch job submission failed: Invalid partition",
        ),
    ],
)
def test_a_mistake_submits_nothing(
    more: list[str], message: str, slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = [
        override
        for override in overrides("simsiam")
        if not (override.startswith("data") and "data=imagefolder" in more)
    ]
    command = ["train", *run, f"run_dir={tmp_path / 'run'}", "launcher=slurm", "slurm.gpus=0", *more]
    command = [*{override.partition("=")[0]: override for override in command}.values()]
    assert cli.main(command) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    assert list(slurm.folder.glob("*.job")) == []


@needs_submitit
def test_a_queue_that_does_not_answer(
    slurm: FakeSlurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (slurm.folder / "down").touch()
    command = ["train", *overrides("simsiam"), "launcher=slurm", "slurm.gpus=0"]
    assert cli.main([*command, f"run_dir={tmp_path / 'run'}"]) == 2
    assert "it answers 'slurm_load_jobs error: Unable to contact slurm controller" in capsys.readouterr().err
    assert cli.main(command) == 2
    assert "launcher=slurm needs a run directory" in capsys.readouterr().err
    assert cli.main(["train", *overrides("simsiam"), "slurm.gpus=0"]) == 2
    assert "slurm.gpus is read with launcher=slurm" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@needs_submitit
@pytest.mark.parametrize("verb", ["train", "bench"])
def test_a_machine_without_slurm(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = (
        [*overrides("simsiam"), f"run_dir={out}"]
        if verb == "train"
        else ["suite=simsiam_table1", f"out={out}"]
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cli.main([verb, *command, "launcher=slurm"]) == 2
    assert "needs SLURM's squeue and sbatch; received a machine without them" in capsys.readouterr().err
    assert [path for path in out.rglob("*") if path.is_file()] == []


@needs_submitit
def test_a_suite_is_preempted_and_its_command_killed(
    slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same command waits for the trial that is in the queue, and submits again only the one that was cancelled."""
    hold = halts(monkeypatch, tmp_path, 1, "work")
    rows = {"one": {}, "two": {"overrides": "method.stop_gradient=false"}}
    suite, out = write_suite(tmp_path / "mine.yaml", rows=rows, claims=None), tmp_path / "out"
    command = [f"suite={suite}", "seeds=1", "launcher=slurm", "slurm.gpus=0", f"out={out}"]
    code = (
        "import sys; from ssl_zoo.suites import launch_slurm; from ssl_zoo.cli import main as cli\n"
        f"launch_slurm.module_command = lambda module, *more: [sys.executable, {held.__file__!r}, 'work', *more]\n"
        "sys.exit(cli.main(['bench', *sys.argv[1:]]))"
    )
    first = subprocess.Popen([sys.executable, "-c", code, *command], stdout=subprocess.DEVNULL)
    halted(hold, 2)
    first.kill()
    first.wait()
    (slurm.folder / "busy").touch()
    for number in ("101_0", "101_1"):
        slurm.signal(number, signal.SIGUSR1)
        held.wait_for(lambda number=number: slurm.job(number)["state"] == "PENDING")  # type: ignore[misc]
    requeued = [call for call in slurm.calls("scontrol") if call[0] == "requeue"]
    assert sorted(requeued) == [["requeue", "101_0"], ["requeue", "101_1"]]
    subprocess.run(["scancel", "101_1"], check=True)
    asked = len(slurm.calls("squeue"))

    def free_nodes() -> None:
        held.wait_for(lambda: len(slurm.calls("squeue")) > asked + 1)
        (slurm.folder / "busy").unlink()

    (slurm.folder / "101_1.job").rename(slurm.folder / "101_1.gone")  # the queue forgets it at once
    helper = threading.Thread(target=free_nodes)
    helper.start()
    record = ssl_zoo.bench(command, silent=True)
    helper.join()
    assert [(row.name, row.runs[0].finished) for row in record.rows] == [("one", True), ("two", True)]
    scripts = [Path(call[-1]).name for call in slurm.calls("sbatch")]
    assert len(scripts) == 2
    text = (slurm.folder / "101.sh").read_text()
    assert "#SBATCH --array=0-1%2\n" in text
    assert "#SBATCH --signal=USR1@120\n" in text
    assert "--array" not in (slurm.folder / "102.sh").read_text(), "one trial"
    (folder,) = (folder for folder in out.iterdir() if folder.name != "rows")
    monkeypatch.setattr("ssl_zoo.suites.runner.run_local", in_process)
    here = ssl_zoo.bench([f"suite={suite}", "seeds=1", f"out={tmp_path / 'here'}"], silent=True)
    assert figures(here) == figures(read(folder))
