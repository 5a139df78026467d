"""Rows and digest of the images that are embedded, computed in pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from ssl_zoo.data import Data, FileSplit
from ssl_zoo.embedding import images as listed
from ssl_zoo.embedding.images import list_images
from ssl_zoo.embedding.run import embed
from ssl_zoo.terminal import counting

NAMES = (*(f"cat/{number}'s.png" for number in range(7)), 'dog/"x".png', "dog/é.png", "dog/\udcff.png")


def _data(names: tuple[str, ...]) -> Data:
    split = FileSplit(Path("folder"), names, torch.arange(len(names)) // 7, 3, 0)
    return Data(split, split, None, ("cat", "dog"), 3)


@pytest.mark.parametrize("block", [1, 3, 4096])
def test_embedded_images(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "BLOCK", block)
    images = list_images(_data(NAMES), "train")
    rows = [(name, "cat" if number < 7 else "dog", "train") for number, name in enumerate(NAMES)]
    assert list(images.rows()) == rows
    assert list(images.rows(without={0, 9})) == rows[1:9]
    text = "".join(f"{split}\0{file}\0{label}\0" for file, label, split in rows)
    assert images.digest == hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


@pytest.mark.parametrize("progress", ["true", "false"])
def test_the_scan_of_the_folder_is_counted(
    progress: str,
    run: Path,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counting, "FIRST_SECONDS", 0.0)
    files = sum(path.is_file() for path in pictures.rglob("*"))
    out = tmp_path / "features.npy"
    embed([f"run={run}", "data=imagefolder", f"data.train={pictures}", f"out={out}", f"progress={progress}"])
    assert out.exists()
    assert (f"scanned {files} files of data.train" in capsys.readouterr().err) == (progress == "true")
