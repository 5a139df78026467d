"""The batch in another order over several processes, without any process receiving all of it."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from lightly.models.utils import batch_shuffle
from torch import distributed
from torch.multiprocessing.spawn import spawn

from ssl_zoo.distributed import random_order, reordered

PROCESSES, IMAGES = 3, 5  # per process: no process receives equally much from each


def whole() -> torch.Tensor:
    """The images of all processes, (15, 2, 3, 3), all values different."""
    return torch.arange(PROCESSES * IMAGES * 18.0).reshape(-1, 2, 3, 3)


def work(rank: int, folder: str) -> None:
    """One of the processes: what it gets by us and by lightly, and how many bytes it was sent."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES,
        timeout=datetime.timedelta(seconds=600),
    )  # fmt: skip
    part = whole().chunk(PROCESSES)[rank]
    torch.manual_seed(100 + rank)  # the others draw something else
    order = random_order(PROCESSES * IMAGES, part.device)
    shuffled = reordered(part, order)
    deep = reordered(part.contiguous(memory_format=torch.channels_last), order)
    torch.manual_seed(100 + rank)
    by_lightly, _ = batch_shuffle(part, distributed=True)
    found = {
        "order": order, "shuffled": shuffled, "lightly": by_lightly, "back": reordered(shuffled, order.argsort()),
        "deep": deep, "channels_last": deep.is_contiguous(memory_format=torch.channels_last),
    }  # fmt: skip
    torch.save(found, Path(folder) / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = str(tmp_path_factory.mktemp("processes"))
    spawn(work, (folder,), nprocs=PROCESSES)
    return [torch.load(Path(folder) / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]


def test_each_process_gets_its_part_of_the_new_order(found: list[dict[str, Any]]) -> None:
    order = found[0]["order"]
    assert sorted(order.tolist()) == list(range(PROCESSES * IMAGES))
    assert not torch.equal(order, torch.arange(len(order)))
    for rank, got in enumerate(found):
        assert torch.equal(got["order"], order)
        expected = whole()[order].chunk(PROCESSES)[rank]
        assert torch.equal(got["shuffled"], expected)
        assert torch.equal(got["lightly"], expected)
        assert torch.equal(got["deep"], expected)
        assert got["channels_last"]
        assert torch.equal(got["back"], whole().chunk(PROCESSES)[rank])
