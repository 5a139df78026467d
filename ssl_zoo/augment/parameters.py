"""Random parameters of one view of a batch: drawn for all images at once, applied later."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, permutations
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from ssl_zoo.augment.autoaugment import AUTOAUGMENT_DRAWS, AutoAugmentParameters, autoaugments_from
from ssl_zoo.augment.boxes import BOX_DRAWS, boxes_from
from ssl_zoo.augment.cutout import CUTOUT_DRAWS, cutouts_from
from ssl_zoo.augment.jitter import hue_position
from ssl_zoo.augment.pixels import constant
from ssl_zoo.config.schema import ViewConfig

__all__ = [
    "AffineParameters",
    "BlurParameters",
    "CutoutParameters",
    "JitterParameters",
    "NoiseParameters",
    "Parameters",
    "draw",
]

ORDERS = tuple(chain.from_iterable(permutations(range(4))))  # of the jitter's operators: 24 times 4


class AffineParameters(NamedTuple):
    """Parameters of ``affine``, a row per image."""

    on: Tensor  # (N,) bool
    angle: Tensor  # (N,) degrees
    translate: Tensor  # (N, 2) pixels
    scale: Tensor  # (N,)
    shear: Tensor  # (N, 2) degrees


class JitterParameters(NamedTuple):
    """Parameters of ``color_jitter``, a row per image."""

    on: Tensor  # (N,) bool
    order: Tensor  # (N, 4), the operation that comes first, second, ...
    factors: Tensor  # (N, 3), of brightness, contrast, saturation
    shift: Tensor | None  # (N,) of hue, in turns


class BlurParameters(NamedTuple):
    """Parameters of ``gaussian_blur``, a row per image."""

    on: Tensor  # (N,) bool
    sigma: Tensor  # (N,) pixels


class NoiseParameters(NamedTuple):
    """Parameters of ``gaussian_noise``, a row per image."""

    on: Tensor  # (N,) bool
    seed: Tensor  # (N,) int64


class CutoutParameters(NamedTuple):
    """Parameters of ``cutout``, a row per image."""

    on: Tensor  # (N,) bool
    boxes: Tensor  # (N, 4): top, left, height, width, in pixels


class Parameters(NamedTuple):
    """Parameters of a view, a row per image. None: the operation is off."""

    boxes: Tensor | None  # (N, 4): top, left, height, width, in pixels; None: already cropped
    flip: Tensor | None  # (N,) bool
    autoaugment: AutoAugmentParameters | None
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
        """Returns an order (N,) in which images with the same operations are adjacent."""
        hue = None if self.jitter is None else (hue_position(self.jitter.order) + 1) * self.jitter.on
        affine, blur, noise, cutout = (
            None if block is None else block.on for block in (self.affine, self.blur, self.noise, self.cutout)
        )
        automatic = self.autoaugment
        key = (
            np.zeros(n, dtype=np.int64) if automatic is None else automatic.pair.numpy()
        )  # the dearest: one pair
        # Few runs for the first operation, many for the last: the cheapest comes last.
        for flag in (affine, noise, self.sobel, self.solarize, hue, blur, self.gray, self.rotate, cutout):
            if flag is not None:
                digit = flag.numpy().astype(np.int64)
                # Alternately up and down, so that runs of a flag continue into the next group.
                key = 5 * key + np.where(key % 2, 4 - digit, digit)
        return torch.from_numpy(key.argsort(kind="stable"))


def draw(
    view: ViewConfig,
    images: torch.Size,
    generator: torch.Generator,
    device: torch.device | None = None,
    cropped: bool = False,
) -> Parameters:
    """Draws the parameters of a view.

    One call draws the uniform values of all but AutoAugment, each for a fixed operation: an operation draws the same
    whichever others are on.

    Args:
        view: ranges and probabilities. Operations of probability 0 are left out.
        images: their shape, (N, C, H, W).
        generator: the only source of randomness.
        device: of the draws; the generator's own device by default.
        cropped: the images have been cropped already.
    """
    n, _, height, width = images
    device = device or generator.device
    probabilities, ranges = view.probabilities, _ranges(view)
    sizes = [BOX_DRAWS, CUTOUT_DRAWS, 1, len(probabilities), len(ranges)]
    u = torch.rand(sum(sizes), n, generator=generator, device=device)
    box, cut, order, coins, values = u.split_with_sizes(sizes)
    flips = (coins < _column(probabilities.values(), device)).unbind()
    on = {
        name: flip if probabilities[name] > 0 else None
        for name, flip in zip(probabilities, flips, strict=True)
    }
    low, high = (_column(ends, device) for ends in zip(*ranges.values(), strict=True))
    value = dict(zip(ranges, torch.lerp(low, high, values).unbind(), strict=True))

    def columns(*names: str) -> Tensor:
        return torch.stack([value[name] for name in names], dim=1)

    autoaugment = affine = rotate = jitter = blur = noise = cutout = None
    if (selected := on["affine"]) is not None:
        shift = columns("right", "down").round_()  # whole, as torchvision draws
        affine = AffineParameters(
            selected, value["angle"], shift, value["scale"], columns("shear along x", "shear along y")
        )
    if (selected := on["rotate"]) is not None:
        rotate = selected * value["quarters"].to(torch.int64)
    if (selected := on["jitter"]) is not None:
        factors = columns("brightness", "contrast", "saturation")
        hue = value["hue"] if ranges["hue"][1] > 0 else None
        jitter = JitterParameters(selected, _orders(order[0]), factors, hue)
    if (selected := on["blur"]) is not None:
        blur = BlurParameters(selected, value["sigma"])
    automatic = view.autoaugment != "none"
    if (selected := on["noise"]) is not None or automatic:
        seed = torch.randint(-(2**63), 2**63 - 1, (n,), generator=generator, device=device)
        noise = None if selected is None else NoiseParameters(selected, seed)
    if automatic:  # apart from the others, which a seed draws as it has always drawn them
        further = torch.rand(AUTOAUGMENT_DRAWS, n, generator=generator, device=device)
        autoaugment = autoaugments_from(further, view.autoaugment)
    if (selected := on["cutout"]) is not None:
        boxes = cutouts_from(cut, view.size, view.size, view.cutout.scale, view.cutout.ratio)
        cutout = CutoutParameters(selected, boxes)
    return Parameters(
        boxes=None if cropped else boxes_from(box, height, width, view.crop.scale, view.crop.ratio),
        flip=on["flip"],
        autoaugment=autoaugment,
        affine=affine,
        rotate=rotate,
        jitter=jitter,
        gray=on["grayscale"],
        blur=blur,
        noise=noise,
        sobel=on["sobel"],
        solarize=on["solarize"],
        cutout=cutout,
    )


def _ranges(view: ViewConfig) -> dict[str, tuple[float, float]]:
    """Returns the ends of each parameter's uniform distribution."""
    affine, jitter = view.affine, view.jitter
    reach = {
        name: jitter.strength * getattr(jitter, name) for name in ("brightness", "contrast", "saturation")
    }
    hue, shift = jitter.strength * jitter.hue, affine.translate * view.size
    return {
        **{name: (max(0.0, 1 - r), 1 + r) for name, r in reach.items()},
        "hue": (-hue, hue),
        "sigma": view.blur.sigma,
        "angle": (-affine.degrees, affine.degrees),
        "scale": affine.scale,
        "shear along x": (-affine.shear, affine.shear),
        "shear along y": (-affine.shear, affine.shear),
        "right": (-shift, shift),
        "down": (-shift, shift),
        "quarters": (1.0, 4.0),
    }


def _column(values: Iterable[float], device: torch.device) -> Tensor:
    return constant(tuple(values), device).unsqueeze(1)


def _orders(u: Tensor) -> Tensor:
    """Returns permutations (N, 4) of the jitter's operators, for u (N,) uniform in [0, 1)."""
    table = constant(ORDERS, u.device).view(24, 4)
    return table.index_select(0, (24 * u).to(torch.int64)).to(torch.int64)  # 24 u stays below 24 in float32


def _rows(value: Any, rows: Tensor | slice) -> Any:
    if isinstance(value, Tensor):
        return value[rows] if isinstance(rows, slice) else value.index_select(0, rows)
    return None if value is None else type(value)(*(_rows(part, rows) for part in value))
