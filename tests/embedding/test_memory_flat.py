"""The benchmark of memory: what it links, what it measures and what it writes."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from helpers.embeddings import COUNT
from ssl_zoo.benchmarks.memory_flat import COMMANDS, IMPORTS, link_images, peak
from ssl_zoo.benchmarks.memory_page import Measured, markdown_page
from ssl_zoo.benchmarks.speed.memory import GroupMemory, group_memory


def test_more_images_than_there_are_are_linked_again(pictures: Path, tmp_path: Path) -> None:
    link_images(str(pictures), tmp_path / "many", 3 * COUNT)
    files = [path for path in (tmp_path / "many").rglob("*") if path.is_file()]
    assert Counter(path.parent.name for path in files) == {"ant": 63, "bee": 63}  # classes in turn
    for name in ("ant", "bee"):
        there = {path.read_bytes() for path in (pictures / name).iterdir()}
        assert {path.read_bytes() for path in files if path.parent.name == name} == there


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_peak_is_seen_though_it_is_gone_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at for the first time when the block is gone; until then the process waits."""
    script = (
        "import sys, time, pathlib; block = b'x' * int(sys.argv[1]); del block; pathlib.Path(sys.argv[2]).touch()\n"
        "while not pathlib.Path(sys.argv[3]).exists(): time.sleep(0.01)"
    )
    gone, seen = tmp_path / "gone", tmp_path / "seen"

    def look(leader: int) -> Any:
        if not gone.exists():
            return GroupMemory(0.0, 0.0)
        seen.touch()
        return group_memory(leader)

    monkeypatch.setattr("ssl_zoo.benchmarks.memory_flat.group_memory", look)
    peaks = []
    for size in (1, 400 * 2**20):
        gone.unlink(missing_ok=True)
        seen.unlink(missing_ok=True)
        command = [sys.executable, "-c", script, str(size), str(gone), str(seen)]
        peaks.append(peak(command, tmp_path / "log"))
    assert (
        300 < peaks[1] - peaks[0] < 500
    )  # the kernel counts pages for each core, and adds these up now and then
    with pytest.raises(RuntimeError, match="ended with status 3"):
        peak([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")


def test_the_report_says_how_much_each_further_image_takes() -> None:
    found = [
        Measured(name, images, base + noise + rate * images / 2**20, 1.0)
        for noise in (20, 0, -10)
        for images in (10_000, 60_000)
        for name, base, rate in (("embed, .npy", 150, 0), ("eval, kNN", 170, 384))
    ]
    lines = markdown_page(found, "COMMAND", "an encoder").splitlines()
    assert "| 10,000 | 150 (140 to 170) | 174 (164 to 194) |" in lines
    assert lines[-1] == "| bytes per further image | +0 | +384 |"
    assert COMMANDS.keys() == IMPORTS.keys()
