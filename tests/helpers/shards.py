"""Small shards for tests: written with tarfile, as any other program may."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def png(seed: int, side: int = 12) -> bytes:
    """Returns an image of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    with io.BytesIO() as file:
        Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()


def write_tar(path: Path, members: Iterable[tuple[str, bytes]], mode: str = "w", **options: Any) -> Path:
    """Writes members (name, contents) to a tar file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode, **options) as tar:  # type: ignore[call-overload]
        for name, contents in members:
            member = tarfile.TarInfo(name)
            member.size = len(contents)
            tar.addfile(member, io.BytesIO(contents))
    return path


def write_shards(
    folder: Path, sizes: Sequence[int] = (5, 3, 4), classes: int = 2, side: int = 12, first: int = 0
) -> Path:
    """Writes shards s-000.tar and so on of so many images; KEY.cls holds the label, for no classes there is none."""
    number = first
    for shard, size in enumerate(sizes):
        members = []
        for _ in range(size):
            members.append((f"{number:04d}.png", png(number, side)))
            if classes:
                members.append((f"{number:04d}.cls", str(number % classes).encode()))
            number += 1
        write_tar(folder / f"s-{shard:03d}.tar", members)
    return folder
