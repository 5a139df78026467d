"""`curves.png` of runs with and without labels, with figures that are missing, and with others that are not finite."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from helpers.no_curves import draw_curves
from PIL import Image

from ssl_zoo.run_dir.result import Baselines

LOSS: dict[str, list[float | None]] = {"loss": [None, -0.5, -0.9], "output_std_ratio": [0.3, 0.9, 1.0]}
KNN: dict[str, list[float | None]] = {"knn_top1": [0.1, None, 0.9]}
BLUE, GREY = (37, 99, 235), (107, 114, 128)


def drawn(folder: Path, columns: dict[str, list[float | None]], baselines: Baselines) -> np.ndarray:
    """The picture (H, W, 3) of three epochs."""
    rows = [{"epoch": n, **{name: values[n] for name, values in columns.items()}} for n in range(3)]
    draw_curves(folder / "curves.png", "SimSiam on digits, seed 0", rows, baselines)
    return np.asarray(Image.open(folder / "curves.png").convert("RGB"))


def columns_of(picture: np.ndarray, colour: tuple[int, int, int]) -> set[int]:
    """The panels of 600 pixels in which a colour stands."""
    return {int(x) // 600 for x in np.nonzero((picture == colour).all(axis=2))[1]}


def test_with_labels_there_are_three_panels_with_their_baselines(tmp_path: Path) -> None:
    bare = drawn(tmp_path, {**LOSS, **KNN}, Baselines())
    assert bare.shape == (480, 1800, 3)
    assert columns_of(bare, BLUE) == {0, 1, 2}
    assert columns_of(bare, GREY) == {1}, "isotropic"
    lines = drawn(tmp_path, {**LOSS, **KNN}, Baselines(pixels_knn_top1=0.5, random_encoder_knn_top1=0.2))
    assert columns_of(lines, GREY) == {1, 2}


def test_without_labels_there_are_two(tmp_path: Path) -> None:
    assert drawn(tmp_path, LOSS, Baselines()).shape == (480, 1200, 3)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300])
def test_a_diverged_run_has_curves_too(value: float, tmp_path: Path) -> None:
    columns = {
        "loss": [None, 1.0, value],
        "output_std_ratio": [0.3, 0.9, math.nan],
        "knn_top1": [0.1, 0.1, None],
    }
    assert columns_of(drawn(tmp_path, columns, Baselines()), BLUE) == {0, 1, 2}


def test_text_is_shown_as_it_is(tmp_path: Path) -> None:
    draw_curves(tmp_path / "curves.png", "$^$ of a user, seed 0", [], Baselines())
    assert (tmp_path / "curves.png").stat().st_size > 0
