"""`ssl_zoo.compare()` of suites: what the page of a comparison says, as an object. For runs see `test_report`."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from helpers.suite_records import a_row, a_suite

import ssl_zoo


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
