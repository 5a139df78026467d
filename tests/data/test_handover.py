"""Memory of results: three in turn in a worker process, new ones elsewhere."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch

from ssl_zoo.data import handover
from ssl_zoo.data.handover import PREFETCH, InShared, ResultMemory, own


class Pair(NamedTuple):
    images: tuple[torch.Tensor, ...]
    positions: torch.Tensor


@pytest.fixture
def in_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "get_worker_info", lambda: "one")


@pytest.mark.usefixtures("in_worker")
def test_a_worker_uses_the_memory_of_three_results() -> None:
    memory, places = ResultMemory(), []
    for number in range(9):
        memory.begin()
        views = [memory.images(4, channels, 6, torch.uint8) for channels in (3, 1)]
        assert [tuple(view.shape) for view in views] == [(4, 3, 6, 6), (4, 1, 6, 6)]
        assert views[0].stride() == (108, 1, 18, 3), "a pixel's channels are adjacent"
        assert all(view.is_shared() for view in views)
        for view in views:
            view.fill_(number)
        places.append([view.data_ptr() for view in views])
    assert places[: PREFETCH + 1] * 3 == places
    assert len({place for pair in places for place in pair}) == 2 * (PREFETCH + 1)


@pytest.mark.usefixtures("in_worker")
def test_a_result_may_be_smaller_or_larger_than_the_last() -> None:
    memory = ResultMemory()
    for count in (4, 2, 9, 1, 9, 12):
        memory.begin()
        first, second = (memory.images(count, 3, 5, torch.uint16) for _ in range(2))
        first.fill_(1)
        second.fill_(2)
        assert first.shape == (count, 3, 5, 5)
        assert bool((first.int() == 1).all())


@pytest.mark.usefixtures("in_worker")
def test_what_is_in_shared_memory_is_copied() -> None:
    memory = ResultMemory()
    memory.begin()
    images = memory.images(2, 3, 4, torch.uint8).fill_(7)
    marked = memory.finish((Pair((images,), torch.tensor([1])), {"a": "b"}))
    assert isinstance(marked, InShared)
    (pair, reasons) = own(marked)
    images.fill_(0)
    assert isinstance(pair, Pair)
    assert bool((pair.images[0] == 7).all())
    assert pair.images[0].stride() == images.stride()
    assert reasons == {"a": "b"}
    memory.begin()
    assert memory.finish({"c": 1}) == {"c": 1}, "nothing was taken"


def test_elsewhere_each_result_has_its_own() -> None:
    memory = ResultMemory()
    memory.begin()
    result = memory.images(2, 3, 4, torch.uint8)
    assert not result.is_shared()
    assert memory.finish(result) is result
    assert own(result) is result
