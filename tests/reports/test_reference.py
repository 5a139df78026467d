"""The upper line: which supervised runs are taken, and where it stands on the page of a run and of a suite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import TINY
from helpers.suite_records import a_row, a_suite

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.errors import UserError
from ssl_zoo.pages import drawing
from ssl_zoo.pages.markdown import markdown
from ssl_zoo.pages.page import Page
from ssl_zoo.reports.options import read_report
from ssl_zoo.reports.reference import reference_of_run
from ssl_zoo.reports.report import report
from ssl_zoo.reports.run_sections import RunSummary, accuracies, provenance
from ssl_zoo.reports.suite import suite_page
from ssl_zoo.run_dir.checkpoints import LAST, Position
from ssl_zoo.run_dir.saved_run import SavedRun

RESULT = {"epochs": 2, "linear_top1_std": 0.01, "verdict": "healthy"}


def a_run(folder: Path, *overrides: str, method: str = "supervised", linear: float | None = 0.9) -> SavedRun:
    """The files of a run of two epochs, and the run."""
    seed = int(folder.name[-1])
    config = compose([f"method={method}", *TINY, f"seed={seed}", *overrides])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    result = {**RESULT, "method": method, "seed": seed, "linear_top1": linear, "knn_top1": linear}
    (folder / "result.json").write_text(json.dumps(result, indent=2))
    return SavedRun(
        folder / "checkpoints" / LAST, folder, config, Position(config.epochs, 0), 160, {}, result
    )


def names(run: SavedRun) -> list[str]:
    found = reference_of_run(run, None)
    return [] if found is None else [folder.name for folder in found.folders]


def test_it_shares_images_backbone_size_epochs_and_probe(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run0", method="simsiam", linear=0.7)
    assert names(run) == []
    others = (
        "epochs=3",
        "data.limit=100",
        "backbone.name=resnet18",
        "augment.size=16",
        "monitor.probe.draws=3",
        "data.bit_depth=16",
        "data.interpolation=bicubic",
    )
    for number, other in enumerate(others):
        a_run(tmp_path / f"other{number}", other)
    a_run(tmp_path / "unlabelled0", linear=None)
    a_run(tmp_path / "another0", method="byol")
    (tmp_path / "broken0").mkdir()
    (tmp_path / "broken0" / "result.json").write_text('"method": "supervised" {')
    assert names(run) == []
    a_run(tmp_path / "same0", "optimizer.lr=0.7")
    assert names(run) == ["same0"]
    a_run(tmp_path / "worse0", linear=0.6)
    assert names(run) == ["same0"]
    a_run(tmp_path / "worse1", linear=0.5)
    assert names(run) == ["worse0", "worse1"], "the variant with more seeds"
    assert names(a_run(tmp_path / "upper2")) == [], "a supervised run has none"


def test_it_is_of_the_same_dataset(tmp_path: Path) -> None:
    def passed(folder: str, digest: str, length: int, method: str = "supervised") -> SavedRun:
        values = {"dataset": "Images", "digest": digest, "length": length}
        made = (f"+data.{key}={value}" for key, value in values.items())
        return a_run(tmp_path / folder, "data.source=dataset", *made, method=method)

    run = passed("run0", "aa", 160, method="simsiam")
    passed("other0", "bb", 160)
    passed("other1", "aa", 161)
    assert names(run) == []
    passed("same0", "aa", 160)
    assert names(run) == ["same0"]


def test_a_method_off_the_grid_has_no_axes_of_a_paper(tmp_path: Path) -> None:
    def text(method: str) -> str:
        summary = RunSummary.of(a_run(tmp_path / f"{method}0", method=method))
        vars(summary.run)["digest"] = "0"  # there are no weights
        parts = [provenance(summary, "")]
        return markdown(
            Page(title="", kicker="", source="", lead="", badge=None, facts=[], sections=parts, foot="")
        )

    assert "On every axis this run stands where the paper has simsiam." in text("simsiam")
    assert "On every axis" not in text("supervised")


def section_of(run: SavedRun, reference: Any) -> str:
    section = accuracies(RunSummary.of(run), True, reference)
    page = Page(title="", kicker="", source="", lead="", badge=None, facts=[], sections=[section], foot="")
    return markdown(page)


def test_it_stands_above_the_trained_encoder(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run0", method="simsiam", linear=0.7)
    a_run(tmp_path / "upper0", linear=0.9)
    a_run(tmp_path / "upper1", linear=0.8)
    text = section_of(run, reference_of_run(run, None))
    above, below = text.index("supervised, same backbone and epochs"), text.index("trained encoder")
    assert above < below
    assert "85.0 ± 7.1 %" in text
    assert "2 runs with labels, upper0, upper1" in text
    assert "supervised" not in section_of(run, None)


def test_a_run_that_is_named_is_taken_whatever_its_setting(tmp_path: Path) -> None:
    run = a_run(tmp_path / "runs" / "run0", method="simsiam", linear=0.7)
    named = a_run(tmp_path / "elsewhere0", "epochs=2", "backbone.name=resnet18")
    text = section_of(run, reference_of_run(run, named))
    assert "supervised, resnet18, 2 epochs" in text
    assert "90.0 ± 1.0 %" in text
    with pytest.raises(UserError, match="reference takes a finished run with accuracies"):
        reference_of_run(run, a_run(tmp_path / "unlabelled0", linear=None))
    config, _ = read_report(["run=a", f"reference={named.folder}"])
    assert config.overrides() == [f"reference={named.folder}"]


def test_it_is_of_one_run_alone(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="reference is an option of the report of one run; received"):
        report(["run=[a,b]", "reference=c"], silent=True)


def suite_text(folder: Path, *rows: str) -> str:
    """The page of a suite whose runs have these overrides each."""
    place = folder / "suite"
    made = [a_row(place, f"row{number}", (0,)) for number in range(len(rows))]
    for row, overrides in zip(made, rows, strict=True):
        a_run(place / row.runs[0].folder, *overrides.split(), method="simsiam", linear=0.7)
        row.runs[0].values.update(linear_top1=row.runs[0].values["top1"])
    return markdown(suite_page(a_suite(made, seeds=(0,)), place))


def test_a_suite_has_it_below_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "_drawn", lambda paint, theme, size, *forms: [b"drawn"] * len(forms))
    line = "supervised, same backbone and epochs"
    assert line not in suite_text(tmp_path, "", "optimizer.lr=0.1")
    a_run(tmp_path / "suite" / "rows" / "digits-supervised-s0-abc-0", linear=0.875)
    text = suite_text(tmp_path, "", "optimizer.lr=0.1")
    assert text.index("row1") < text.index(line) < text.index("untrained encoder")
    assert "87.5 %" in text
    assert line not in suite_text(tmp_path, "", "epochs=3"), "rows of several settings"
