"""A result shows itself, whatever its files hold."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from helpers.run_folders import RESULT, write_run

import ssl_zoo
from ssl_zoo.metrics import METRICS
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.run_dir.result_card import CURVES, EMBEDDINGS

ROWS = "epoch,step,loss,knn_top1,output_std_ratio\n0,0,,0.5,0.2\n1,5,-0.1,,\n2,10,-0.2,0.7,0.9\n"


def texts(page: str) -> list[str]:
    rows = ET.fromstring(page).iter("tr")
    return [" | ".join("".join(cell.itertext()) for cell in row) for row in rows]


def a_result(folder: Path) -> Result:
    fields: dict[str, Any] = dict.fromkeys(Result.__dataclass_fields__)
    return Result(
        **{
            **fields,
            "method": "simsiam",
            "data": "digits",
            "seed": 3,
            "epochs": 2,
            "knn_top1": 0.7,
            "linear_top1": 0.65,
            "linear_top1_std": 0.01,
            "baselines": Baselines(pixels_knn_top1=0.6, random_encoder_linear_top1=0.5),
            "metrics": {"output_std_ratio": 0.9},
            "verdict": "not learning",
            "verdict_reason": "no gain",
            "cause": "too few epochs",
            "remedy": "epochs=30",
            "differs_from_paper": {"stop_gradient": False},
            "train_seconds": 3.2,
            "run_dir": str(folder),
        }
    )


def test_a_result_shows_verdict_baselines_curves_and_configuration(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", result={}, rows=ROWS)
    page = a_result(folder)._repr_html_()
    assert "simsiam, stop_gradient=false on digits, seed 3" in page
    assert "! not learning" in page
    assert "No gain" in page
    assert "Likely cause: too few epochs." in page
    assert "To try: epochs=30" in page
    assert texts(page)[1:] == [
        "linear probe | 65.0 ± 1.0 % | 50.0 % | –",
        "kNN | 70.0 % | – | 60.0 %",
        "output std ratio | 0.900 |  | ",
    ]
    assert [figure.findtext("figcaption") for figure in ET.fromstring(page).iter("figure")] == list(
        CURVES.values()
    )
    assert "backbone:" in page


def test_it_shows_itself_without_its_folder(tmp_path: Path) -> None:
    page = a_result(tmp_path / "gone")._repr_html_()
    assert "not learning" in page
    assert "<svg" not in page
    assert "config.yaml" not in page


@pytest.mark.parametrize("value", ['"<b>"', "[1]", "{}", "true", "null", "NaN", "1e999"])
def test_a_listed_run_shows_itself_whatever_its_files_hold(tmp_path: Path, value: str) -> None:
    folder = write_run(tmp_path / "run", rows=ROWS)
    text = ", ".join(
        f'"{key}": {value}' for key in {*RESULT, "verdict_reason", "cause", "remedy"} - {"verdict"}
    )
    (folder / "result.json").write_text(f'{{"verdict": "healthy", {text}}}')
    page = ssl_zoo.runs(tmp_path)["run"]._repr_html_()
    ET.fromstring(page)
    assert "<b>" not in page


def test_a_run_without_a_result_shows_its_state(tmp_path: Path) -> None:
    write_run(tmp_path / "run", rows=ROWS)
    page = ssl_zoo.runs(tmp_path)["run"]._repr_html_()
    assert "interrupted" in page
    assert page.count("<svg") == 3


def test_titles_are_those_of_the_metrics() -> None:
    assert {name: METRICS.get(name).chart for name in CURVES} == CURVES
    assert {name: METRICS.get(name).title for name in EMBEDDINGS} == EMBEDDINGS
