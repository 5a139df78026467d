"""Suites that run: side by side, beside a row that fails, killed, stopped, tuned, evaluated."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import stopping as held
from helpers.runs import overrides
from helpers.tiny_suites import TINY, figures, in_process, results, write_suite

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import Unfinished
from ssl_zoo.files.locks import hold
from ssl_zoo.run_dir.checkpoints import read_checkpoint
from ssl_zoo.suites.launch_local import Slots, last_message
from ssl_zoo.suites.record import SuiteRecord, read
from ssl_zoo.suites.worker import passes_per_image, run_trial

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.usefixtures("forked")]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("COLUMNS", "1000")


def here(*command: str) -> SuiteRecord:
    """Runs a suite without a process for each row."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ssl_zoo.suites.runner.run_local", in_process)
        return ssl_zoo.bench(command, silent=True)


def whole_results(out: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in sorted(out.glob("rows/*/result.json"))]


def report_of(out: Path) -> Path:
    """The suite's folder, the only one beside those of the runs."""
    (folder,) = (folder for folder in out.iterdir() if folder.name != "rows")
    return folder


# Three rows and one that cannot be trained, by two workers, and the same one after the other in this process.

TWO = {"one": {"paper": 68.1}, "two": {"overrides": "method.stop_gradient=false"}}
GOOD = {**TWO, "three": {"overrides": "optimizer.lr=0.06"}}
BAD = {**TWO, "bad": {"overrides": "batch_size=200"}, "three": GOOD["three"]}


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory: pytest.TempPathFactory, forked: None) -> tuple[Path, str, str, int]:
    """The folder, what a person saw of two workers, standard error, and the exit status."""
    place = tmp_path_factory.mktemp("side")
    suite = write_suite(place / "mine.yaml", rows=BAD)
    command = [sys.executable, "-m", "ssl_zoo", "bench", f"suite={suite}", "seeds=1", "workers=2"]
    done = subprocess.run(
        [*command, f"out={place / 'out'}"],
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "1000"},
        capture_output=True,
        text=True,
        check=False,
    )
    return place, done.stdout, done.stderr, done.returncode


def test_a_failing_row_does_not_stop_the_others(side_by_side: tuple[Path, str, str, int]) -> None:
    place, printed, error, status = side_by_side
    assert status == 1, error
    assert error.endswith(
        "ssl-zoo: 1 run(s) failed; the others are done and reported; the same command tries again\n"
    )
    message = "batch_size must be at most the number of training images, 40; received 200; set batch_size=10"
    assert f"bad, seed 0: failed: {message}" in error
    assert f"failed  bad, seed 0: {message} (log: " in printed
    assert "A tiny suite · None, Table 0 · 4 runs, 0 of them done already" in error
    folder = report_of(place / "out")
    assert {file.name for file in folder.iterdir()} >= {
        "report.html",
        "report.md",
        "results.csv",
        "suite.json",
    }
    record = read(folder)
    assert [run.finished for row in record.rows for run in row.runs] == [True, True, False, True]
    assert str(record.row("bad").runs[0].error).startswith(message)
    assert [claim.state for claim in record.claims] == ["undecided"], "of one seed nothing follows"
    for row in ("one", "two"):
        run = record.row(row).runs[0]
        assert run.values["images_seen"] == 40
        assert run.values["forward_passes"] == 80
        assert run.values["seconds"] > run.values["train_seconds"]
    assert "batch_size must be" in (folder / "report.md").read_text()
    for result in (place / "out" / "rows").glob("*/result.json"):
        log = result.parent.with_name(f"{result.parent.name}.log").read_text()
        assert log.count(" epochs · batch ") == 1, "a worker that runs several keeps their logs apart"


def test_two_workers_give_the_figures_of_one(
    side_by_side: tuple[Path, str, str, int], tmp_path: Path
) -> None:
    out = side_by_side[0] / "out"
    suite = write_suite(tmp_path / "mine.yaml", rows=GOOD)
    one = here(f"suite={suite}", "seeds=1", "workers=1", f"out={tmp_path / 'elsewhere'}")
    assert len(results(out)) == 3
    assert results(out) == results(tmp_path / "elsewhere")
    two = figures(read(report_of(out)))
    assert {key: two[key] for key in figures(one)} == figures(one)
    assert figures(one)["one", 0] != figures(one)["two", 0]


def test_what_is_done_is_not_done_again(side_by_side: tuple[Path, str, str, int], tmp_path: Path) -> None:
    """The suite is mended and run with the same overrides, and a second seed of one row is not its first again."""
    place = side_by_side[0]
    out = place / "out"
    before = figures(read(report_of(out)))
    watched = [file for run in out.glob("rows/*/") for file in run.rglob("*")]
    watched += [file for run in out.glob("rows/*/") for file in out.glob(f"rows/{run.name}.log")]
    times = {file: file.stat().st_mtime_ns for file in watched}
    assert len(times) > 20
    suite = write_suite(place / "mine.yaml", rows={**BAD, "bad": {"overrides": "batch_size=10"}})
    record = here(f"suite={suite}", "seeds=1", "workers=2", f"out={out}")
    assert record.complete
    after = figures(record)
    assert {key: after[key] for key in ((row, 0) for row in GOOD)} == {
        key: value for key, value in before.items() if key[0] != "bad"
    }
    assert {file: file.stat().st_mtime_ns for file in watched} == times
    more = here(f"suite={suite}", "seeds=2", f"out={out}")
    assert {file: file.stat().st_mtime_ns for file in watched} == times
    assert [run.seed for run in more.row("one").runs] == [0, 1]
    assert more.row("one").runs[0].values["top1"] == after["one", 0][1]["top1"]


def test_a_worker_runs_one_trial_after_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process starts after one that failed, and after many; each run counts its own memory."""
    started = list[subprocess.Popen[bytes]]()
    real = subprocess.Popen

    def noted(*arguments: Any, **more: Any) -> subprocess.Popen[bytes]:
        process = real(*arguments, **more)
        started.append(process)
        return process

    monkeypatch.setattr("ssl_zoo.suites.launch_local.subprocess.Popen", noted)
    monkeypatch.setattr("ssl_zoo.suites.launch_local.RENEW", 2)
    suite = write_suite(tmp_path / "mine.yaml", rows={**TWO, "bad": BAD["bad"]}, claims=None)
    with pytest.raises(Unfinished, match="1 run"):
        ssl_zoo.bench([f"suite={suite}", "seeds=1", "workers=1", f"out={tmp_path / 'out'}"], silent=True)
    assert [process.returncode for process in started] == [0, 2], "the third trial is the second process's"
    peaks = [result["peak_memory_mb"] for result in whole_results(tmp_path / "out")]
    assert len(peaks) == 2
    assert max(peaks) < 1.3 * min(peaks)


# Killed and stopped, at a step at which the runs wait for it.

LONG = f"{TINY} data.limit=80 epochs=2 trainer.checkpoint_every_steps=1 monitor.samples=20"  # two times four steps


def steps_saved(out: Path) -> list[int]:
    return [read_checkpoint(file)["global_step"] for file in out.glob("rows/*/checkpoints/last.ckpt")]


@linux
def test_a_suite_that_is_killed_and_stopped_ends_with_the_same_figures(tmp_path: Path) -> None:
    suite, out = write_suite(tmp_path / "mine.yaml", base=LONG, rows=TWO), tmp_path / "out"
    command = ["bench", f"suite={suite}", "seeds=1", "workers=2", f"out={out}"]

    def start(step: int) -> tuple[subprocess.Popen[str], list[int]]:
        parent = held.start(tmp_path / f"step-{step}", step, *command)
        return parent, held.halted(tmp_path / f"step-{step}", 2, parent)

    def ended(parent: subprocess.Popen[str], rows: list[int]) -> tuple[str, str]:
        output = parent.communicate()
        held.wait_for(lambda: all(map(held.is_gone, rows)))
        return output

    # One run is killed, which loses step 3, and then the parent: the other saves itself and ends.
    parent, rows = start(step=3)
    for pid, number in (
        (parent.pid, signal.SIGSTOP),
        (rows[0], signal.SIGKILL),
        (parent.pid, signal.SIGKILL),
    ):
        os.kill(pid, number)
    ended(parent, rows)
    assert sorted(steps_saved(out)) == [2, 3]
    logs = "".join(file.read_text() for file in out.glob("rows/*.log"))
    assert logs.count("stopped and saved") == 1

    # Ctrl-C, which a terminal sends to the parent's group.
    parent, rows = start(step=6)
    parent.send_signal(signal.SIGINT)
    printed, error = ended(parent, rows)
    assert parent.returncode == 1
    assert "Traceback" not in printed + error
    ending = "stopped; what is done stays done, and those under way are saved"
    assert error.splitlines()[-1] == f"ssl-zoo: {ending}; to go on: ssl-zoo {' '.join(command)}"
    assert list(out.iterdir()) == [out / "rows"], "no report of what is not done"
    assert steps_saved(out) == [6, 6]

    found = here(*command[1:])
    whole = here(f"suite={suite}", "seeds=1", f"out={tmp_path / 'whole'}")
    assert figures(found) == figures(whole)
    assert results(out) == results(tmp_path / "whole")
    for run in (tmp_path / "whole" / "rows").glob("*/"):
        metrics = [
            (place / run.name / "metrics.csv").read_text().splitlines()
            for place in (out / "rows", run.parent)
        ]
        apart = [[line.rsplit(",", 1)[0] for line in lines] for lines in metrics]  # but for views per second
        assert apart[0] == apart[1]
        costs = [
            json.loads((place / run.name / "cost.json").read_text()) for place in (out / "rows", run.parent)
        ]
        assert costs[0]["passes_per_image"] == costs[1]["passes_per_image"] == 2


def test_a_locked_run_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another suite trains it: when that is done, nothing is left to do."""
    folder = tmp_path / "rows" / "run"
    folder.mkdir(parents=True)

    def trained_twice(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("ssl_zoo.suites.worker.train", trained_twice)
    monkeypatch.setattr("ssl_zoo.suites.worker.passes_per_image", lambda folder: 2.0)
    locked, asked = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def asking(folder: Path, *, wait: bool) -> Iterator[bool]:
        asked.set()
        with hold(folder, wait=wait) as got:
            yield got

    monkeypatch.setattr("ssl_zoo.suites.worker.hold", asking)

    def another() -> None:
        with hold(folder):
            locked.set()
            asked.wait(held.GUARD)
            (folder / "result.json").write_text("{}")

    thread = threading.Thread(target=another)
    thread.start()
    locked.wait(held.GUARD)
    run_trial({"folder": str(folder), "overrides": [], "evaluations": []})
    thread.join()


# Evaluated, and before its training.


def test_protocols_are_columns(tmp_path: Path) -> None:
    """Of the trained encoder and of the same one before its training, which share a run."""
    rows = {"scratch": {"weights": "random", "paper": 35.9}, "trained": {}, "again": {}}
    suite = write_suite(
        tmp_path / "mine.yaml",
        rows=rows,
        evaluate=["knn", "few_labels"],
        claims=["knn(trained) > knn(scratch)"],
    )
    overrides = [
        f"suite={suite}",
        "seeds=2",
        "eval.knn.k=[3]",
        "eval.few_labels.draws=2",
        f"out={tmp_path / 'out'}",
    ]
    record = here(*overrides)
    assert record.complete
    assert len(list((tmp_path / "out" / "rows").glob("*/result.json"))) == 2, "a run a seed"
    for row, weights in (("scratch", "random"), ("trained", "trained")):
        for run in record.row(row).runs:
            place = report_of(tmp_path / "out") / run.folder
            records = {
                name: json.loads(file.read_text())
                for name in ("knn", "few_labels")
                for file in place.glob(f"eval-{name}-*.json")
                if json.loads(file.read_text())["encoder"]["weights"] == weights
            }
            assert records["knn"]["settings"]["knn"]["k"] == [3]
            for name in ("knn", "few_labels"):
                assert run.values[name] == records[name]["top1"]
            assert run.values["top1"] == run.values["knn"], "the first protocol's"
            result = json.loads((place / "result.json").read_text())
            assert run.verdict == ("untrained" if row == "scratch" else result["verdict"])
    assert set(record.row("scratch").runs[0].values) == {"top1", "knn", "few_labels"}
    assert record.row("scratch").values("knn") != record.row("trained").values("knn")
    assert (record.row("trained").same_as, record.row("again").same_as) == (None, "trained")
    assert "k=3" in record.top1
    train, evaluate = record.row("scratch").runs[0].command.split(" && ")
    assert train.startswith("ssl-zoo train data=digits")
    assert evaluate.startswith(f"ssl-zoo eval {train.split()[-1].replace('run_dir', 'run')} protocol=")
    # Another protocol is added: nothing is trained anew.
    before = {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/rows/*/result.json")}
    more = here(*(override for override in overrides if "knn" not in override), "evaluate=few_labels")
    assert more.row("trained").values("top1") == record.row("trained").values("few_labels")
    assert {file: file.stat().st_mtime_ns for file in tmp_path.glob("out/rows/*/result.json")} == before


# Tuned.


def test_each_row_is_tuned_alike_and_never_on_the_test_set(tmp_path: Path) -> None:
    tune = {
        "key": "optimizer.lr",
        "multipliers": ["1/2", 4],
        "holdout": 0.25,
        "metric": "knn_top1",
        "seeds": 2,
    }
    rows = {"one": {}, "two": {"overrides": "optimizer.lr=0.4"}}
    suite = write_suite(tmp_path / "mine.yaml", rows=rows, tune=tune, claims=None)
    record = here(f"suite={suite}", "seeds=1", "data.limit=60", f"out={tmp_path / 'out'}")
    found = [
        (yaml.safe_load((run.parent / "config.yaml").read_text()), json.loads(run.read_text()))
        for run in (tmp_path / "out" / "rows").glob("*/result.json")
    ]
    trials = [(config, result) for config, result in found if config["data"]["holdout"]]
    finals = [config for config, _ in found if not config["data"]["holdout"]]
    assert {config["data"]["holdout"] for config, _ in trials} == {0.25}
    tried = sorted((config["optimizer"]["lr"], config["seed"]) for config, _ in trials)
    # 0.05 / 2 and 4 * 0.05, 0.4 / 2 and 4 * 0.4, of which two are the same run
    assert tried == [(lr, seed) for lr in (0.025, 0.2, 1.6) for seed in (0, 1)]
    best = {}
    for row, candidates in (("one", (0.025, 0.2)), ("two", (0.2, 1.6))):
        means = {
            lr: sum(result["knn_top1"] for config, result in trials if config["optimizer"]["lr"] == lr)
            for lr in candidates
        }
        best[row] = max(candidates, key=lambda lr: (means[lr], -lr))
        assert record.row(row).values("tuned") == [best[row]]
        assert f"optimizer.lr={best[row]}" in record.row(row).overrides
    assert {config["optimizer"]["lr"] for config in finals} == set(best.values())
    remarks = [
        remark
        for remark in record.remarks
        if remark.startswith("two: optimizer.lr tuned by knn_top1 on a held-out 25%")
    ]
    assert len(remarks) == 1
    assert f"chosen {best['two']:g}, at the edge of what was tried." in remarks[0]


def test_a_whole_number_is_tuned_too(tmp_path: Path) -> None:
    tune = {"key": "batch_size", "multipliers": ["1/2", 1], "holdout": 0.25, "metric": "knn_top1"}
    suite = write_suite(tmp_path / "mine.yaml", rows={"one": {}}, tune=tune, claims=None)
    record = here(f"suite={suite}", "seeds=1", "data.limit=60", f"out={tmp_path / 'out'}")
    assert record.row("one").values("tuned")[0] in (10, 20)


# Pieces.

PASSES = {
    ("simsiam",): 2,  # two views, and each of them is the other's target as well
    ("simclr",): 2,
    ("byol",): 4,  # two views through each of two encoders
    ("moco",): 2,  # a query and a key
    ("moco", "method.symmetric=true"): 4,
    ("simsiam", "method.symmetric=false"): 2,  # the target's view passes too
    ("simsiam", "method.symmetric=false", "method.pairs_per_image=2"): 4,
    ("byol", "method.symmetric=false"): 2,
    ("byol", "method.momentum_encoder.enabled=false"): 2,
    ("simsiam", "method.alternation_steps=10"): 4,  # the targets' encoder stands still, and is another
    ("swav", "augment.views={large:{count:2},small:{count:3,size:4}}"): 5,
    ("moco", "method.negatives=memory_bank"): 2,
}


@pytest.mark.parametrize("which", PASSES)
def test_forward_passes_are_counted(which: tuple[str, ...]) -> None:
    assert passes_per_image(compose(overrides(*which))) == PASSES[which]


def test_what_a_log_says_last(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    assert last_message(log) == ""
    log.write_text("ssl-zoo: the first start's mistake\n")
    before = log.stat().st_size
    with log.open("a") as end:
        end.write("epoch 1\nTraceback\n  File\nRuntimeError: müde\n\n")
    assert last_message(log, before) == "RuntimeError: müde"
    with log.open("a") as end:
        end.write("ssl-zoo: batch_size is too large\nand so on\n")
    assert last_message(log, before) == "batch_size is too large"


def test_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert Slots.of_machine("cpu", None, None) == Slots(8, (), 1)
    assert Slots.of_machine("cpu", None, 3) == Slots(2, (), 3)
    assert Slots.of_machine("cpu", 2, None) == Slots(2, (), 1), (
        "figures do not depend on the number of workers"
    )
    assert Slots.of_machine("cpu", None, 16) == Slots(1, (), 16)
    assert Slots.of_machine("cpu", None, 2, devices=2) == Slots(2, (), 2)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert Slots.of_machine("cuda", None, None) == Slots(4, ((0,), (1,), (2,), (3,)), 2)
    assert Slots.of_machine("cuda", 6, 1) == Slots(6, ((0,), (1,), (2,), (3,), (0,), (1,)), 1)
    assert Slots.of_machine("cuda", None, None, devices=2) == Slots(2, ((0, 1), (2, 3)), 4)


def test_a_dry_run_creates_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = write_suite(tmp_path / "mine.yaml")
    assert cli.main(["bench", f"suite={suite}", "seeds=2", "dry_run=true", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "4 runs, 0 of them done already" in printed
    assert "two: 0 of 2 done · method.stop_gradient=false" in printed
    assert list(tmp_path.iterdir()) == [suite]


def test_unfinished_is_an_exception_of_its_own(tmp_path: Path) -> None:
    suite = write_suite(tmp_path / "mine.yaml", rows={"bad": {"overrides": "batch_size=200"}}, claims=None)
    with pytest.raises(Unfinished, match="2 run"):
        here(f"suite={suite}", "seeds=2", f"out={tmp_path / 'out'}")
