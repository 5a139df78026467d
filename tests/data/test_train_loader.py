"""The order of training, from memory: permutations, positions, resumption."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data import Batch, MemorySplit, memory_split
from ssl_zoo.errors import UserError

IMAGES = torch.randint(0, 256, (23, 3, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def loader() -> Any:
    return MemorySplit(IMAGES, torch.arange(23)).train_loader(5, [ViewConfig()], seed=4)


def _indices(batches: Any) -> Any:
    return [batch.index.tolist() for batch in batches]


def test_batches_are_the_images_at_their_index(loader: Any) -> None:
    batches = list(loader)
    assert len(batches) == len(loader) == 4  # 23 // 5: the incomplete fifth is dropped
    for images, index in batches:
        assert (images.dtype, images.shape, index.dtype) == (torch.uint8, (5, 3, 6, 5), torch.int64)
        for image, position in zip(images, index.tolist(), strict=True):
            assert torch.equal(image, IMAGES[position])
    assert len(set(itertools.chain(*_indices(batches)))) == 20


def test_a_batch_is_a_named_tuple(loader: Any) -> None:
    batch = next(iter(loader))
    assert isinstance(batch, Batch)
    assert batch._fields == ("images", "index")


def test_each_iter_is_the_next_epoch(loader: Any) -> None:
    epochs = [_indices(loader) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    loader.set_position(1)
    assert _indices(loader) == epochs[1]
    assert _indices(loader) == epochs[2]


def test_order_is_a_function_of_seed_and_epoch(loader: Any) -> None:
    split = MemorySplit(IMAGES)
    torch.manual_seed(99)
    same, other = (split.train_loader(5, [], seed) for seed in (4, 5))
    expected = _indices(loader)
    assert _indices(same) == expected
    assert _indices(other) != expected


@pytest.mark.parametrize("start", range(5))
def test_an_epoch_goes_on_where_it_stopped(loader: Any, start: Any) -> None:
    whole = _indices(loader)
    loader.set_position(0, start)
    assert _indices(loader) == whole[start:]
    assert len(loader) == 4


def test_state_is_the_position_of_the_next_batch(loader: Any) -> None:
    loader.set_position(3)
    assert loader.state_dict() == {"epoch": 3, "batch": 0}
    batches = iter(loader)
    next(batches), next(batches)
    state = loader.state_dict()
    assert state == {"epoch": 3, "batch": 2}
    rest = _indices(batches)
    assert loader.state_dict() == {"epoch": 4, "batch": 0}
    loader.load_state_dict(state)
    assert _indices(loader) == rest
    loader.set_position(4)
    following = _indices(loader)
    loader.load_state_dict({"epoch": 4, "batch": 0})
    assert _indices(loader) == following


@pytest.mark.parametrize("fits", [True, False])
def test_images_that_fit_are_moved_to_the_device_once(
    loader: Any, monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    expected = _indices(loader)
    loader.set_position(0)
    monkeypatch.setattr(memory_split, "_fits", lambda images, device: fits)
    loader.device = torch.device("meta")  # any that isn't the CPU
    batches = list(loader)
    assert [batch.images.shape for batch in batches] == [(5, 3, 6, 5)] * 4
    for batch in batches:
        assert batch.images.device.type == batch.index.device.type == ("meta" if fits else "cpu")
    if not fits:
        assert _indices(batches) == expected


def test_an_epoch_left_early_is_over(loader: Any) -> None:
    loader.set_position(1)
    expected = _indices(loader)
    loader.set_position(0)
    next(iter(loader))
    assert _indices(loader) == expected


def test_no_batch_draws_from_the_global_generator(loader: Any) -> None:
    state = torch.get_rng_state()
    list(loader)
    assert torch.equal(state, torch.get_rng_state())


def test_a_batch_is_one_index_select(loader: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    select = torch.Tensor.index_select
    monkeypatch.setattr(torch.Tensor, "index_select", lambda *args: calls.append(1) or select(*args))
    list(loader)
    assert len(calls) == 4


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"batch_size must be at most .* received 24 for 23; set batch_size=23"
    ):
        MemorySplit(IMAGES).train_loader(24, [], 0)
