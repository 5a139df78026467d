"""A tiny run on gray digits, and a folder of gray pictures."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.embeddings import make_pictures
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.embedding import plan as job


@pytest.fixture(scope="session", autouse=True)
def quick() -> Iterator[None]:
    """Asks git once for the same, which is much of the time of so small an embedding."""
    with pytest.MonkeyPatch.context() as patch:
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
