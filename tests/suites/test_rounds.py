"""`seeds=auto`, `max_seeds` and `max_minutes`, with results that are written instead of trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_suites import write_suite
from helpers.writes_results import WritesResults

import ssl_zoo
from ssl_zoo.errors import Unfinished, UserError
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.suites.options import read_bench
from ssl_zoo.suites.record import RunRecord, SuiteRecord
from ssl_zoo.suites.trial import Trial, is_done, run_record

ROWS = {
    "low": {},
    "high": {"overrides": "optimizer.lr=0.06"},
    "near": {"overrides": "optimizer.lr=0.07"},
    "alone": {"overrides": "optimizer.lr=0.08"},
}
CLAIMS = ["top1(high) > top1(low)", "top1(near) > top1(high)"]
MEANS = {"low": 0.5, "high": 0.9, "near": 0.9, "alone": 0.5}


def alternating(row: str, seed: int) -> float:
    """Two far apart, two that no number of seeds tells apart."""
    return MEANS[row] + (0.001 if seed % 2 else -0.001) * (8 if row == "near" else 1)


class Trainer(WritesResults):
    """Writes accuracies that alternate where no others are given."""

    def __init__(
        self, accuracy: Callable[[str, int], float | None] = alternating, *rest: Any, **more: Any
    ) -> None:
        super().__init__(accuracy, *rest, **more)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SuiteRecord]:
    """Runs a suite of these rows and claims with a trainer."""

    def run(
        trainer: Trainer,
        *overrides: str,
        claims: Sequence[str] = CLAIMS,
        out: str = "out",
        hopeless: int = 100,
    ) -> SuiteRecord:
        suite = write_suite(tmp_path / "mine.yaml", rows=ROWS, claims=list(claims), smallest_difference=0.005)
        monkeypatch.setattr("ssl_zoo.suites.runner.run_local", trainer)
        monkeypatch.setattr("ssl_zoo.suites.run.HOPELESS", hopeless)
        monkeypatch.setattr("ssl_zoo.suites.time_limit.time.monotonic", lambda: trainer.now)
        return ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / out}", *overrides], silent=True)

    return run


def report(folder: Path) -> str:
    return (folder / "report.md").read_text()


def seeds_of(record: SuiteRecord) -> dict[str, int]:
    return {row.name: len(row.runs) for row in record.rows}


def test_claims_that_are_decided_at_once_add_nothing(bench: Callable[..., SuiteRecord]) -> None:
    trainer = Trainer()
    record = bench(trainer, "seeds=auto", claims=CLAIMS[:1])
    assert seeds_of(record) == {"low": 3, "high": 3, "near": 3, "alone": 3}
    assert trainer.started[:5] == [("low", 0), ("high", 0), ("near", 0), ("alone", 0), ("low", 1)]
    assert [claim.state for claim in record.claims] == ["holds"]
    assert seeds_of(bench(Trainer(), "seeds=auto", claims=[], out="none")) == seeds_of(record)


def test_rows_of_undecided_claims_get_seeds_up_to_the_limit(
    bench: Callable[..., SuiteRecord], tmp_path: Path
) -> None:
    trainer = Trainer()
    record = bench(trainer, "max_seeds=6")
    assert seeds_of(record) == {"low": 3, "high": 6, "near": 6, "alone": 3}
    assert trainer.started[12:] == [(row, seed) for seed in (3, 4, 5) for row in ("high", "near")]
    assert record.seeds == (0, 1, 2, 3, 4, 5)
    assert [claim.state for claim in record.claims] == ["holds", "undecided"]
    page = report(tmp_path / "out" / "mine-digits-quick")
    assert "4 rows × 3 to 6 seeds" in page
    assert [
        line.split("|")[-2].strip() for line in page.splitlines() if line.startswith(("| low ", "| high "))
    ][:2] == [
        "3",
        "6",
    ], "a column of its own"
    (remark,) = (remark for remark in record.remarks if "left undecided" in remark)
    assert remark == "max_seeds=6 left undecided: top1(near) > top1(high)."

    more = Trainer()
    assert seeds_of(bench(more, "max_seeds=7")) == {"low": 3, "high": 7, "near": 7, "alone": 3}
    assert more.started == [("high", 6), ("near", 6)], "the seeds that are there count"


def test_a_claim_that_would_take_twice_the_most_seeds_is_given_up(bench: Callable[..., SuiteRecord]) -> None:
    record = bench(Trainer(), "max_seeds=6", hopeless=2)
    assert seeds_of(record) == {"low": 3, "high": 5, "near": 5, "alone": 3}
    assert record.claims[1].state == "undecided"


def test_seeds_follow_from_the_results_alone(bench: Callable[..., SuiteRecord]) -> None:
    """Not from the number of workers, an interruption, nor from seeds that lie there already."""

    def drifting(row: str, seed: int) -> float:
        return alternating(row, seed) + (0.004 * seed if row == "near" else 0)

    whole = bench(Trainer(drifting), "max_seeds=12", out="whole")
    assert 3 < seeds_of(whole)["near"] < 12, "decided on the way"
    for workers in (2, 5):
        assert seeds_of(bench(Trainer(drifting, workers), "max_seeds=12", out=f"{workers}")) == seeds_of(
            whole
        )
    for stop_after in (5, 13):
        with pytest.raises(ssl_zoo.Interrupted):
            bench(Trainer(drifting, stop_after=stop_after), "max_seeds=12", out=f"stopped-{stop_after}")
        again = bench(Trainer(drifting), "max_seeds=12", out=f"stopped-{stop_after}")
        assert again.claims == whole.claims
        assert seeds_of(again) == seeds_of(whole)
    bench(Trainer(drifting), "seeds=12", out="twelve")
    trainer = Trainer(drifting)
    assert bench(trainer, "max_seeds=12", out="twelve").claims == whole.claims
    assert trainer.started == []


def test_the_next_round_begins_while_another_claim_waits(bench: Callable[..., SuiteRecord]) -> None:
    """The third worker takes the next seed of the rows whose claim has its seeds, though `low` still runs."""
    claims = [CLAIMS[1], "top1(low) < 0.9"]
    order = Trainer(workers=3)
    bench(order, "max_seeds=4", claims=claims)
    assert order.seeds("high") == order.seeds("near") == [0, 1, 2, 3]


def test_no_run_starts_that_would_end_too_late(bench: Callable[..., SuiteRecord]) -> None:
    trainer = Trainer(minutes=2)
    record = bench(trainer, "max_minutes=31")
    assert len(trainer.started) == 15, "the sixteenth would end after 32 minutes"
    assert seeds_of(record) == {"low": 3, "high": 5, "near": 4, "alone": 3}
    assert all(run.finished for row in record.rows for run in row.runs)
    (remark,) = (remark for remark in record.remarks if "max_minutes" in remark)
    assert remark.startswith("max_minutes=31 ended the suite: 1 run(s) were not started")

    short = Trainer(minutes=2)
    record = bench(short, "max_minutes=9", out="short")
    assert len(short.started) == 4
    assert [len(row.verdicts) for row in record.rows] == [1, 1, 1, 1]
    assert [claim.state for claim in record.claims] == ["undecided", "undecided"]
    assert seeds_of(bench(Trainer(), "max_seeds=4", out="short"))["near"] == 4, "the same command goes on"


@pytest.fixture
def tuned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., SuiteRecord]:
    """Runs a suite of two rows, each with two candidates for its rate, of which one is the recipe's."""

    def run(trainer: Trainer, *overrides: str) -> SuiteRecord:
        rows = {name: ROWS[name] for name in ("low", "high")}
        tune = {"key": "optimizer.lr", "multipliers": [1, 8], "holdout": 0.25, "metric": "top1", "seeds": 1}
        suite = write_suite(tmp_path / "mine.yaml", rows=rows, claims=CLAIMS[:1], tune=tune)
        monkeypatch.setattr("ssl_zoo.suites.runner.run_local", trainer)
        monkeypatch.setattr("ssl_zoo.suites.time_limit.time.monotonic", lambda: trainer.now)
        return ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}", *overrides])

    return run


def test_the_time_may_be_up_while_candidates_are_tried(
    tuned: Callable[..., SuiteRecord],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trainer = Trainer(minutes=2)
    record = tuned(trainer, "max_minutes=7")
    assert trainer.started == [("low", 0), ("high", 0), ("low", 0)]
    ending = (
        "max_minutes=7 ended the suite while it was tuning: 1 of 4 runs of candidates were not started, as they would "
        "probably have ended later, and no run of a row, as rows wait until all candidates have been tried; the same "
        "command goes on."
    )
    assert record.remarks[-1] == ending
    assert not [remark for remark in record.remarks if "chosen" in remark.replace("none is chosen", "")]
    assert not [remark for remark in record.remarks if "seeds=auto" in remark]
    printed = " ".join(capsys.readouterr().err.split())
    assert ending in printed
    assert "seeds=auto" not in printed
    # Rows of the recipe's rate that another suite has trained are not of tuned ones.
    other = Trainer()
    monkeypatch.setattr("ssl_zoo.suites.runner.run_local", other)
    suite = write_suite(tmp_path / "other.yaml", rows=ROWS, claims=CLAIMS[:1])
    ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}"], silent=True)
    again = Trainer(minutes=2)
    record = tuned(again, "max_minutes=1")
    assert (len(other.started), again.started) == (12, [])
    assert [claim.state for claim in record.claims] == ["undecided"]
    assert not any(run.finished for row in record.rows for run in row.runs)

    reads = Counter[str]()

    def read(trial: Trial, *rest: Any) -> RunRecord:
        reads[trial.name] += is_done(trial, tmp_path / "out" / "rows" / trial.name)
        return run_record(trial, *rest)

    monkeypatch.setattr("ssl_zoo.suites.results.run_record", read)
    rest = Trainer()
    record = tuned(rest)
    assert set(reads.values()) == {1}, "each result is read once, however often candidates are compared"
    assert rest.started[0] == ("high", 0), "the same command goes on"
    assert all(run.finished for row in record.rows for run in row.runs)
    assert record.remarks[-1].startswith("seeds=auto: 3 seeds for each row")
    assert sum("; chosen 0." in remark for remark in record.remarks) == 2


def test_a_run_that_is_done_is_read_no_more_often_for_more_rounds(
    bench: Callable[..., SuiteRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(most: int) -> Counter[str]:
        """Counts how often each row's result of the first seed is read."""
        counts = Counter[str]()

        def read(file: Path) -> Any:
            if file.name == "result.json" and "-s0-" in file.parent.name:
                counts[file.parent.name] += file.exists()
            return read_record(file)

        monkeypatch.setattr("ssl_zoo.suites.trial.read_record", read)
        record = bench(Trainer(), f"max_seeds={most}", out=f"out{most}")
        assert seeds_of(record)["near"] == most
        return counts

    few = reads(4)
    assert len(few) == 4
    assert reads(12) == few


def test_a_claim_about_a_row_that_fails_adds_nothing(
    bench: Callable[..., SuiteRecord], tmp_path: Path
) -> None:
    def breaking(row: str, seed: int) -> float | None:
        return None if (row, seed) == ("near", 2) else alternating(row, seed)

    trainer = Trainer(breaking)
    with pytest.raises(Unfinished):
        bench(trainer)
    assert len(trainer.started) == 12
    again = Trainer()
    assert seeds_of(bench(again, "max_seeds=4"))["near"] == 4
    assert again.started == [("near", 2), ("high", 3), ("near", 3)]


def test_rows_that_are_the_same_run_are_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {
        "one": {},
        "same": {"overrides": "optimizer.lr=0.05"},
        "other": {"overrides": "optimizer.lr=0.06"},
    }
    claims = ["top1(other) > top1(one)", "top1(other) > top1(same)"]
    suite = write_suite(tmp_path / "mine.yaml", rows=rows, claims=claims)
    trainer = Trainer(lambda row, seed: 0.5 + 0.01 * (-1) ** seed, workers=2)
    monkeypatch.setattr("ssl_zoo.suites.runner.run_local", trainer)
    record = ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}", "max_seeds=4"], silent=True)
    assert trainer.seeds("one") == trainer.seeds("other") == [0, 1, 2, 3]
    assert trainer.seeds("same") == []
    assert seeds_of(record) == {"one": 4, "same": 4, "other": 4}
    # Another suite finds them.
    again = write_suite(tmp_path / "another.yaml", rows={"mine": {}}, claims=None)
    ssl_zoo.bench([f"suite={again}", f"out={tmp_path / 'out'}", "seeds=4"], silent=True)
    assert len(trainer.started) == 8


def test_a_dry_run_names_the_first_round_and_what_may_follow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    suite = write_suite(tmp_path / "mine.yaml", rows=ROWS, claims=CLAIMS)
    ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}", "dry_run=true", "max_seeds=5"])
    printed = capsys.readouterr().out
    assert "12 runs, 0 of them done already" in printed
    assert "low: 0 of 3 done" in printed
    assert (
        "then one more seed at a time for the rows of undecided claims, up to 5 a row: 8 runs at most"
        in printed
    )


def test_rounds_are_reported(
    bench: Callable[..., SuiteRecord], tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", "1000")
    bench(Trainer(), "max_seeds=3")
    monkeypatch.setattr("ssl_zoo.suites.runner.run_local", Trainer())
    suite = tmp_path / "mine.yaml"
    ssl_zoo.bench([f"suite={suite}", f"out={tmp_path / 'out'}", "max_seeds=4", "max_minutes=60"])
    printed = capsys.readouterr().err
    assert "round 2: 1 undecided; one more seed for high, near · " in printed
    assert "max_minutes left" in printed
    assert "13/14 high, seed 3: top1 89.9" in printed or "13/14 high, seed 3: top1 90.1" in printed
    assert "seeds=auto: 3 seeds for each row" in printed


def test_a_lower_max_seeds_takes_no_seeds_away(bench: Callable[..., SuiteRecord]) -> None:
    before = bench(Trainer(), "max_seeds=6")
    assert max(seeds_of(before).values()) == 6
    trainer = Trainer()
    after = bench(trainer, "max_seeds=3")
    assert seeds_of(after) == seeds_of(before)
    assert [claim.state for claim in after.claims] == [claim.state for claim in before.claims]
    assert not trainer.started, "nothing is run for it"


def test_max_seeds_belongs_to_auto() -> None:
    with pytest.raises(UserError, match="max_seeds is read with seeds=auto; received seeds=5"):
        read_bench(["suite=methods", "seeds=5", "max_seeds=7"])
    assert read_bench(["suite=methods"])[0].seeds == "auto"
    wrong = {
        "seeds=many": "seeds must be a whole number or one of 'auto'; received 'many'",
        "max_seeds=2": "max_seeds must be at least 3; received 2",
        "max_minutes=0": "max_minutes must be greater than 0.0; received 0",
    }
    for override, message in wrong.items():
        with pytest.raises(UserError, match=message):
            read_bench(["suite=methods", override])


def test_a_cluster_gets_an_array_for_each_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = list[list[tuple[str, int]]]()
    trainer = Trainer()

    def submitted(
        trials: list[Trial], rows: Path, config: Any, workers: Any, on_tick: Any, on_end: Any
    ) -> None:
        arrays.append([(trial.row, trial.config.seed) for trial in trials])
        for trial in trials:
            trainer.finish(trial, rows, on_end)

    monkeypatch.setattr("ssl_zoo.suites.launch_slurm._run_array", submitted)
    monkeypatch.setattr("ssl_zoo.suites.checks.check_submitit", lambda: None)
    suite = write_suite(tmp_path / "mine.yaml", rows=ROWS, claims=CLAIMS, smallest_difference=0.005)
    command = [f"suite={suite}", f"out={tmp_path / 'out'}", "launcher=slurm", "max_seeds=5"]
    record = ssl_zoo.bench(command, silent=True)
    assert [len(array) for array in arrays] == [12, 2, 2]
    assert arrays[1:] == [[("high", seed), ("near", seed)] for seed in (3, 4)]
    assert seeds_of(record) == {"low": 3, "high": 5, "near": 5, "alone": 3}
