"""What every test starts from, in whatever order the tests run: the same threads, the same draws, the same processor.

`pytest -n auto` brings a process per core, so each has one thread. What else a machine may be is tried with

    ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 OMP_NUM_THREADS=3 python -m pytest --no-bf16

of which torch reads the first two, and the last takes a processor that multiplies no bf16: precision=auto is fp32.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator

# Before torch is imported. Threads that wait for one another in a loop take from a busy machine what they wait for.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pytest
import torch
from helpers import forks, no_curves, plugins
from hypothesis import settings

from ssl_zoo import registry

# Few tests that take long: xdist hands out files in this order, and none of these is to be begun last.
FIRST = (
    "test_running.py",
    "test_kill.py",
    "test_processes.py",
    "test_distributed.py",
    "test_gpu.py",
    "test_commands.py",
)
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
torch.set_num_threads(THREADS)
registry._plugins = plugins.find_added
settings.register_profile("without a clock", deadline=None)
settings.load_profile("without a clock")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-bf16", action="store_true", help="as on a processor without native bf16")


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in a shell's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--no-bf16"):
        for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
            setattr(torch.cpu, name, bool)


def pytest_unconfigure() -> None:
    forks.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))


@pytest.fixture(autouse=True)
def _same_start() -> Iterator[None]:
    """Seeds what a test may draw from without saying so, and gives the next test its threads back."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (libraries draw from it)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture
def curves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has runs draw their `curves.png`."""
    monkeypatch.setattr("ssl_zoo.training.conclude.draw_curves", no_curves.draw_curves)


@pytest.fixture(scope="module")
def forked() -> Iterator[None]:
    """Forks where a process would start an interpreter: see `helpers.forks`."""
    with forks.instead_of_interpreters():
        yield
