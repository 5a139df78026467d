"""A report tells of the weights of the checkpoint that it is about, and replaces no report of others."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import overrides

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.run import evaluate
from ssl_zoo.pages import drawing
from ssl_zoo.pages.page import Table
from ssl_zoo.reports.evaluation_table import evaluation_table
from ssl_zoo.reports.report import report
from ssl_zoo.reports.run_sections import RunSummary
from ssl_zoo.run_dir.saved_run import digest_of, open_run
from ssl_zoo.training.run import train

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch, unlabelled: Any) -> None:
    """Drawing is most of the time of a report."""
    monkeypatch.setattr(drawing, "_drawn", lambda paint, theme, size, *forms: [b"drawn"] * len(forms))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Four epochs, with evaluations of the last weights and of the first."""
    folder = tmp_path_factory.mktemp("checkpoints") / "run"
    train([*overrides("simsiam"), "epochs=4", f"run_dir={folder}"], silent=True)
    common = [f"run={folder}", "progress=false"]
    evaluate([*common, "protocol=knn", "knn.k=[5]"], silent=True)
    evaluate([*common, "protocol=knn", "knn.k=[5]", "weights=random"], silent=True)
    evaluate([*common, "protocol=label_free"], silent=True)
    return folder


def text_of(page: Any) -> Any:
    html = page.read_text()
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL))


def test_an_earlier_checkpoint_tells_nothing_of_the_end(run: Any) -> None:
    page = report([str(run / "checkpoints" / "previous.ckpt"), "samples=20"], silent=True)
    assert page.parent == run / "report-previous"
    text, result = text_of(page), json.loads((run / "result.json").read_text())
    for expected in ("A checkpoint of epoch 3 of 4.", "unfinished", "run/previous.ckpt", "3 of 4"):
        assert expected in text
    assert "Linear probe, top-1" not in text
    assert result["verdict_reason"][1:] not in text
    assert result["verdict_reason"][1:] in text_of(report([str(run), "samples=20"], silent=True))
    with (run / "metrics.csv").open() as file:
        rows = {int(row["epoch"]): row for row in csv.DictReader(file)}
    summary = RunSummary.of(open_run(run / "checkpoints" / "previous.ckpt"))
    assert [row["epoch"] for row in summary.rows] == [0, 1, 2, 3]
    for name in ("loss", "output_std_ratio", "effective_rank"):
        assert summary.figure(name) == float(rows[3][name]) != float(rows[4][name])
    assert summary.figure("linear_top1") is None
    assert RunSummary.of(open_run(run)).figure("linear_top1") == result["linear_top1"]


def lines(section: Any) -> Any:
    return [row for block in section.blocks if isinstance(block, Table) for row in block.rows]


def test_evaluations_are_of_the_weights_or_of_those_before_training(run: Any) -> None:
    last, previous = open_run(run), open_run(run / "checkpoints" / "previous.ckpt")
    before = digest_of(last.backbone(trained=False).state_dict())
    assert {(row[0], row[2]) for row in lines(evaluation_table(last, before))} == {
        ("knn", "trained"), ("knn", "random"), ("label_free", "trained"),
    }  # fmt: skip
    of_previous = evaluation_table(previous, before)
    assert [(row[0], row[2]) for row in lines(of_previous)] == [("knn", "random")]
    left_out = of_previous.blocks[-1].text
    assert all(file.name in left_out for file in run.glob("eval-*.json") if "random" not in file.name)
    assert lines(evaluation_table(previous, None)) == []
    assert "digits" in text_of(report([str(run), "samples=20"], silent=True))


def test_label_free_scores_are_told_one_by_one(run: Any) -> None:
    (file,) = run.glob("eval-label_free-*.json")
    record = json.loads(file.read_text())
    found = lines(evaluation_table(open_run(run), None))
    scores = {row[3]: (row[4], row[6]) for row in found if row[0] == "label_free"}
    assert list(scores) == [row["score"].replace("_", " ") for row in record["rows"]]
    for row in record["rows"]:
        value, meaning = scores[row["score"].replace("_", " ")]
        assert float(value.replace("−", "-")) == pytest.approx(row["value"], rel=5.1e-3)
        assert meaning.startswith(row["read"])
    assert record["in_words"] in scores["rankme"][1]


def test_a_comparison_of_checkpoints_takes_no_figure_of_the_end(run: Any) -> None:
    both = [str(run), str(run / "checkpoints" / "previous.ckpt"), "samples=20"]
    record = json.loads((report(both, silent=True).parent / "report.json").read_text())
    runs = {one["name"]: (one["verdict"], one["linear_top1"]) for one in record["runs_scored"]}
    result = json.loads((run / "result.json").read_text())
    assert runs == {
        "run": (result["verdict"], result["linear_top1"]),
        "run/previous.ckpt": ("unfinished", None),
    }


def test_checkpoints_do_not_replace_reports_of_one_another(run: Any, tmp_path: Path) -> None:
    last, previous = str(run), str(run / "checkpoints" / "previous.ckpt")
    moved = str(shutil.copytree(run, tmp_path / "moved"))
    for first, same, other in ((last, moved, previous), (previous, previous, last)):
        out = f"out={tmp_path / first.replace('/', '-')}"
        for again in (first, same):
            report([again, "samples=10", out], silent=True)
        with pytest.raises(UserError, match="earlier report of the same runs"):
            report([other, "samples=10", out], silent=True)


def test_the_report_of_a_run_that_went_on_is_replaced(run: Any, tmp_path: Path) -> None:
    copy, out = shutil.copytree(run, tmp_path / "copy"), f"out={tmp_path / 'out'}"
    last, previous = (copy / "checkpoints" / name for name in ("last.ckpt", "previous.ckpt"))
    end = last.read_bytes()
    for contents in (previous.read_bytes(), end):
        last.write_bytes(contents)
        report([str(copy), "samples=10", out], silent=True)
    last.write_bytes(previous.read_bytes())  # what was finished is not taken back
    with pytest.raises(UserError, match="earlier report of the same runs"):
        report([str(copy), "samples=10", out], silent=True)


def test_a_run_named_by_its_folder_and_by_its_checkpoint_is_one(run: Any) -> None:
    with pytest.raises(UserError, match="compared once"):
        report([str(run), str(run / "checkpoints" / "last.ckpt")], silent=True)


def test_why_there_are_no_accuracies_is_of_the_runs_own_data(
    unlabelled: Any, photos: Any, tmp_path: Path
) -> None:
    for number, file in enumerate(sorted(photos.glob("*.png"))):
        folder = tmp_path / "labelled" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder)
    other = ["data=imagefolder", f"data.train={tmp_path / 'labelled'}"]
    text = text_of(report([str(unlabelled), *other, "samples=20", f"out={tmp_path / 'out'}"], silent=True))
    assert "coloured by class" in text
    assert "No accuracies: the data that the run was trained on has no labels, or no test images." in text
    assert "there were no test images" not in text
