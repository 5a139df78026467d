"""The benchmark of large images: its files, its ways, and that crops are Pillow's to a gray level."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from ssl_zoo.benchmarks.speed import images

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    # From Python 3.12 on; the worker processes start no threads.
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]


def test_every_way_makes_all_images(tmp_path: Path) -> None:
    for number in range(3):
        path = tmp_path / "tiles" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((32, 32), 60).convert("RGB").save(path)
    files = images.write_photos(tmp_path / "photos", 2, tmp_path / "tiles")
    for file in files:
        with Image.open(tmp_path / "photos" / file) as image:
            assert (image.format, image.size) == ("JPEG", (images.WIDTH, images.HEIGHT))
    names = [files[number % 2] for number in range(images.BATCH)]
    rates = images.measure(tmp_path / "photos", names, size=16, rounds=1)
    assert len(rates) == 6
    assert all(len(values) == 1 and values[0] > 0 for values in rates.values())
    gap = images.gap_to_pillow(tmp_path / "photos", names[:4], size=64)
    assert 0 < gap["mean"] < 0.1
    assert gap["greatest"] <= 2
    assert gap["above_1"] < 1e-4
    page = images.table(rates, 75.0, gap)
    assert all(f"| {way} |" in page for way in rates)
    assert "- crops, now / crops, before: " in page
