"""The files of a run, read back."""

from __future__ import annotations

import math
from pathlib import Path

from ssl_zoo.run_dir.metrics_csv import read_metrics
from ssl_zoo.run_dir.run_files import typed_command


def test_a_torn_metrics_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,loss,knn_top1\n0,,0.5\n1,nan,\n2,0.2")
    rows = read_metrics(tmp_path)
    assert rows[0] == {"epoch": 0, "knn_top1": 0.5}
    assert math.isnan(rows[1]["loss"])
    assert rows[2] == {"epoch": 2, "loss": 0.2}
    assert read_metrics(tmp_path / "none") == []


def test_the_command_is_typed_as_it_was() -> None:
    assert (
        typed_command({"command": ["/x/ssl-zoo", "train", "data.train=my folder"]})
        == "ssl-zoo train 'data.train=my folder'"
    )
    assert typed_command({"command": ["pytest"]}) is None
    assert typed_command({}) is None
