"""Counts the bytes of tensors that are alive while something runs, and the most that ever were.

It watches each operation from below autograd, autocast and the optimizer, so that activations kept for the backward
pass, casts, gradients and optimizer state all count. Under `FakeTensorMode` nothing is computed and no memory is
taken, and the bytes are those of the real run. torch's own `torch.distributed._tools.MemTracker` wants hooks in every
module and optimizer, which would change the run.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["LiveBytes"]


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages created while it is on.

    Attributes:
        live: bytes alive now.
        peak: the most that were alive at once, since the last `restart`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: set[int] = set()

    def restart(self) -> None:
        """Forgets the peak."""
        self.peak = self.live

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and not args[0].numel() > 1:
            return _scalar(args[0])
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf.untyped_storage())
        self.peak = max(self.peak, self.live)
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes()
        self._known.add(key)
        self.live += size
        weakref.finalize(storage, self._free, key, size)

    def _free(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


def _scalar(tensor: torch.Tensor) -> float | int | bool:
    """Returns zero of the tensor's type, in place of the value that a fake tensor does not have."""
    return False if tensor.dtype == torch.bool else 0.0 if tensor.is_floating_point() else 0
