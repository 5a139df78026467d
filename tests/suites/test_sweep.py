"""Sweeps: `ssl-zoo train -m key=a,b`, whose runs are a suite's trials with names of their own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from helpers.tiny_suites import TINY, in_process

from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.overrides import sweep_of
from ssl_zoo.errors import UserError
from ssl_zoo.reports.report import report
from ssl_zoo.reports.sweep import sweep
from ssl_zoo.suites.options import read_sweep
from ssl_zoo.suites.record import read
from ssl_zoo.suites.sweep_plan import SweepPlan


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("method=simsiam,byol", ["method=simsiam", "method=byol"]),
        ("seed=range(3)", ["seed=0", "seed=1", "seed=2"]),
        ("seed=choice(1, 2)", ["seed=1", "seed=2"]),
        ("augment.crop.scale=[0.2,1.0]", ["augment.crop.scale=[0.2,1.0]"]),
        (
            "augment.crop.scale=[0.2,1.0],[0.5,1.0]",
            ["augment.crop.scale=[0.2,1.0]", "augment.crop.scale=[0.5,1.0]"],
        ),
        ("data.train='a,b',c", ["data.train='a,b'", "data.train=c"]),
        ("data.train='a,b'", ["data.train='a,b'"]),
        ("+seed=0,1", ["seed=0", "seed=1"]),
        ("++epochs=2", ["epochs=2"]),
        ("augment.views={one:{size:8},two:{size:4}}", ["augment.views={one:{size:8},two:{size:4}}"]),
    ],
)
def test_several_values_are_read_as_hydra_does(override: str, expected: list[str]) -> None:
    assert sweep_of(override) == expected


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("epochs=3", "received none"),
        ("seed=0,1 epochs=3,x", r"epochs must be a whole number.*\(run: epochs=x\)"),
        ("seed=0,0", "each value stands once"),
        ("seed=interval(0,1)", "values to be counted"),
        ("seed=shuffle(0,1)", "values to be counted"),
        ("seed=0,1 resume=auto", "the same command goes on"),
        ("seed=0,1 wait=true", "waits for its runs"),
        ("seed=0,1 slurm.gpus=0", "read with launcher=slurm"),
        ("seed=0,1 workers=x", "workers must be a whole number"),
        ("seed=0,1 threads=100000", "at most the number of cores"),
        ("seed=0,1 data=imagefolder data.train=missing", "none at 'missing'"),
        ("seed=0,[", "cannot be read"),
        ("method=glob(sim*)", "values to be counted"),
        ("seed=0,1 optimizer.lr=range(5,0)", "1 to 10,000 values"),
        ("seed=range(0,1000000000000)", "1 to 10,000 values"),
        ("seed=range(0,5,0)", "a step that is not 0"),
        ("seed=range(0,200) epochs=range(1,100)", "at most 10,000 runs; received 19,800"),
        ("seed=0,1 +resume=auto", "the same command goes on"),
    ],
)
def test_what_is_refused_and_creates_nothing(
    wrong: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        sweep(wrong.split(), silent=True)
    assert not list(tmp_path.iterdir())


def test_names_of_the_runs() -> None:
    plan = SweepPlan(["seed=0,1", "method=simsiam,byol", "epochs=2,3", "batch_size=20"])
    names = [trial.name for group in plan.trials().values() for trial in group]
    assert names[:2] == ["method-simsiam+epochs-2+seed-0", "method-simsiam+epochs-2+seed-1"]
    assert len({*names}) == 8
    assert [row.config.epochs for row in plan.rows] == [2, 3, 2, 3]
    alike = SweepPlan(["data.root=a/b,a-b,A-B"])
    names = [trial.name.lower() for group in alike.trials().values() for trial in group]
    assert len({*names}) == 3
    assert [trial.name for trial in SweepPlan(["seed=3,1"]).trials()["simsiam"]] == ["seed-3", "seed-1"]
    long = SweepPlan([f"data.root={'x' * 200},{'x' * 201}"])
    assert all(len(trial.name) < 140 for group in long.trials().values() for trial in group)
    wide = SweepPlan([f"data.root='{'字' * 80}/{'字' * 80}',b"])
    assert all(len(trial.name.encode()) < 140 for group in wide.trials().values() for trial in group)


def test_a_key_with_a_plus_is_the_key() -> None:
    _, folder, overrides = read_sweep(["+seed=0,1", "+run_dir=mine", "++epochs=2"])
    (group,) = SweepPlan(overrides).trials().values()
    assert folder == "mine"
    assert [(trial.config.seed, compose(trial.overrides).seed) for trial in group] == [(0, 0), (1, 1)]
    assert group[0].config.epochs == 2


def test_runs_that_a_time_limit_leaves_out_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = sweep([*TINY.split(), "seed=0,1", f"run_dir='{tmp_path / 'mine'}'", "max_minutes=1e-9"])
    out, error = capsys.readouterr()
    (remark,) = record.remarks
    assert remark.startswith("max_minutes=1e-09 ended the sweep: 2 run(s) were not started")
    assert remark in error
    assert "mean ± std over 0 seeds" in " ".join(out.split())


@pytest.mark.slow
def test_a_sweep_is_run_resumed_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ssl_zoo.suites.runner.run_local", in_process)
    command = [
        "train",
        "-m",
        *TINY.split(),
        "optimizer.lr=0.05,0.1",
        "seed=0,1",
        "run_dir=mine",
        "batch_size=20,200",
    ]
    command.remove("batch_size=20")
    command.remove("optimizer.lr=0.05")
    assert main([*command, "dry_run=true"]) == 0
    commands = capsys.readouterr().out.splitlines()
    assert len(commands) == 8
    assert "run_dir=mine/optimizer.lr-0.05+batch_size-20+seed-0" in shlex.split(commands[0])
    assert not list(tmp_path.iterdir())

    assert main(command) == 1
    out, error = capsys.readouterr()
    assert error.splitlines()[-1].startswith("ssl-zoo: 4 run(s) failed; the others are done")
    record = read(tmp_path / "mine")
    assert [row.name for row in record.rows] == [
        f"optimizer.lr={rate},batch_size={size}" for rate in ("0.05", "0.1") for size in (20, 200)
    ]
    assert [sum(run.finished for run in row.runs) for row in record.rows] == [2, 0, 2, 0]
    first = record.rows[0]
    mean = sum(run.values["top1"] for run in first.runs) / 2
    (line,) = (line for line in out.splitlines() if line.startswith(f"{first.name} "))
    assert f"{100 * mean:.1f} ± " in line
    assert "failed  optimizer.lr=0.05,batch_size=200, seed 1: batch_size must be at most" in out
    result = json.loads(
        (tmp_path / "mine" / "optimizer.lr-0.1+batch_size-20+seed-1" / "result.json").read_text()
    )
    assert (result["seed"], result["method"]) == (1, "simsiam")

    # The same command runs what is missing, and nothing else.
    tried: list[str] = []
    monkeypatch.setattr(
        "ssl_zoo.suites.runner.run_local",
        lambda take, *rest, **more: tried.extend(trial.name for trial in iter(take, None)),
    )
    assert main([*command, "--json"]) == 0
    out, error = capsys.readouterr()
    assert len(tried) == 4
    assert all("batch_size-200" in name for name in tried)
    assert "8 runs, 4 of them done already" in error
    assert [row["name"] for row in json.loads(out)["rows"]] == [row.name for row in record.rows]

    # Its report is a suite's, and other settings in the same folder are refused.
    assert report(["mine"], silent=True) == (tmp_path / "mine" / "report.html").resolve()
    assert (
        main(
            ["train", "-m", *TINY.split(), "seed=0,1", "run_dir=mine/optimizer.lr-0.05+batch_size-20+seed-0"]
        )
        == 2
    )
    assert "is a run itself" in capsys.readouterr().err
    assert main([*command, "epochs=2"]) == 2
    assert "was begun with other settings" in capsys.readouterr().err
