"""Views made in the plain way: torchvision's transforms, one PIL image at a time, in torchvision's own order.

An independent reference of `ssl_zoo.augment`, for accuracy and for speed; nothing of it is shared but the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms

from ssl_zoo.config.schema import ViewConfig

__all__ = ["PlainAugment", "plain_transform"]

OPERATIONS = ("flip", "jitter", "grayscale", "blur", "solarize")


def plain_transform(view: ViewConfig, mean: Sequence[float], std: Sequence[float]) -> Callable[[Any], Tensor]:
    """Returns the transform of one PIL image (H, W) to a float32 tensor (C, size, size), normalised."""
    for name, probability in view.probabilities.items():
        assert probability == 0 or name in OPERATIONS, f"torchvision's pipelines have no {name}"
    assert view.autoaugment == "none", "torchvision's pipelines have no AutoAugment here"
    jitter, crop, blur = view.jitter, view.crop, view.blur
    modes = {
        "bilinear": transforms.InterpolationMode.BILINEAR,
        "bicubic": transforms.InterpolationMode.BICUBIC,
    }
    strengths = (jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
    kernel = max(3, 2 * int(blur.kernel * view.size / 2) + 1)
    steps = [
        transforms.RandomResizedCrop(view.size, crop.scale, crop.ratio, modes[crop.interpolation]),
        transforms.RandomHorizontalFlip(view.flip),
        transforms.RandomApply([transforms.ColorJitter(*(jitter.strength * s for s in strengths))], jitter.p),
        transforms.RandomGrayscale(view.grayscale),
        transforms.RandomApply([transforms.GaussianBlur(kernel, blur.sigma)], blur.p),
        transforms.RandomSolarize(round(255 * view.solarize.threshold), view.solarize.p),
        transforms.ToTensor(),
        transforms.Normalize(mean, std),
    ]
    transform: Callable[[Any], Tensor] = transforms.Compose(steps)
    return transform


class PlainAugment(nn.Module):
    """Replacement of `ssl_zoo.augment.Augment`; draws from torch's global generator, which each step seeds."""

    def __init__(self, views: Sequence[ViewConfig], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.transforms = [plain_transform(view, mean, std) for view in views]

    def forward(
        self, images: Tensor, generator: torch.Generator, part: tuple[int, int] = (0, 1)
    ) -> list[Tensor]:
        """Makes the views (N, C, size, size) of a uint8 batch (N, C, H, W)."""
        assert part == (0, 1)
        pictures = [Image.fromarray(image.numpy()) for image in images.permute(0, 2, 3, 1)]
        return [torch.stack([transform(picture) for picture in pictures]) for transform in self.transforms]
