"""Features of images, batch by batch: memory stays that of a batch however many images there are.

All that looks at images in the evaluation view goes through here: monitors, evaluations, embeddings and reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn

from ssl_zoo.augment import normalize
from ssl_zoo.data import Split
from ssl_zoo.hardware.device import Hardware

__all__ = ["BATCH", "each_batch", "evaluating", "extract", "full_precision", "images_at_once"]

BATCH = 256  # images per forward pass
# On a CPU, whose caches hold what fewer images need. 137 in place of 196 us an image took the small setting's backbone
# at 16 pixels, 472 in place of 748 at 32, ResNet-18 5.4 in place of 6.4 ms at 32, a ViT 32 in place of 38 ms at 224.
CPU_BATCH = 64

T = TypeVar("T")


def extract(
    backbone: nn.Module,
    split: Split,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    hardware: Hardware,
    batch: int | None = None,
) -> Iterator[Tensor]:
    """Yields the features of a split in its order, (n, F) float32 on the device; see `each_batch`.

    Args:
        backbone: on the device, in evaluation mode; images (n, C, size, size) to features (n, F).
        split, size, mean, std, hardware, batch: as of `each_batch`.

    Raises:
        UserError: an image cannot be read.
    """
    assert not backbone.training, "features are those of an encoder in evaluation mode"

    def features(x: Tensor) -> Tensor:
        f: Tensor = backbone(x.contiguous(memory_format=torch.channels_last))
        return f.float()

    return each_batch(features, split, size, mean, std, hardware, batch)


def each_batch(
    encode: Callable[[Tensor], T],
    split: Split,
    size: int,
    mean: Sequence[float],
    std: Sequence[float],
    hardware: Hardware,
    batch: int | None = None,
) -> Iterator[T]:
    """Yields what an encoder makes of the images of a split, in the split's order.

    Args:
        encode: is given normalised images (n, C, size, size) on the device, n at most `batch`, in inference mode and
            in the precision of `hardware`, which in fp32 is float32 throughout.
        split: the images; each is seen in the evaluation view, `data.split.plain_view`.
        size: pixels.
        mean: C values, of pixels in [0, 1].
        std: C values above 0.
        hardware: the device and the precision.
        batch: images per forward pass; None: as `images_at_once`.

    Raises:
        UserError: an image cannot be read.
    """
    device, dtype = hardware.device, hardware.dtype
    for images in split.plain_batches(size, batch or images_at_once(device)):
        x = normalize(images.to(device, non_blocking=True), mean, std)  # (n, C, size, size)
        # Not around the loop: a generator would leave the modes on for whoever asks it.
        with (
            torch.inference_mode(),
            full_precision(hardware.precision == "fp32"),
            torch.autocast(device.type, dtype, enabled=dtype is not None),
        ):
            encoded = encode(x)
        yield encoded


def images_at_once(device: torch.device) -> int:
    """Returns the number of images per forward pass with which features come fastest."""
    return CPU_BATCH if device.type == "cpu" else BATCH


@contextmanager
def full_precision(enabled: bool = True) -> Iterator[None]:
    """Keeps cuDNN's float32 convolutions from rounding to TF32's 10 bits, which torch lets them by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = before and not enabled
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Puts a module into evaluation mode, without gradients and in float32, and back as it was."""
    modes = {child: child.training for child in module.modules()}
    module.eval()
    try:
        with (
            torch.inference_mode(),
            full_precision(),
            torch.autocast(next(module.parameters()).device.type, enabled=False),
        ):
            yield
    finally:
        for child, mode in modes.items():
            child.training = mode
