"""The random parameters of one view of a batch: drawn for all images at once, applied later."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ssl_zoo.augment.boxes import sample_boxes
from ssl_zoo.augment.cutout import sample_cutouts
from ssl_zoo.augment.jitter import hue_place
from ssl_zoo.schema import AffineConfig, BlurConfig, CutoutConfig, JitterConfig, NoiseConfig, ViewConfig

__all__ = [
    "AffineParameters",
    "BlurParameters",
    "CutoutParameters",
    "JitterParameters",
    "NoiseParameters",
    "Parameters",
    "draw",
]


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


class NoiseParameters(NamedTuple):
    """Of ``gaussian_noise``, a row per image."""

    on: Tensor  # (N,) bool
    seed: Tensor  # (N,) int64


class CutoutParameters(NamedTuple):
    """Of ``cutout``, a row per image."""

    on: Tensor  # (N,) bool
    boxes: Tensor  # (N, 4): top, left, height, width, in pixels


class Parameters(NamedTuple):
    """Of a view, a row per image. None: the operation is off."""

    boxes: Tensor | None  # (N, 4): top, left, height, width, in pixels; None: already cropped
    flip: Tensor | None  # (N,) bool
    affine: AffineParameters | None
    rotate: Tensor | None  # (N,) int64, quarters: 0 to 3
    jitter: JitterParameters | None
    gray: Tensor | None  # (N,) bool
    blur: BlurParameters | None
    noise: NoiseParameters | None
    sobel: Tensor | None  # (N,) bool
    solarize: Tensor | None  # (N,) bool
    cutout: CutoutParameters | None

    def rows(self, rows: Tensor | slice) -> Parameters:
        """Returns the parameters of the given images, in their order."""
        return cast("Parameters", _rows(self, rows))

    def grouped(self, n: int) -> Tensor:
        """Returns an order (N,) in which images that meet the same operations lie together."""
        key = torch.zeros(n, dtype=torch.int64)
        turn = None if self.jitter is None else (hue_place(self.jitter.order) + 1) * self.jitter.on
        affine, blur, noise, cutout = (
            None if part is None else part.on for part in (self.affine, self.blur, self.noise, self.cutout)
        )
        # Few runs for what stands first; what costs least comes last.
        for flag in (affine, noise, self.sobel, self.solarize, blur, turn, self.gray, self.rotate, cutout):
            if flag is not None:
                key.mul_(5).add_(flag)
        return key.argsort(stable=True)


class _Source(NamedTuple):
    """Where draws for n images come from and lie."""

    n: int
    generator: torch.Generator
    device: torch.device

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        u = torch.rand(self.n, *shape, generator=self.generator, device=self.device)
        return u.mul_(high - low).add_(low)

    def coin(self, p: float) -> Tensor:
        return torch.rand(self.n, generator=self.generator, device=self.device) < p

    def integer(self, low: int, high: int) -> Tensor:
        """Integers from low to high - 1."""
        return torch.randint(low, high, (self.n,), generator=self.generator, device=self.device)


def draw(
    view: ViewConfig,
    images: torch.Size,
    generator: torch.Generator,
    device: torch.device | None = None,
    cropped: bool = False,
) -> Parameters:
    """Draws the parameters of a view.

    Args:
        view: ranges and probabilities. What has probability 0 is not drawn.
        images: their shape, (N, C, H, W).
        generator: the only source of randomness.
        device: where the draws lie; the generator's own device by default.
        cropped: the images have been cropped already.
    """
    n, _, height, width = images
    source = _Source(n, generator, device or generator.device)
    crop = view.crop
    return Parameters(
        boxes=None if cropped else sample_boxes(n, height, width, crop.scale, crop.ratio, generator, device),
        flip=source.coin(view.flip) if view.flip > 0 else None,
        affine=_affine(view.affine, view.size, source) if view.affine.p > 0 else None,
        rotate=_rotate(view.rotate, source) if view.rotate > 0 else None,
        jitter=_jitter(view.jitter, source) if view.jitter.p > 0 else None,
        gray=source.coin(view.grayscale) if view.grayscale > 0 else None,
        blur=_blur(view.blur, source) if view.blur.p > 0 else None,
        noise=_noise(view.noise, source) if view.noise.p > 0 else None,
        sobel=source.coin(view.sobel) if view.sobel > 0 else None,
        solarize=source.coin(view.solarize.p) if view.solarize.p > 0 else None,
        cutout=_cutout(view.cutout, view.size, source) if view.cutout.p > 0 else None,
    )


def _affine(config: AffineConfig, size: int, source: _Source) -> AffineParameters:
    reach = config.translate * size
    return AffineParameters(
        on=source.coin(config.p),
        angle=source.uniform(-config.degrees, config.degrees),
        translate=source.uniform(-reach, reach, 2).round_(),  # whole, as torchvision draws
        scale=source.uniform(*config.scale),
        shear=source.uniform(-config.shear, config.shear, 2),
    )


def _rotate(p: float, source: _Source) -> Tensor:
    return source.coin(p) * source.integer(1, 4)


def _jitter(config: JitterConfig, source: _Source) -> JitterParameters:
    reach = [config.strength * v for v in (config.brightness, config.contrast, config.saturation)]
    hue = config.strength * config.hue
    return JitterParameters(
        on=source.coin(config.p),
        order=source.uniform(0, 1, 4).argsort(dim=1),
        factors=torch.stack([source.uniform(max(0, 1 - r), 1 + r) for r in reach], dim=1),
        shift=source.uniform(-hue, hue) if hue > 0 else None,
    )


def _blur(config: BlurConfig, source: _Source) -> BlurParameters:
    return BlurParameters(on=source.coin(config.p), sigma=source.uniform(*config.sigma))


def _noise(config: NoiseConfig, source: _Source) -> NoiseParameters:
    return NoiseParameters(on=source.coin(config.p), seed=source.integer(-(2**63), 2**63 - 1))


def _cutout(config: CutoutConfig, size: int, source: _Source) -> CutoutParameters:
    n, generator, device = source
    boxes = sample_cutouts(n, size, size, config.scale, config.ratio, generator, device)
    return CutoutParameters(on=source.coin(config.p), boxes=boxes)


def _rows(value: Any, rows: Tensor | slice) -> Any:
    if value is None or isinstance(value, Tensor):
        return None if value is None else value[rows]
    return type(value)(*(_rows(part, rows) for part in value))
