"""What the tests of embeddings share."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

COUNT = 42  # pictures


class Found(NamedTuple):
    """An embedding, read back."""

    features: np.ndarray
    files: list[str]
    labels: list[str | None]
    about: dict[str, Any]


def read(path: Path) -> Found:
    """An embedding of either kind."""
    if path.suffix == ".npy":
        with path.with_name(path.stem + ".files.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        about = json.loads(path.with_name(path.stem + ".json").read_text())
        labels = [row["label"] or None for row in rows]
        return Found(np.load(path), [row["file"] for row in rows], labels, about)
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    features = np.stack([np.asarray(row) for row in table["features"].to_numpy()])
    about = json.loads(table.schema.metadata[b"ssl_zoo"])
    return Found(features, table["file"].to_pylist(), table["label"].to_pylist(), about)


def embedding(run: Path, pictures: Path, out: Path, *more: str) -> list[str]:
    """The words of an embedding in batches of five."""
    return [
        f"run={run}", "data=imagefolder", f"data.train={pictures}", f"out={out}", "batch_size=5", "data.workers=0",
        "threads=1", *more,
    ]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def make_pictures(folder: Path, count: int = COUNT, *, alike: bool = False, seed: int = 0) -> Path:
    """A folder of gray pictures in two classes, of several sizes or all alike."""
    random = np.random.default_rng(seed)
    for number in range(count):
        (folder / ("ant", "bee")[number % 3 == 0]).mkdir(parents=True, exist_ok=True)
        side, longer = (8, 0) if alike else (8 + number % 5, number % 2)
        pixels = random.integers(0, 256, (side, side + longer), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / ("ant", "bee")[number % 3 == 0] / f"{number:03}.png")
    return folder
