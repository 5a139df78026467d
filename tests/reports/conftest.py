"""Two tiny runs, with labels and without, and their reports; made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.browser import CHROMIUM
from helpers.runs import SIAMESE, overrides
from PIL import Image

from ssl_zoo.files.json_files import write_json
from ssl_zoo.reports.report import report
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.training.run import train

EVALUATION = {
    "protocol": "knn",
    "in_words": "weighted kNN, k=5 & T=0.1",
    "metric": "top1",
    "top1": 0.4321,
    "top1_std": None,
    "rows": [],
    "data": {"name": "digits"},
    "seconds": 3.2,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for the tests marked by `helpers.browser.MARKS`."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox", "--disable-gpu"]
        try:
            chromium = started.chromium.launch(executable_path=CHROMIUM, args=options, env={**os.environ})
        except playwright.Error as error:
            pytest.skip(f"Chromium does not start: {str(error).splitlines()[0]}")
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run on digits, with its report of 60 images."""
    folder = tmp_path_factory.mktemp("labelled") / "run"
    train(overrides("simsiam", f"run_dir={folder}", "method.stop_gradient=false"), silent=True)
    encoder = {"weights": "trained", "digest": open_run(folder).digest}
    write_json(folder / "eval-knn.json", {**EVALUATION, "encoder": encoder})
    report([f"run={folder}", "samples=60"], silent=True)
    return folder


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A folder of 30 images without labels, in four sizes."""
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(30):
        side = (12, 20, 110, 130)[number % 4]
        pixels = rng.integers(0, 256, (side, side + 8 * (number % 2), 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, photos: Any) -> Any:
    """A run on those, with its report of 20 of them."""
    folder = tmp_path_factory.mktemp("unlabelled") / "run"
    settings = [
        override for override in SIAMESE if not override.startswith(("data", "monitor.knn", "batch_size"))
    ]
    train(
        [
            "method=byol",
            *settings,
            "data=imagefolder",
            f"data.train={photos}",
            "data.workers=0",
            "batch_size=15",
            f"run_dir={folder}",
        ],
        silent=True,
    )
    report([str(folder), "samples=20"], silent=True)
    return folder


@pytest.fixture
def copy(tmp_path: Path, labelled: Any) -> Any:
    """A copy of the labelled run that a test may spoil."""
    return shutil.copytree(
        labelled, tmp_path / "copy", ignore=shutil.ignore_patterns("report", "tensorboard")
    )
