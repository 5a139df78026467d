"""The planted faults: their overrides are ones, and the page lists each of them with what was said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ssl_zoo.benchmarks.planted_faults import Outcome, _overrides, markdown_page
from ssl_zoo.benchmarks.planted_recipes import FAULTS, HEALTHY, HELD_OUT

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash

PLANTED = (*FAULTS, *HELD_OUT, *HEALTHY)


def test_each_fault_is_another_run(tmp_path: Path) -> None:
    (tmp_path / "gray").mkdir()
    hashes = {config_hash(compose(_overrides(fault, tmp_path))) for fault in PLANTED}
    assert len(hashes) == len(set(PLANTED)) == len(PLANTED)


@pytest.mark.parametrize("follow", [False, True])
def test_the_page_lists_every_fault_with_the_commit_of_its_row(follow: bool) -> None:
    right = Outcome(FAULTS[0], "collapsed", f"{FAULTS[0].cause}: x=1", "x=2", 3.0, "a" * 40, "healthy")
    wrong = Outcome(FAULTS[1], "not learning", "rate too high: y=1", "y=2", 5.0, f"{'b' * 40}+changes")
    page = markdown_page([right, wrong], follow)
    rows = [line for line in page.splitlines() if line.startswith("|") and "`" in line]
    assert [row.split(" | ")[:2] for row in rows] == [[f"| {f.cause}", f"`{f.overrides}`"] for f in PLANTED]
    assert rows[0].split(" | ")[2:7] == [
        "collapsed",
        right.cause,
        "`x=2`",
        "yes",
        "`aaaaaaaaaa`" + " |" * (not follow),
    ]
    assert rows[1].split(" | ")[2:6] == ["not learning", wrong.cause, "`y=2`", "**no**"]
    assert "`bbbbbbbbbb+changes`" in rows[1]
    assert all("| not trained |" in row for row in rows[2:])
    assert f"| Faults | {len(FAULTS)} | 2 | 2 | 1 |" in page
    assert "a run took 4 s" in page
    assert ("verdict after it" in page) is follow
    assert "which is `aaaaaaaaaa` for all" in markdown_page([right], follow)
    assert "for all" not in page
