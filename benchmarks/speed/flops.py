"""The arithmetic of a view, and what a device could do at most."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from ssl_zoo.build import build_method
from ssl_zoo.config.compose import compose

__all__ = ["PEAKS", "flops_per_view", "peak_flops"]

IMAGES = 4  # counted over; the count is proportional to their number
# Dense bf16 multiply-adds on the matrix units, in FLOP/s, from the makers' data sheets; longer names first.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


def flops_per_view(overrides: Sequence[str]) -> float:
    """The floating-point operations of one forward and backward pass, divided by the number of views.

    Counted are matrix products and convolutions, a multiply-add as two, as torch's counter does it; what a queue of
    negatives adds is in it. The float32 model on the CPU is counted: precision and device change nothing.
    """
    config = compose(overrides)
    method = build_method(tuple(overrides))
    method.allocate(IMAGES)
    shape = (IMAGES, config.data.channels)
    generator = torch.Generator().manual_seed(0)
    views = [torch.randn(*shape, view.size, view.size, generator=generator) for view in config.views]
    with FlopCounterMode(display=False) as counter:
        method.loss(views, torch.arange(IMAGES)).loss.backward()  # type: ignore[no-untyped-call]
    total: int = counter.get_total_flops()
    return total / (IMAGES * len(views))


def peak_flops(device_name: str) -> float | None:
    """The peak of a GPU by its name, in bf16; None where the table has none."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)
