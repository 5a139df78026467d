"""Suites submitted through submitit, by its local executor: jobs as on a cluster, on this machine."""

from __future__ import annotations

import importlib
import json
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from helpers.runs import overrides
from helpers.tiny_suites import figures, in_process, write_suite

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.cluster import submit
from ssl_zoo.cluster.options import SlurmConfig
from ssl_zoo.cluster.queue import Queue
from ssl_zoo.config.compose import compose
from ssl_zoo.suites import launch_slurm as slurm
from ssl_zoo.suites.record import read
from ssl_zoo.suites.trial import Trial

pytestmark = [pytest.mark.slow, pytest.mark.processes]

needs_submitit = pytest.mark.skipif(
    find_spec("submitit") is None, reason="submitit is not installed; pip install 'ssl-zoo[slurm]'"
)
ROWS = {"one": {}, "bad": {"overrides": "batch_size=200"}}


@needs_submitit
def test_rows_run_as_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One is trained, one fails: both are collected, and what is done is not submitted again."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setattr(slurm, "TICK", 0.1)
    local = importlib.import_module("submitit.local.local")
    start, started = local.start_controller, []

    def noted(*arguments: Any, **more: Any) -> Any:
        started.append(start(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(local, "start_controller", noted)
    suite, out = write_suite(tmp_path / "mine.yaml", rows=ROWS, claims=None), tmp_path / "out"
    overrides = [
        f"suite={suite}",
        "seeds=1",
        "launcher=slurm",
        "slurm.cluster=local",
        "slurm.gpus=0",
        "slurm.minutes=5",
    ]
    assert cli.main(["bench", *overrides, f"out={out}"]) == 1
    error = capsys.readouterr().err
    assert error.endswith(
        "\nssl-zoo: 1 run(s) failed; the others are done and reported; the same command tries again\n"
    )
    message = "batch_size must be at most the number of training images, 40; received 200; set batch_size=10"
    assert f"bad, seed 0: failed: {message}" in error
    assert "one, seed 0: top1 " in error
    (folder,) = (folder for folder in out.iterdir() if folder.name != "rows")
    record = read(folder)
    assert [(row.name, row.runs[0].finished) for row in record.rows] == [("one", True), ("bad", False)]
    assert str(record.row("bad").runs[0].error).startswith(message)
    assert len(list((out / "rows" / "submitit").glob("*_submitted.pkl"))) == 2

    assert [process.wait(60) for process in started] == [0, 0], "submitit leaves them to end by themselves"

    # The figures are those of a suite that runs here; and these are found there.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl_zoo.suites.runner.run_local", in_process)
        good = write_suite(tmp_path / "good.yaml", rows={"one": {}}, claims=None)
        here = ssl_zoo.bench([f"suite={good}", "seeds=1", f"out={tmp_path / 'here'}"], silent=True)
    assert figures(here)["one", 0] == figures(record)["one", 0]
    again = ssl_zoo.bench([*overrides, f"suite={good}", f"out={out}"], silent=True)
    assert figures(again) == figures(here)
    assert len(list((out / "rows" / "submitit").glob("*_submitted.pkl"))) == 2


def test_without_submitit_nothing_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(submit, "find_spec", lambda name: None)
    suite = write_suite(tmp_path / "mine.yaml")
    assert cli.main(["bench", f"suite={suite}", "launcher=slurm", f"out={tmp_path / 'out'}"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == (
        "ssl-zoo: launcher=slurm submits through submitit, which is not installed; pip install 'ssl-zoo[slurm]', or "
        "leave launcher out\n"
    )
    assert list(tmp_path.iterdir()) == [suite]


@needs_submitit
def test_what_a_job_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sbatch reads it."""
    import submitit

    config = SlurmConfig(
        partition="long", account="lab", minutes=90, gpus=2, cpus=6, memory_gb=48, extra={"qos": "low"}
    )
    asked = submit.sbatch_options(config, parallel=5)
    executor = submitit.AutoExecutor(folder=tmp_path, cluster="debug")
    executor.update_parameters(**asked)  # refuses what it does not know
    monkeypatch.setattr(
        submitit.SlurmExecutor, "affinity", classmethod(lambda cls: 1)
    )  # as if there were one
    sbatch = submitit.SlurmExecutor(folder=tmp_path)
    shared = sbatch._convert_parameters(
        {key: value for key, value in asked.items() if not key.startswith("slurm_")}
    )
    own = {key.removeprefix("slurm_"): value for key, value in asked.items() if key.startswith("slurm_")}
    text = submitit.slurm.slurm._make_sbatch_string(  # type: ignore[attr-defined]
        command="true", folder=tmp_path, map_count=7, **shared, **own
    )
    for line in (
        "--partition=long", "--account=lab", "--time=90", "--gpus-per-node=2", "--cpus-per-task=6", "--mem=48GB",
        "--qos=low", "--array=0-6%5", "--job-name=ssl-zoo", "--signal=USR1@120", "--requeue", "--nodes=1",
    ):  # fmt: skip
        assert f"#SBATCH {line}\n" in text
    assert "partition" not in json.dumps(submit.sbatch_options(SlurmConfig())), "the cluster's own default"


def test_what_a_job_writes_at_once_is_its_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its command has heard from submitit; and not what an earlier job has written."""
    config = compose(overrides("simsiam"))
    trial = Trial("one", (), config)
    log = tmp_path / f"{trial.name}.log"
    log.write_text("ssl-zoo: of an earlier job\n")

    def submit_and_fail(*arguments: Any, **more: Any) -> list[Any]:
        with log.open("a") as file:
            file.write("ssl-zoo: no memory\n")
        return [SimpleNamespace(job_id="7")]

    monkeypatch.setattr(slurm, "submit", submit_and_fail)
    (job,) = slurm._submit_missing([trial], tmp_path, SlurmConfig(cluster="local"), None, Queue())
    assert job.failure().message == "no memory"
    (line,) = job.log.read_text()[job.log_start :].splitlines()
    assert line == "ssl-zoo: no memory"
