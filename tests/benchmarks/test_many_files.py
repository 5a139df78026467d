"""The benchmark of starting on a folder of very many files, on a few."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from ssl_zoo.benchmarks import many_files
from ssl_zoo.benchmarks.many_files import link_folder, measure

from ssl_zoo.data.scan import scan_folder


def test_the_folder(tmp_path: Path) -> None:
    folder = link_folder(tmp_path, 30, classes=1000, drawn=4)
    listing = scan_folder("data.train", str(folder))
    assert listing.classes == ("n00000000", "n00000001", "n00000002")
    assert listing.sizes == (10, 10, 10)
    assert listing.images[0] == "n00000000/n00000000_0.jpg"
    first = folder / listing.images[0]
    assert first.stat().st_nlink == 9, "8 of 30 images and the drawn one are one file"
    assert folder.stat().st_mtime == many_files.LONG_AGO


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    start = measure(link_folder(tmp_path / "one", 20, drawn=2), tmp_path / "root")
    assert start.peak >= start.imports > 0
    monkeypatch.setattr(many_files, "DRAWN", 2)
    monkeypatch.setattr(sys, "argv", ["many_files", str(tmp_path / "out"), "--images", "20", "--rounds", "1"])
    assert many_files.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split(" | ")[:2] for row in rows[2:]] == [["| 20", "first"], ["| 20", "second"]]
    assert not (tmp_path / "out").exists()
