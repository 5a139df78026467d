"""The order in which images are trained on, a pure function of seed and epoch.

Images in shards, or in other files of many, are read fastest where those of few files are read at a time. So the files
are put in a random order, and the images of so many of them in succession are shuffled with one another, as a shuffle
buffer does; but each image comes once in an epoch, and where the order goes on after any batch is known without going
through what came before it. Memory is that of a window, whatever the number of images.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.data.rng import permutation

__all__ = ["Groups", "epoch_order", "in_batches"]


class Groups(NamedTuple):
    """Files of many images each, in the order of the images: where they end, and how many are shuffled together."""

    ends: Tensor  # (G,) int64, ascending: the number of images in a file and all before it
    together: int

    def select(self, indices: Tensor) -> Groups | None:
        """Returns those of the images at these positions; None where the order of files is not kept."""
        if bool((indices[1:] < indices[:-1]).any()):
            return None
        return self._replace(ends=torch.searchsorted(indices, self.ends))


def epoch_order(
    count: int, seed: int, epoch: int, groups: Groups | None = None, start: int = 0
) -> Iterator[Tensor]:
    """Yields a permutation of `range(count)` in pieces, int64, from the `start`-th place on.

    With groups it is made of permutations within `together` of them, in a random order. Where that is all groups,
    there is one window, and the permutation is that of images without groups.
    """
    for number, window in enumerate(_windows(count, seed, epoch, groups)):
        size = sum(map(len, window))
        if start >= size:
            start -= size
            continue
        positions = torch.cat([torch.arange(part.start, part.stop) for part in window])
        yield positions[permutation(size, seed, "order", epoch, number)][start:]
        start = 0


def _windows(count: int, seed: int, epoch: int, groups: Groups | None) -> Iterator[Sequence[range]]:
    """Yields the positions of each window, ascending."""
    if groups is None:
        yield [range(count)]
        return
    limits = [0, *groups.ends.tolist()]
    files = [range(first, end) for first, end in pairwise(limits) if first < end]  # nothing is left of some
    if len(files) <= groups.together:
        yield [range(count)]
        return
    for chosen in torch.split(permutation(len(files), seed, "groups", epoch), groups.together):
        yield [files[file] for file in sorted(chosen.tolist())]


def in_batches(pieces: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """Yields what pieces (n,) hold in batches (size,); an incomplete last one is left out."""
    rest = torch.empty(0, dtype=torch.int64)
    for piece in pieces:
        rest = torch.cat([rest, piece])
        whole = len(rest) // size * size
        yield from torch.split(rest[:whole], size) if whole else ()
        rest = rest[whole:]
