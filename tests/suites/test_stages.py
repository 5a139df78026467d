"""`start_from: ROW`: stages in their order, with weights of the same seed, found again wherever the folder lies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_suites import in_process, write_suite
from helpers.writes_results import WritesResults

import ssl_zoo
from ssl_zoo.config.overrides import read_override
from ssl_zoo.errors import Unfinished, UserError
from ssl_zoo.reports.suite_curves import _first_epochs, _line
from ssl_zoo.suites.plan import Planner
from ssl_zoo.suites.read import read_suite
from ssl_zoo.suites.record import SuiteRecord, run_dir
from ssl_zoo.suites.stages import resolve
from ssl_zoo.suites.trial import Trial

# The last stage stands first, so that the order of the rows is not the order of training.
STAGES = {
    "third": {"start_from": "second", "overrides": "optimizer.lr=0.03"},
    "first": {},
    "second": {"start_from": "first", "overrides": "method.predictor.kind=identity"},
}


def trials_of(file: Path, seeds: int) -> dict[str, list[Trial]]:
    rows = Planner(read_suite(str(file)), "quick", [], None, 1).rows()
    return resolve({row.name: (row.source.start_from, row.trial) for row in rows}, seeds, ())


def flat(row: str, seed: int) -> float:
    return 0.5


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SuiteRecord]:
    def run(trainer: Any, *overrides: str, out: str = "out", **changes: Any) -> SuiteRecord:
        suite = write_suite(tmp_path / "mine.yaml", **{"rows": STAGES, "claims": None, **changes})
        monkeypatch.setattr("ssl_zoo.suites.runner.run_local", trainer)
        if isinstance(trainer, WritesResults):
            monkeypatch.setattr("ssl_zoo.suites.time_limit.time.monotonic", lambda: trainer.now)
        return ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / out}", *overrides], silent=True)

    return run


def test_a_stage_begins_with_the_same_seed_and_is_named_by_what_it_computes(tmp_path: Path) -> None:
    trials = trials_of(write_suite(tmp_path / "mine.yaml", rows=STAGES, claims=None), 2)
    for seed in (0, 1):
        third, first, second = (trials[row][seed] for row in STAGES)
        assert (third.start, second.start, first.start) == (second, first, None)
        given = dict(map(read_override, third.overrides_in(tmp_path / "rows")))
        assert given["start_from"] == str(tmp_path / "rows" / second.name)
        assert "start_from" not in dict(map(read_override, first.overrides_in(tmp_path / "rows")))
    assert len({trial.name for row in trials.values() for trial in row}) == 6
    # Another first stage makes other runs of all later ones; another name of it does not.
    longer = trials_of(
        write_suite(tmp_path / "mine.yaml", rows={**STAGES, "first": {"overrides": "epochs=2"}}, claims=None),
        1,
    )
    assert all(longer[row][0].name != trials[row][0].name for row in STAGES)
    renamed = {
        "a": {},
        "b": {**STAGES["second"], "start_from": "a"},
        "c": {**STAGES["third"], "start_from": "b"},
    }
    other = trials_of(write_suite(tmp_path / "other.yaml", rows=renamed, claims=None), 1)
    assert [other[row][0].name for row in "abc"] == [
        trials[row][0].name for row in ("first", "second", "third")
    ]


@pytest.mark.parametrize("workers", [1, 3])
def test_stages_are_trained_in_order(bench: Callable[..., SuiteRecord], workers: int) -> None:
    trainer = WritesResults(flat, workers)
    record = bench(trainer, "seeds=2")
    assert record.complete
    for seed in (0, 1):
        order = [row for row, of_seed in trainer.started if of_seed == seed]
        assert order == ["first", "second", "third"]
    assert [row.start_from for row in record.rows] == ["second", None, "first"]
    assert "start_from=" in record.row("third").runs[0].command


def test_a_further_seed_of_a_stage_trains_that_of_the_stages_before(
    bench: Callable[..., SuiteRecord],
) -> None:
    """Their own rows have no more seeds than their claims need."""

    def spread(row: str, seed: int) -> float:
        return 0.5 + (0.2 * (seed % 2) if row == "third" else 0.0)

    trainer = WritesResults(spread)
    claims = ["top1(third) > 0.55"]
    record = bench(trainer, "max_seeds=5", claims=claims)
    assert {row.name: len(row.runs) for row in record.rows} == {"third": 5, "first": 3, "second": 3}
    assert trainer.started[-6:] == [(row, seed) for seed in (3, 4) for row in ("first", "second", "third")]
    again = WritesResults(spread)
    assert bench(again, "max_seeds=5", claims=claims).claims == record.claims
    assert again.started == []


@pytest.mark.parametrize("workers", [1, 3])
def test_a_stage_fails_with_the_one_before(bench: Callable[..., SuiteRecord], workers: int) -> None:
    def breaks(row: str, seed: int) -> float | None:
        return None if (row, seed) == ("first", 1) else 0.5

    trainer = WritesResults(breaks, workers)
    counted = r"^1 run\(s\) failed, and 2 that begin with their weights could not; the others are done"
    with pytest.raises(Unfinished, match=counted):
        bench(trainer, "seeds=2")
    assert {row for row, seed in trainer.started if seed == 1} == {"first"}
    again = WritesResults(flat, workers)
    assert bench(again, "seeds=2").complete
    assert again.started == [(row, 1) for row in ("first", "second", "third")]


def test_the_reason_of_a_failed_stage_is_reported(bench: Callable[..., SuiteRecord], tmp_path: Path) -> None:
    with pytest.raises(Unfinished):
        bench(WritesResults(lambda row, seed: None), "seeds=1")
    (report,) = (tmp_path / "out").glob("mine-digits-quick*/report.md")
    text = " ".join(report.read_text().split())
    assert (
        "it begins with second, seed 0, which failed: it begins with first, seed 0, which failed: it broke"
        in text
    )


def test_a_cluster_gets_an_array_for_each_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays, trainer = list[list[str]](), WritesResults(flat)

    def submitted(
        trials: list[Trial], rows: Path, config: Any, workers: Any, on_tick: Any, on_end: Any
    ) -> None:
        arrays.append([trial.row for trial in trials])
        for trial in trials:
            trainer.finish(trial, rows, on_end)

    monkeypatch.setattr("ssl_zoo.suites.launch_slurm._run_array", submitted)
    monkeypatch.setattr("ssl_zoo.suites.checks.check_submitit", lambda: None)
    suite = write_suite(tmp_path / "mine.yaml", rows=STAGES, claims=None)
    ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}", "launcher=slurm", "seeds=2"], silent=True)
    assert arrays == [["first"] * 2, ["second"] * 2, ["third"] * 2]


@pytest.mark.parametrize(
    ("changes", "overrides", "message"),
    [
        ({"rows": {"one": {"start_from": "two"}}}, [], "unknown row 'two'"),
        (
            {"rows": {"one": {"start_from": "two"}, "two": {"start_from": "one"}}},
            [],
            r"received the circle one < two < one",
        ),
        ({"rows": {"one": {"start_from": "one"}}}, [], "received the circle one < one"),
        (
            {"rows": {"a": {}, "one": {"start_from": "a", "weights": "random"}}, "evaluate": ["knn"]},
            [],
            "before any training",
        ),
        ({"tune": {"key": "optimizer.lr", "multipliers": [1, 2]}}, [], "weights of their own seed"),
        ({"quick": {"rows": ["first", "third"]}}, [], "'third' begins with the weights of 'second'"),
        ({"rows": {**STAGES, "first": {"only_data": ["cifar10"]}}}, [], "leaves out; run both"),
        ({}, ["start_from=elsewhere"], "a row begins with one run"),
        ({}, ["backbone.pretrained=true"], "contradicts backbone.pretrained=true"),
    ],
)
def test_stages_that_cannot_be_trained_are_refused_before_anything_starts(
    changes: dict[str, Any],
    overrides: list[str],
    message: str,
    bench: Callable[..., SuiteRecord],
    tmp_path: Path,
) -> None:
    trainer = WritesResults(flat)
    with pytest.raises(UserError, match=message):
        bench(trainer, *overrides, **changes)
    assert trainer.started == []
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_stages_take_the_weights_and_are_found_where_the_folder_is_moved_to(
    bench: Callable[..., SuiteRecord], tmp_path: Path
) -> None:
    record = bench(in_process, "seeds=1")
    folder = next(folder for folder in (tmp_path / "out").iterdir() if folder.name != "rows")
    results = {
        row.name: json.loads((run_dir(row.runs[0], folder) / "result.json").read_text())
        for row in record.rows
    }
    for row, result in results.items():
        assert result["config_hash"] == record.row(row).runs[0].config_hash, "the folder's name has it too"
        assert (result["start_from"] is None) is (row == "first")
    for later, before in (("second", "first"), ("third", "second")):
        start = results[later]["start_from"]
        assert start["config_hash"] == results[before]["config_hash"]
        assert start["checkpoint"] == str(
            run_dir(record.row(before).runs[0], folder) / "checkpoints" / "last.ckpt"
        )
    assert results["second"]["start_from"]["not_taken"] == ["predictor"]

    begins = _first_epochs(record.rows, folder)
    assert begins == {"first": 0.0, "second": 1.0, "third": 2.0}
    line = _line(record.row("third"), folder, "residual_ratio", "third", 0, begins["third"])
    assert line is not None
    assert list(line.x) == [2.0, 3.0]

    # A run that the user names for all rows: whatever its path, the same trials; none of that path is refused.
    one = run_dir(record.row("first").runs[0], folder)
    shutil.copytree(one, tmp_path / "copy")
    rows: dict[str, Any] = {"rows": {"one": {}}, "claims": None}
    suite = read_suite(str(write_suite(tmp_path / "from.yaml", **rows)))
    named = [
        Planner(suite, "quick", [f"start_from={run}"], None, 1).rows()[0].trial(0)
        for run in (one, tmp_path / "copy")
    ]
    assert named[0].name == named[1].name
    assert named[0].hash != trials_of(tmp_path / "mine.yaml", 1)["first"][0].hash
    with pytest.raises(UserError, match="start_from takes a run directory"):
        bench(WritesResults(flat), "seeds=1", f"start_from={tmp_path / 'nowhere'}", out="none", **rows)

    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    trainer = WritesResults(flat)
    again = bench(trainer, "seeds=1", out="elsewhere")
    assert trainer.started == []
    figures = [row.runs[0].values["top1"] for row in record.rows]
    assert [row.runs[0].values["top1"] for row in again.rows] == figures

    # Stopped between its last step and its result, and moved: it continues without the path that it began with.
    moved = tmp_path / "elsewhere" / "rows" / run_dir(record.row("second").runs[0], folder).name
    (moved / "result.json").unlink()
    last = bench(in_process, "seeds=1", out="elsewhere")
    assert [row.runs[0].values["top1"] for row in last.rows] == figures
    assert json.loads((moved / "result.json").read_text())["config_hash"] == results["second"]["config_hash"]
