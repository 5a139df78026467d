"""On a GPU: the views are those of the CPU, and to make them waits for nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.methods import VIEW
from torch import Tensor

import ssl_zoo.augment.views as views_module
from ssl_zoo.augment import Augment
from ssl_zoo.config.schema import ViewConfig

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]
MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)
LARGE = ViewConfig(size=96)  # beyond the tables of crops, and blurred in bands only from 128 pixels on


def images(side: int, cropped: bool) -> Any:
    generator = torch.Generator().manual_seed(0)
    batch = torch.randint(0, 256, (24, 3, side, side), dtype=torch.uint8, generator=generator)
    return [batch] * 2 if cropped else batch


def to_gpu(value: Any) -> Any:
    """Tensors, lists of them and parameters, on the GPU."""
    if value is None or isinstance(value, Tensor):
        return None if value is None else value.cuda()
    if isinstance(value, list):
        return [to_gpu(part) for part in value]
    return type(value)(*(to_gpu(part) for part in value))


@pytest.fixture
def drawn_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same parameters on both: a GPU's generator draws others from the same seed."""
    draw = views_module.draw  # type: ignore[attr-defined]

    def drawn(view: ViewConfig, shape: torch.Size, generator: Any, device: Any, cropped: bool) -> Any:
        made = draw(view, shape, torch.Generator().manual_seed(0), cropped=cropped)
        return made if device.type == "cpu" else to_gpu(made)

    monkeypatch.setattr(views_module, "draw", drawn)


@pytest.mark.parametrize(
    ("view", "side", "cropped"), [(VIEW, 32, False), (VIEW, 24, True), (LARGE, 112, False)]
)
@pytest.mark.usefixtures("drawn_on_the_cpu")
def test_the_views_are_the_cpus(view: ViewConfig, side: int, cropped: bool) -> None:
    batch = images(side, cropped)
    augment = Augment([view, view], MEAN, STD)
    made = augment(to_gpu(batch), torch.Generator("cuda"))
    expected = augment(batch, torch.Generator())
    for a, b in zip(made, expected, strict=True):
        assert a.is_cuda
        # All but what rounding carries over a threshold; a grey level is 0.02 here, and large crops are of 8 bits.
        assert ((a.cpu() - b).abs() > (0.04 if side > 90 else 1e-3)).double().mean() < 1e-3


@pytest.mark.parametrize("cropped", [False, True])
def test_nothing_waits(cropped: bool) -> None:
    batch, augment = to_gpu(images(24, cropped)), Augment([VIEW, VIEW], MEAN, STD)
    generator = torch.Generator("cuda").manual_seed(0)
    augment(batch, generator)  # fills the tables
    torch.cuda.set_sync_debug_mode("error")
    try:
        augment(batch, generator)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_a_part_of_a_batch_has_the_views_of_the_whole() -> None:
    batch, augment = to_gpu(images(24, cropped=False)), Augment([VIEW, VIEW], MEAN, STD)
    whole = augment(batch, torch.Generator("cuda").manual_seed(0))
    for rank, half in enumerate(batch.chunk(2)):
        part = augment(half, torch.Generator("cuda").manual_seed(0), (rank, 2))
        for a, b in zip(part, whole, strict=True):
            assert ((a - b.chunk(2)[rank]).abs() > 1e-3).double().mean() < 1e-3
