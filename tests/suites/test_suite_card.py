"""A suite's record shows itself: the figures of its report, and its claims."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from helpers.suite_records import a_row, a_suite, claims, incomplete


def test_a_suite_shows_its_table_and_claims(tmp_path: Path) -> None:
    rows = [a_row(tmp_path, "sg", paper=67.7), a_row(tmp_path, "no_sg", verdict="collapsed")]
    page = a_suite(rows, claims=claims())._repr_html_()
    lines = [["".join(cell.itertext()) for cell in row] for row in ET.fromstring(page).iter("tr")]
    assert lines[0] == ["", "top-1", "kNN", "output std ratio", "verdict", "whole run, s", "paper"]
    assert lines[1][:5] == ["sg", "92.0 ± 2.0 %", "95.0 ± 0.0 %", "0.991 ± 0.000", "✓ 3 × healthy"]
    assert (lines[1][-1], lines[2][-1], lines[2][4]) == ("67.7", "–", "✕ 3 × collapsed")
    assert lines[4] == ["✓ holds", "top1(sg) > top1(no_sg)92.0 % against 82.0 %."]
    assert "Does it collapse?" in page


def test_an_incomplete_suite_says_so(tmp_path: Path) -> None:
    page = incomplete(tmp_path)._repr_html_()
    ET.fromstring(page)
    assert "runs have no result" in page
    assert "failed" in page
