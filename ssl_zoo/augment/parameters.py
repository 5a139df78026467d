"""The random parameters of one view of a batch: drawn for all images at once, applied later."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_zoo.augment.boxes import sample_boxes
from ssl_zoo.augment.jitter import hue_place
from ssl_zoo.schema import AffineConfig, JitterConfig, ViewConfig

__all__ = ["Parameters", "draw"]


class Parameters(NamedTuple):
    """One row per image. None: the operation is off for this view."""

    boxes: Tensor | None = None  # (N, 4): top, left, height, width, in pixels
    flip: Tensor | None = None  # (N,) bool
    affine: Tensor | None = None  # (N,) bool
    angle: Tensor | None = None  # (N,) degrees
    translate: Tensor | None = None  # (N, 2) pixels
    scale: Tensor | None = None  # (N,)
    shear: Tensor | None = None  # (N, 2) degrees
    jitter: Tensor | None = None  # (N,) bool
    order: Tensor | None = None  # (N, 4), what the jitter does first, second, ...
    factors: Tensor | None = None  # (N, 3) of brightness, contrast, saturation
    shift: Tensor | None = None  # (N,) of hue, in turns
    gray: Tensor | None = None  # (N,) bool
    blur: Tensor | None = None  # (N,) bool
    sigma: Tensor | None = None  # (N,) pixels
    solarize: Tensor | None = None  # (N,) bool

    def rows(self, rows: slice | Tensor) -> Parameters:
        """Returns the parameters of some of the images."""
        return Parameters(*(None if value is None else value[rows] for value in self))

    def grouped(self, n: int) -> Tensor:
        """Returns an order (N,) in which images that meet the same operations lie together."""
        key = torch.zeros(n, dtype=torch.int64)
        for flag in (self.affine, self.solarize, self.blur, self._turn(), self.gray):  # costly ones first
            if flag is not None:
                key.mul_(5).add_(flag)
        return key.argsort(stable=True)

    def _turn(self) -> Tensor | None:
        """When the jitter changes the hue: 1 to 4, 0 where there is no jitter. (N,)"""
        if self.jitter is None or self.order is None:
            return None
        return (hue_place(self.order) + 1) * self.jitter


def draw(
    view: ViewConfig, n: int, height: int, width: int, generator: torch.Generator, cropped: bool = False
) -> Parameters:
    """Draws the parameters of a view for n images.

    Args:
        view: ranges and probabilities. What has probability 0 is not drawn.
        n: number of images.
        height: of the images, in pixels.
        width: of the images, in pixels.
        generator: the only source of randomness; the draws lie on its device.
        cropped: the images have been cropped already.
    """
    blur = view.blur
    return Parameters(
        boxes=None
        if cropped
        else sample_boxes(n, height, width, view.crop.scale, view.crop.ratio, generator),
        flip=_coin(view.flip, n, generator),
        **_affine(view.affine, view.size, n, generator),
        **_jitter(view.jitter, n, generator),
        gray=_coin(view.grayscale, n, generator),
        blur=_coin(blur.p, n, generator),
        sigma=_uniform(*blur.sigma, (n,), generator) if blur.p > 0 else None,
        solarize=_coin(view.solarize.p, n, generator),
    )


def _affine(config: AffineConfig, size: int, n: int, generator: torch.Generator) -> dict[str, Tensor | None]:
    if config.p == 0:
        return {}
    reach = config.translate * size
    return {
        "affine": _coin(config.p, n, generator),
        "angle": _uniform(-config.degrees, config.degrees, (n,), generator),
        "translate": _uniform(-reach, reach, (n, 2), generator).round_(),  # whole, as torchvision draws
        "scale": _uniform(*config.scale, (n,), generator),
        "shear": _uniform(-config.shear, config.shear, (n, 2), generator),
    }


def _jitter(config: JitterConfig, n: int, generator: torch.Generator) -> dict[str, Tensor | None]:
    if config.p == 0:
        return {}
    reach = [config.strength * v for v in (config.brightness, config.contrast, config.saturation)]
    hue = config.strength * config.hue
    return {
        "jitter": _coin(config.p, n, generator),
        "order": torch.rand(n, 4, generator=generator, device=generator.device).argsort(dim=1),
        "factors": torch.stack([_uniform(max(0, 1 - r), 1 + r, (n,), generator) for r in reach], dim=1),
        "shift": _uniform(-hue, hue, (n,), generator) if hue > 0 else None,
    }


def _coin(p: float, n: int, generator: torch.Generator) -> Tensor | None:
    return torch.rand(n, generator=generator, device=generator.device) < p if p > 0 else None


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device).mul_(high - low).add_(low)
