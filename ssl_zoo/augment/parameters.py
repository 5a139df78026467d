"""The random parameters of one view of a batch: drawn for all images at once, applied later."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ssl_zoo.augment.boxes import sample_boxes
from ssl_zoo.augment.jitter import hue_place
from ssl_zoo.schema import AffineConfig, BlurConfig, JitterConfig, ViewConfig

__all__ = ["AffineParameters", "BlurParameters", "JitterParameters", "Parameters", "draw"]


class AffineParameters(NamedTuple):
    """Of ``affine``, a row per image."""

    on: Tensor  # (N,) bool
    angle: Tensor  # (N,) degrees
    translate: Tensor  # (N, 2) pixels
    scale: Tensor  # (N,)
    shear: Tensor  # (N, 2) degrees


class JitterParameters(NamedTuple):
    """Of ``color_jitter``, a row per image."""

    on: Tensor  # (N,) bool
    order: Tensor  # (N, 4), what is done first, second, ...
    factors: Tensor  # (N, 3), of brightness, contrast, saturation
    shift: Tensor | None  # (N,) of hue, in turns


class BlurParameters(NamedTuple):
    """Of ``gaussian_blur``, a row per image."""

    on: Tensor  # (N,) bool
    sigma: Tensor  # (N,) pixels


class Parameters(NamedTuple):
    """Of a view, a row per image. None: the operation is off."""

    boxes: Tensor | None  # (N, 4): top, left, height, width, in pixels; None: already cropped
    flip: Tensor | None  # (N,) bool
    affine: AffineParameters | None
    jitter: JitterParameters | None
    gray: Tensor | None  # (N,) bool
    blur: BlurParameters | None
    solarize: Tensor | None  # (N,) bool

    def rows(self, rows: Tensor) -> Parameters:
        """Returns the parameters of the given images, in their order."""
        return cast("Parameters", _rows(self, rows))

    def grouped(self, n: int) -> Tensor:
        """Returns an order (N,) in which images that meet the same operations lie together."""
        key = torch.zeros(n, dtype=torch.int64)
        turn = None if self.jitter is None else (hue_place(self.jitter.order) + 1) * self.jitter.on
        affine, blur = (None if part is None else part.on for part in (self.affine, self.blur))
        for flag in (affine, self.solarize, blur, turn, self.gray):  # few runs for what stands first
            if flag is not None:
                key.mul_(5).add_(flag)
        return key.argsort(stable=True)


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
    crop = view.crop
    return Parameters(
        boxes=None if cropped else sample_boxes(n, height, width, crop.scale, crop.ratio, generator),
        flip=_coin(view.flip, n, generator) if view.flip > 0 else None,
        affine=_affine(view.affine, view.size, n, generator) if view.affine.p > 0 else None,
        jitter=_jitter(view.jitter, n, generator) if view.jitter.p > 0 else None,
        gray=_coin(view.grayscale, n, generator) if view.grayscale > 0 else None,
        blur=_blur(view.blur, n, generator) if view.blur.p > 0 else None,
        solarize=_coin(view.solarize.p, n, generator) if view.solarize.p > 0 else None,
    )


def _affine(config: AffineConfig, size: int, n: int, generator: torch.Generator) -> AffineParameters:
    reach = config.translate * size
    return AffineParameters(
        on=_coin(config.p, n, generator),
        angle=_uniform(-config.degrees, config.degrees, (n,), generator),
        translate=_uniform(-reach, reach, (n, 2), generator).round_(),  # whole, as torchvision draws
        scale=_uniform(*config.scale, (n,), generator),
        shear=_uniform(-config.shear, config.shear, (n, 2), generator),
    )


def _jitter(config: JitterConfig, n: int, generator: torch.Generator) -> JitterParameters:
    reach = [config.strength * v for v in (config.brightness, config.contrast, config.saturation)]
    hue = config.strength * config.hue
    return JitterParameters(
        on=_coin(config.p, n, generator),
        order=torch.rand(n, 4, generator=generator, device=generator.device).argsort(dim=1),
        factors=torch.stack([_uniform(max(0, 1 - r), 1 + r, (n,), generator) for r in reach], dim=1),
        shift=_uniform(-hue, hue, (n,), generator) if hue > 0 else None,
    )


def _blur(config: BlurConfig, n: int, generator: torch.Generator) -> BlurParameters:
    return BlurParameters(on=_coin(config.p, n, generator), sigma=_uniform(*config.sigma, (n,), generator))


def _coin(p: float, n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, generator=generator, device=generator.device) < p


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device).mul_(high - low).add_(low)


def _rows(value: Any, rows: Tensor) -> Any:
    if value is None or isinstance(value, Tensor):
        return None if value is None else value[rows]
    return type(value)(*(_rows(part, rows) for part in value))
