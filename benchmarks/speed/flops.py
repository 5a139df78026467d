"""Floating-point operations of a view, and the peak of a device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from ssl_zoo.build import build_method
from ssl_zoo.config.compose import compose

__all__ = ["PEAKS", "flops_per_view", "peak_flops"]

IMAGES = 4  # of the counted batch; the count is proportional to their number
# Dense bf16 multiply-adds on the matrix units, in FLOP/s, from the makers' data sheets; longer names first.
PEAKS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


def flops_per_view(overrides: Sequence[str]) -> float:
    """Returns the floating-point operations of one forward and backward pass, divided by the number of views.

    Matrix products and convolutions are counted, a multiply-add as two, by torch's counter; a queue of negatives is
    included. The float32 model on the CPU is counted: precision and device change nothing.
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
    """Returns the peak of a GPU in bf16 by its name; None if unknown."""
    return next((peak for name, peak in PEAKS.items() if name in device_name), None)
