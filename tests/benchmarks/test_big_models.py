"""The table of strategies: each keeps less than the one before it, and recomputed blocks take less in a step."""

from __future__ import annotations

import itertools

import pytest
from ssl_zoo.benchmarks import big_models


@pytest.mark.slow
def test_estimates_fall_with_what_is_divided(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--backbone=vit_small_patch16_224", "--pixels=32", "--batch=16", "--processes=4"]
    assert big_models.main(["estimate", *words]) == 0
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in capsys.readouterr().out.splitlines()[2:]
    ]
    assert [(line[0], line[1] == "yes") for line in lines] == list(big_models.settings())
    kept = [float(line[2]) for line in lines if line[1] == "no"]
    assert all(more > less for more, less in itertools.pairwise(kept)), kept
    for plain, recomputed in zip(lines[::2], lines[1::2], strict=True):
        assert float(recomputed[3]) <= float(plain[3])
