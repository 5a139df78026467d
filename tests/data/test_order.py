"""The order of an epoch: with files of many images in windows of so many files; without, one permutation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ssl_zoo.data.order import Groups, epoch_order, in_batches
from ssl_zoo.data.rng import permutation

SIZES = torch.tensor([7, 5, 1, 9, 4, 6])
FILE = torch.arange(6).repeat_interleave(SIZES)  # of each of the 32 images


def _order(seed: int, epoch: int, together: int, start: int = 0) -> Tensor:
    return torch.cat([*epoch_order(32, seed, epoch, Groups(SIZES.cumsum(0), together), start)])


@pytest.mark.parametrize("together", [1, 2, 3, 4, 5])
def test_each_image_comes_once_and_files_come_in_windows(together: int) -> None:
    windows = set()
    for epoch in range(4):
        pieces = list(epoch_order(32, 3, epoch, Groups(SIZES.cumsum(0), together)))
        assert sorted(torch.cat(pieces).tolist()) == list(range(32))
        files = [set(FILE[piece].tolist()) for piece in pieces]
        assert [len(window) for window in files] == [min(together, 6 - n) for n in range(0, 6, together)]
        assert sum(map(len, files)) == 6  # none is come back to
        windows.add(str(files))
        assert any(piece.tolist() != sorted(piece.tolist()) for piece in pieces)
    assert len(windows) > 1  # other files beside one another in other epochs


def test_all_files_in_one_window_are_the_order_without_files() -> None:
    plain = permutation(32, 5, "order", 2)
    for together in (6, 7, 1000):
        assert torch.equal(_order(5, 2, together), plain)
    assert torch.equal(torch.cat([*epoch_order(32, 5, 2)]), plain)
    assert not torch.equal(_order(5, 2, 5), plain)


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert torch.equal(_order(1, 4, 2), _order(1, 4, 2))
    assert not torch.equal(_order(1, 4, 2), _order(1, 5, 2))
    assert not torch.equal(_order(1, 4, 2), _order(2, 4, 2))
    assert {int(FILE[_order(1, epoch, 1)[0]]) for epoch in range(60)} == set(
        range(6)
    )  # each comes first once


@pytest.mark.parametrize("together", [1, 2, 6])
def test_any_place_of_the_order_is_gone_to_at_once(together: int) -> None:
    whole = _order(9, 1, together)
    for start in range(32):
        assert torch.equal(_order(9, 1, together, start), whole[start:])
    batches = list(in_batches(epoch_order(32, 9, 1, Groups(SIZES.cumsum(0), together)), 5))
    assert torch.equal(
        torch.stack(batches).flatten(), whole[:30]
    )  # over the windows' limits, the last 2 left out


def test_a_selection_keeps_the_files_that_it_takes_from() -> None:
    groups = Groups(SIZES.cumsum(0), 2)
    kept = torch.tensor([0, 3, 6, 12, 23, 24, 25])  # of files 0, 2 and 4
    assert groups.select(kept).ends.tolist() == [3, 3, 4, 4, 7, 7]
    pieces = list(epoch_order(7, 0, 0, groups.select(kept)))
    assert [len({int(FILE[kept[i]]) for i in piece}) for piece in pieces] == [2, 1]
    assert groups.select(kept.flip(0)) is None
    assert torch.equal(
        torch.cat([*epoch_order(3, 0, 0, groups.select(kept[:3]))]), permutation(3, 0, "order", 0)
    )
