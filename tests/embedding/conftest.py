"""A tiny run on gray digits, and a folder of gray pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.embeddings import make_pictures
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.config import options
from ssl_zoo.config.compose import compose
from ssl_zoo.embedding import plan as job


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Hydra and git are asked once for the same, which is half the time of so small an embedding."""
    composed = functools.lru_cache(lambda overrides: compose(list(overrides)))

    def cached(overrides: Sequence[str]) -> Any:
        return composed(tuple(overrides))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "compose", cached)
        patch.setattr(job, "environment", functools.lru_cache(job.environment))  # type: ignore[attr-defined]
        yield


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    ssl_zoo.train(
        overrides("simsiam", f"run_dir={folder}", "monitor.baselines=false", "epochs=1"), silent=True
    )
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("pictures"))
