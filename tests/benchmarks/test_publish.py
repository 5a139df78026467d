"""The documents' page of claims is what the suites' records say."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from helpers.suite_records import a_row, a_suite, claims
from PIL import Image
from ssl_zoo.benchmarks import publish

from ssl_zoo.reports.suite import write_report

pytestmark = pytest.mark.slow


def test_reports_and_the_page_of_claims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, out = tmp_path / "runs", tmp_path / "docs" / "suites"
    for name in ("one", "two"):
        folder = runs / f"{name}-digits-quick"
        folder.mkdir(parents=True)
        rows = [a_row(folder, "sg", paper=67.7), a_row(folder, "no_sg", verdict="collapsed")]
        record = a_suite(rows, name=name, claims=claims())
        record.write(folder)
        write_report(record, folder)
    (runs / "one-cifar10-quick").mkdir()  # not run yet
    monkeypatch.setattr("sys.argv", ["publish", str(out), f"digits={runs}/*-digits-quick"])
    publish.main()

    page = (tmp_path / "docs" / "suites.md").read_text()
    assert "| digits | 2 | 12 | 0.2 | 6 | 2 | 2 | 0 | 2 | 67% |" in page
    assert "| [✓ ✕ ?](suites/digits/one/report.md) |" in page
    assert "- ✕ **fails**: `output_std_ratio(sg) < 0.5`. 0.991 against 0.500." in page
    for name in ("one", "two"):
        place = out / "digits" / name
        assert (place / "report.md").read_text() == (runs / f"{name}-digits-quick" / "report.md").read_text()
        with Image.open(place / "figure.png") as picture:
            assert picture.mode == "P"
        assert not (place / "report.html").exists()
    with (out / "digits" / "results.csv").open() as file:
        assert [row["suite"] for row in csv.DictReader(file)] == ["one"] * 6 + ["two"] * 6
    assert "[digits/results.csv](suites/digits/results.csv)" in page


def test_tables_of_different_columns_are_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("suite,seed,loss\na,0,1.5\n")
    (tmp_path / "b.csv").write_text('suite,seed,top1,note\nb,0,0.5,"x, y"\n')
    publish.merge_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "all.csv")
    assert (tmp_path / "all.csv").read_text() == ('suite,seed,loss,top1,note\na,0,1.5,,\nb,0,,0.5,"x, y"\n')


def test_an_earlier_report_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, out = tmp_path / "runs" / "one-digits-quick", tmp_path / "suites"
    folder.mkdir(parents=True)
    record = a_suite([a_row(folder, "sg"), a_row(folder, "no_sg")], name="one")
    record.write(folder)
    write_report(record, folder)
    (out / "digits" / "one").mkdir(parents=True)
    (out / "digits" / "one" / "old.png").write_bytes(b"")
    monkeypatch.setattr("sys.argv", ["publish", str(out), f"digits={tmp_path}/runs/*"])
    publish.main()
    assert (out / "digits" / "one" / "report.md").is_file()
    assert not (out / "digits" / "one" / "old.png").exists()
