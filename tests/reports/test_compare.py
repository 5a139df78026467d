"""`ssl_zoo.compare()`: what the page of a comparison says, as an object that shows itself."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.suite_records import a_row, a_suite

import ssl_zoo


@pytest.mark.slow
def test_runs_are_compared_by_scores_keys_and_metrics(labelled: Any, tmp_path: Path) -> None:
    other = shutil.copytree(labelled, tmp_path / "other", ignore=shutil.ignore_patterns("report"))
    values = yaml.safe_load((other / "config.yaml").read_text())
    (other / "config.yaml").write_text(yaml.safe_dump({**values, "seed": 7}, sort_keys=False))
    comparison = ssl_zoo.compare(
        [str(labelled), str(other), "samples=40", f"out={tmp_path / 'out'}"], silent=True
    )
    assert comparison.page == tmp_path / "out" / "report.html"
    assert comparison.page.is_file()
    assert comparison.lead in comparison.page.read_text()
    assert comparison.differences is not None
    assert comparison.differences.keys == {"seed": (0, 7)}
    assert {run["name"] for run in comparison.values["runs_scored"]} == {"run", "other"}
    page = comparison._repr_html_()
    headings = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(page).iter("thead")]
    assert headings[1] == ["runother"]
    assert comparison.lead in repr(comparison)


def test_suites_are_compared(tmp_path: Path) -> None:
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        a_suite([a_row(tmp_path / name, "sg"), a_row(tmp_path / name, "no_sg")]).write(tmp_path / name)
    comparison = ssl_zoo.compare([str(tmp_path / "A"), str(tmp_path / "B")], silent=True)
    assert comparison.differences is None
    assert {change["row"] for change in comparison.values["changes"]} == {"sg", "no_sg"}
    lines = list(ET.fromstring(comparison._repr_html_()).iter("tr"))
    assert len(lines) == 1 + len(comparison.values["changes"])


def test_one_run_cannot_be_compared() -> None:
    with pytest.raises(ssl_zoo.UserError, match="two runs or suites, or more"):
        ssl_zoo.compare(["runs/mine"])
