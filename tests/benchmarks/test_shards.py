"""The script of the figures on shards runs, on few images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.shards import png
from ssl_zoo.benchmarks import shards

pytestmark = [pytest.mark.slow, pytest.mark.processes]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_shards_are_measured_beside_files(tmp_path: Path, monkeypatch: Any, capsys: Any) -> None:
    for number in range(300):
        file = tmp_path / "images" / f"kind{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number, 8))
    out = tmp_path / "out"
    words = [str(out), "--images", str(tmp_path / "images"), "--limit=300", "--passes=1", "--samples=40"]
    monkeypatch.setattr("sys.argv", ["shards", *words])
    shards.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("written: 300 images in 1 shards")
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "files", "shards", "shards / files", "first start on 40 samples", "second start on 40 samples", "index",
    ]  # fmt: skip
