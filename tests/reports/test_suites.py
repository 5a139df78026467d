"""The comparison of suites: its statistics, what it says of equal and of missing figures, and where it writes."""

from __future__ import annotations

import csv
import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from ssl_zoo.cli.main import main
from ssl_zoo.reports.report import report
from ssl_zoo.reports.suites import suites_page
from ssl_zoo.reports.suites_changes import compare_suites, count_changes
from ssl_zoo.reports.suites_diff import (
    ComparedSuite,
    changed_claims,
    changed_verdicts,
    differing_settings,
    labels,
)
from ssl_zoo.suites.record import ClaimRecord, RowRecord, RunRecord, SuiteRecord

LOW, LOWER, HIGH = (0.50, 0.51, 0.52), (0.505, 0.512, 0.523), (0.70, 0.72, 0.71)


def row(
    name: Any,
    top1: Any,
    *,
    hashed: str = "a",
    folder: str = "runs",
    verdicts: str | list[str] = "healthy",
    overrides: Any = (),
    **others: Any,
) -> Any:
    """A row with a seed for each top-1; None: a run that failed."""
    of_each = [verdicts] * len(top1) if isinstance(verdicts, str) else verdicts
    runs = [
        RunRecord(seed, f"{folder}/{name}-{seed}", f"{hashed}{seed}", "ssl-zoo train", error="it broke")
        if value is None
        else RunRecord(
            seed, f"{folder}/{name}-{seed}", f"{hashed}{seed}", "ssl-zoo train",
            {"top1": value, **{key: values[seed] for key, values in others.items()}}, of_each[seed],
        )
        for seed, value in enumerate(top1)
    ]  # fmt: skip
    return RowRecord(name, overrides, tuple(runs))


def suite(*rows: Any, claims: Any = (), columns: tuple[str, ...] = ("top1", "verdict"), **fields: Any) -> Any:
    """A record with these rows."""
    values = {
        "name": "mine", "title": "Mine", "paper": "P", "source": "https://a.b", "section": "Table 1",
        "question": "Does it?", "paper_setting": "", "data": "digits", "data_in_words": "1,437 images",
        "budget": "quick",
        "seeds": (0, 1, 2), "overrides": (), "base": (), "columns": columns, "top1": "linear probe",
        "protocols": {}, "figures": (),
        "switches": (), "pixels": {}, "remarks": (), "command": "ssl-zoo bench suite=mine",
        "versions": {"torch": "2.15"}, "machine": "4 cores", "date": "2026-01-01",
    }  # fmt: skip
    claim_records = tuple(ClaimRecord(text, state, "because") for text, state in dict(claims).items())
    return SuiteRecord(**{**values, "rows": rows, "claims": claim_records, **fields})


def opened(tmp_path: Path, *records: Any) -> Any:
    return [ComparedSuite(name, tmp_path / name, one) for name, one in zip("ABC", records, strict=False)]


def written(tmp_path: Path, **records: Any) -> Any:
    for name, record in records.items():
        (tmp_path / name).mkdir()
        record.write(tmp_path / name)
    return [str(tmp_path / name) for name in records]


def only(changes: Any, **wanted: Any) -> Any:
    (found,) = [
        change for change in changes if all(getattr(change, key) == value for key, value in wanted.items())
    ]
    return found


@pytest.mark.parametrize(
    ("after", "state"), [(HIGH, "rose"), (LOWER, "no difference found"), ((0.3, 0.31), "fell")]
)
def test_a_difference_is_that_of_scipy(tmp_path: Path, after: Any, state: str) -> None:
    (change,) = compare_suites(opened(tmp_path, suite(row("x", LOW)), suite(row("x", after, hashed="b"))))
    expected = stats.ttest_ind(after, LOW, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert change.state == state
    assert (change.difference, change.low, change.high, change.p) == pytest.approx(
        (statistics.mean(after) - statistics.mean(LOW), interval.low, interval.high, expected.pvalue)
    )
    assert (change.before.mean, change.before.std) == pytest.approx((0.51, 0.01))


def test_the_correction_takes_back_what_chance_explains(tmp_path: Path) -> None:
    # p is 0.030 for x: below 0.05 alone, above it among 4
    before, after = (0.50, 0.51, 0.52), (0.53, 0.54, 0.55)
    names = ("y", "z", "w")
    first = suite(row("x", before), *(row(name, LOW) for name in names))
    second = suite(row("x", after, hashed="b"), *(row(name, LOWER, hashed="b") for name in names))
    changes = compare_suites(opened(tmp_path, first, second))
    change = only(changes, row="x")
    assert change.p < 0.05 < change.corrected == pytest.approx(4 * change.p)
    counts = count_changes(changes)
    assert (counts.rows, counts.corrected, counts.uncorrected, counts.tests) == (4, 0, 1, 4)


def test_the_same_runs_under_two_names_are_one_test(tmp_path: Path) -> None:
    first = suite(row("x", LOW, linear_top1=LOW), columns=("top1", "linear_top1"))
    second = suite(row("x", LOWER, hashed="b", linear_top1=LOWER), columns=("linear_top1",))
    changes = compare_suites(opened(tmp_path, first, second))
    assert [change.metric for change in changes] == ["top1", "linear_top1"]
    assert count_changes(changes).tests == 1
    assert all(change.corrected == change.p for change in changes)


def test_only_accuracies_are_corrected(tmp_path: Path) -> None:
    first = suite(row("x", LOW, seconds=(1.0, 1.1, 1.2)), columns=("top1", "seconds", "verdict"))
    second = suite(row("x", HIGH, seconds=(1.5, 1.6, 1.7)), columns=("top1", "seconds", "verdict"))
    changes = compare_suites(opened(tmp_path, first, second))
    assert only(changes, metric="seconds").state == "rose"
    assert only(changes, metric="seconds").corrected is None
    assert (
        only(changes, metric="top1").corrected == only(changes, metric="top1").p
    )  # the only one of its family
    assert count_changes(changes).tests == 1


@pytest.mark.parametrize(
    ("hashed", "folder", "state"),
    [
        ("a", "../A/runs", "the same runs"),
        ("a", "runs", "reproduced to the last digit"),
        ("b", "runs", "the same values"),
    ],
)
@pytest.mark.parametrize("seeds", [1, 3])
def test_equal_values_are_no_test(tmp_path: Path, hashed: str, folder: str, state: str, seeds: int) -> None:
    first, second = row("x", LOW[:seeds]), row("x", LOW[:seeds], hashed=hashed, folder=folder)
    changes = compare_suites(opened(tmp_path, suite(first), suite(second)))
    assert [(change.state, change.difference, change.p) for change in changes] == [(state, 0, None)]
    assert count_changes(changes).equal == 1


def test_equal_means_of_other_seeds_are_not_called_the_same(tmp_path: Path) -> None:
    (change,) = compare_suites(opened(tmp_path, suite(row("x", LOW)), suite(row("x", LOW[::-1]))))
    assert (change.state, change.difference) == ("no difference found", 0)


@pytest.mark.parametrize(
    ("top1", "state"), [((0.7,), "one seed"), ((0.7, None, None), "one seed"), ((None,), "not measured")]
)
def test_too_few_seeds_decide_nothing(tmp_path: Path, top1: Any, state: str) -> None:
    changes = compare_suites(opened(tmp_path, suite(row("x", LOW)), suite(row("x", top1, hashed="b"))))
    assert [(change.state, change.low) for change in changes] == [(state, None)]
    assert count_changes(changes).one_seed == 1


def test_figures_that_were_not_finite_are_left_out(tmp_path: Path) -> None:
    first = suite(row("x", LOW, loss=(1.0, 1.1, 1.2)), columns=("loss",))
    second = suite(row("x", LOW, loss=(float("nan"), None, 1.0)), columns=("loss",))
    change = only(compare_suites(opened(tmp_path, first, second)), metric="loss")
    assert (change.state, change.after.values) == ("one seed", {2: 1.0})


def test_rows_are_compared_with_the_first_suite_that_has_them(tmp_path: Path) -> None:
    suites = opened(
        tmp_path,
        suite(row("x", LOW), row("a", LOW)),
        suite(row("y", LOW)),
        suite(row("y", HIGH), row("x", HIGH)),
    )
    changes = compare_suites(suites)
    assert [(change.row, change.before.suite, change.after.suite) for change in changes] == [
        ("x", "A", "C"),
        ("y", "B", "C"),
    ]


def test_verdicts_and_claims_that_changed(tmp_path: Path) -> None:
    mixed = ("healthy", "collapsed", "healthy")
    first = suite(
        row("x", LOW),
        row("y", LOW),
        row("z", LOW, verdicts=mixed),
        claims={"a": "holds", "b": "holds", "d": "holds"},
    )
    second = suite(
        row("x", LOW), row("y", LOW[:2]), row("z", LOW, verdicts=("collapsed", "healthy", "collapsed")),
        claims={"a": "holds", "b": "undecided", "c": "fails", "d": "not asked"},
    )  # fmt: skip
    suites = opened(tmp_path, first, second)
    assert changed_verdicts(suites) == {"x": False, "y": False, "z": True}
    assert changed_claims(suites) == {"a": False, "b": True, "d": False, "c": False}, (
        "what is not asked has no outcome"
    )


def test_what_differs(tmp_path: Path) -> None:
    first = suite(row("x", LOW, hashed="a"), protocols={"knn_top1": "k=5"})
    second = suite(
        row("x", LOW, overrides=("epochs=2",)),
        protocols={"knn_top1": "k=9"},
        budget="full",
        versions={"torch": "3"},
    )
    assert differing_settings(opened(tmp_path, first, second)) == {
        "budget": ["quick", "full"],
        "protocol of kNN": ["k=5", "k=9"],
        "version of torch": ["2.15", "3"],
        "overrides of row x": ["–", "epochs=2"],
    }


def test_a_setting_that_was_tuned_is_no_measurement(tmp_path: Path) -> None:
    columns = ("top1", "tuned")
    suites = opened(
        tmp_path,
        suite(row("x", LOW, tuned=(0.1, 0.1, 0.1)), columns=columns),
        suite(row("x", HIGH, tuned=(0.2, 0.2, 0.2)), columns=columns),
    )
    assert [change.metric for change in compare_suites(suites)] == ["top1"]
    assert differing_settings(suites) == {"row x tuned to": ["0.1", "0.2"]}


def test_labels_tell_folders_apart(tmp_path: Path) -> None:
    assert labels([tmp_path / "a" / "old", tmp_path / "new"]) == ["old", "new"]
    assert labels([tmp_path / "a" / "s", tmp_path / "b" / "s"]) == ["a/s", "b/s"]


def test_the_headline_counts_rows(tmp_path: Path) -> None:
    first = suite(row("x", LOW), row("y", LOW), row("z", LOW), row("w", LOW), claims={"a": "holds"})
    second = suite(
        row("x", HIGH, hashed="b"), row("y", LOWER, hashed="b"), row("z", LOW), row("w", (0.6,), hashed="b"),
        claims={"a": "fails"},
    )  # fmt: skip
    suites = opened(tmp_path, first, second)
    page = suites_page(suites, compare_suites(suites), "ssl-zoo report A B")
    assert page.lead == (
        "Of 4 shared rows, 1 changed in accuracy by more than noise (Holm-corrected): x; 1 by the uncorrected 95 % "
        "interval. 1 has the same accuracies seed by seed. 1 cannot be decided: too few seeds. Verdicts changed in 0 "
        "rows, and 1 claim came out differently."
    )


def test_two_suites_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = suite(row("x|1", LOW), row("lost", LOW), row("gone", LOW), claims={"x < y": "holds"})
    second = suite(
        row("x|1", HIGH, hashed="b"), row("lost", (0.5, None, 0.6)), claims={"x < y": "fails"}, budget="full"
    )
    names = written(tmp_path, A=first, B=second)
    assert main(["report", *names]) == 0
    (folder,) = tmp_path.glob("comparison-of-2-suites-*")
    shown = capsys.readouterr().out
    assert f"written: {folder / 'report.html'}" in shown
    assert "Of 2 shared rows, 1 changed in accuracy by more than noise" in shown
    assert {file.name for file in folder.iterdir()} == {
        "report.html", "report.md", "report.json", "comparison.csv", "comparison.json", "differences.png",
    }  # fmt: skip

    test = stats.ttest_ind(HIGH, LOW, equal_var=False)
    lines = list(csv.DictReader((folder / "comparison.csv").read_text().splitlines()))
    assert [line["row"] for line in lines] == ["x|1", "lost"]
    assert lines[0]["state"] == "rose"
    assert float(lines[0]["p"]) == pytest.approx(test.pvalue)
    assert float(lines[0]["low"]) == pytest.approx(test.confidence_interval().low)
    assert (lines[0]["before_seeds"], lines[1]["after_seeds"]) == ("3", "2")

    values = json.loads((folder / "comparison.json").read_text())
    assert values["claims"]["x < y"] == {"states": {"A": "holds", "B": "fails"}, "changed": True}
    assert values["differences"]["budget"] == ["quick", "full"]

    text = (folder / "report.md").read_text()
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()]
    low, high = (f"{100 * end:+.2f}" for end in test.confidence_interval())
    assert [r"x\|1", r"rose\*", "51.0 ± 1.0 % (3)", "71.0 ± 1.0 % (3)", "+20.00", f"{low} to {high}"] in [
        line[:6] for line in cells
    ]
    assert ["x &lt; y", "✓ holds", "✕ fails", "changed"] in cells
    assert "Only in A, and not compared: gone." in text
    assert "B: lost, seed 1: it broke" in text
    page = (folder / "report.html").read_text()
    assert "rose" in page
    assert 'class="sortable"' in page


def test_three_suites(tmp_path: Path) -> None:
    names = written(tmp_path, A=suite(row("x", LOW)), B=suite(row("x", LOWER)), C=suite(row("x", HIGH)))
    page = report([f"run=[{','.join(names)}]"], silent=True)
    assert page.parent.name.startswith("comparison-of-3-suites-")
    assert "A → C" in (page.parent / "report.md").read_text()


def test_a_comparison_is_written_again_and_replaces_no_other(tmp_path: Path) -> None:
    names = written(tmp_path, A=suite(row("x", LOW)), B=suite(row("x", HIGH)), C=suite(row("x", LOWER)))
    out = f"out={tmp_path / 'there'}"
    page = report([*names[:2], out], silent=True)
    before = page.read_bytes()
    page.write_text("old")
    report([*names[:2], out], silent=True)
    assert page.read_bytes() == before
    assert main(["report", names[0], names[2], out]) == 2
    (page.parent / "notes.txt").write_text("mine")
    assert main(["report", *names[:2], out]) == 2
    assert page.read_bytes() == before


def test_another_order_is_another_comparison(tmp_path: Path) -> None:
    names = written(tmp_path, A=suite(row("x", LOW)), B=suite(row("x", HIGH)))
    folders = {report(overrides, silent=True).parent for overrides in (names, names, names[::-1])}
    assert len(folders) == 2


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["A", "A/../A"], "each suite is compared once; received"),
        (["A", "cut"], r"a suite's record must be whole; .*suite.json' cannot be read \(JSONDecodeError"),
        (["A", "other"], r"cannot be read \(KeyError: 'rows'\)"),
        (["A", "none"], "received the suite '.*A' and '.*none', which holds no suite.json"),
        (["none", "A"], "received the suite '.*A' and '.*none', which holds no suite.json"),
        (["A", "far"], "received none: 'A' has x; 'far' has y, z; name suites with a row in common"),
        (["A", "B", "samples=20"], "reads no images; received 'samples=20'; leave it out"),
        (["A", "B", "data=digits"], "reads no images; received 'data=digits'; leave it out"),
        (["A", "B", "out=B"], "must be new, empty or an earlier report .* holds other files"),
        (["A", "B", "out=A/suite.json"], "is a file; name another"),
        (["A", "out=there"], "the report of one suite is written into its own folder; received out="),
    ],
)
def test_what_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    overrides: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(
        tmp_path, A=suite(row("x", LOW)), B=suite(row("x", HIGH)), far=suite(row("y", LOW), row("z", LOW))
    )
    for name, text in (("cut", (tmp_path / "A" / "suite.json").read_text()[:300]), ("other", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "suite.json").write_text(text)
    (tmp_path / "none").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert main(["report", *overrides]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert re.search(message, printed)
    assert sorted(tmp_path.rglob("*")) == before


def test_one_suite_is_reported_in_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def contents(record: Any, folder: Any) -> Any:
        given.append((record, folder))
        return {"report.html": b"page", "results.csv": b"rows"}

    monkeypatch.setattr("ssl_zoo.reports.suite.contents", contents)
    record = suite(row("x", LOW))
    (name,) = written(tmp_path, A=record)
    assert report([name], silent=True) == tmp_path / "A" / "report.html"
    assert {
        file.name: file.read_bytes() for file in (tmp_path / "A").iterdir() if file.name != "suite.json"
    } == {
        "report.html": b"page",
        "results.csv": b"rows",
    }
    assert given == [(record, tmp_path / "A")]
