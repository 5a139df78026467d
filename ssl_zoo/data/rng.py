"""Random numbers that are pure functions of their key: no state to save, none to share among processes.

Philox is counter-based: (key, counter) is the place in the stream, so that a draw for one image of one epoch
needs no draw for any other. torch's generator will not do: it uses the low 32 bits of a seed only.

- [0] Parallel random numbers: as easy as 1, 2, 3, 2011, https://doi.org/10.1145/2063384.2063405
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["permutation", "stream"]


def _philox(seed: int, purpose: str, counter: tuple[int, ...]) -> np.random.Philox:
    # Philox counts in the first of four numbers, so the other three are free to name the stream.
    key = [seed, int.from_bytes(purpose.encode(), "little")]
    counters = [0, *counter, *(0 for _ in range(3 - len(counter)))]
    return np.random.Philox(key=np.array(key, np.uint64), counter=np.array(counters, np.uint64))


def stream(seed: int, purpose: str, *counter: int) -> np.random.Generator:
    """Returns the generator of (seed, purpose, counter).

    Args:
        seed: at least 0.
        purpose: at most 8 ASCII characters; streams of two purposes have nothing in common.
        counter: up to 3 numbers, at least 0, such as epoch, image and view.
    """
    return np.random.Generator(_philox(seed, purpose, counter))


def permutation(count: int, seed: int, purpose: str, *counter: int) -> Tensor:
    """Returns a permutation of `range(count)`, shape (count,) int64, a function of the arguments alone.

    It sorts raw Philox words, whose values NumPy guarantees for good, which it doesn't for `permutation`.
    """
    raw = _philox(seed, purpose, counter).random_raw(count)
    return torch.from_numpy(np.argsort(raw, kind="stable"))
