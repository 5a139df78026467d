"""Reads the settings of a lightly transform back from its parts, as settings of our views.

So the defaults of `BatchedViews("SimCLRTransform")` are those of the lightly that is installed, whichever it is, and no
table of ours can fall behind. What our views cannot do, or do in another order, is refused.

lightly blurs by Pillow, whose kernel is not cut off; ours reaches as far as four standard deviations.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from ssl_zoo.config.schema import BlurConfig, CropConfig, JitterConfig, SolarizeConfig, ViewConfig
from ssl_zoo.errors import UserError, shown, unknown_name
from ssl_zoo.from_lightly import other_transforms

__all__ = ["ReadViews", "build_transform", "read_transform"]

LEVELS = 255  # of a pixel of 8 bits


class ReadViews(NamedTuple):
    """Settings of a transform."""

    views: tuple[ViewConfig, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def build_transform(name: str, settings: dict[str, Any]) -> Any:
    """Returns lightly's transform of that name, with lightly's own settings.

    Raises:
        UserError: lightly has no such transform, or it takes no such settings.
    """
    known = other_transforms()
    if name not in known:
        raise unknown_name("transform of lightly", name, known)
    try:
        return known[name](**settings)
    except TypeError as error:
        raise UserError(
            f"lightly's {name} does not take these settings: {error}; see its documentation"
        ) from error


def read_transform(transform: Any) -> ReadViews:
    """Reads the views of a transform of lightly.

    Raises:
        UserError: it has a part that our views have not, or parts in another order.
    """
    name = type(transform).__name__
    parts: Any = getattr(transform, "transforms", None)
    several = isinstance(parts, Sequence) and type(transform).__name__ != "Compose"
    read = [_read_view(name, view) for view in (parts if several else [transform])]
    if not read:
        raise UserError(f"{name} makes no views; give it transforms")
    if len({(mean, std) for _, mean, std in read}) > 1:
        raise UserError(f"{name} normalises its views differently; give all of them the same normalize=")
    return ReadViews(tuple(view for view, *_ in read), *read[0][1:])


def _read_view(name: str, view: Any) -> tuple[ViewConfig, tuple[float, ...], tuple[float, ...]]:
    settings: dict[str, Any] = {
        "flip": 0.0,
        "jitter": JitterConfig(p=0.0),
        "grayscale": 0.0,
        "blur": BlurConfig(p=0.0),
    }
    mean, std, stage = (0.0,) * 3, (1.0,) * 3, ""
    for part in _flat(view):
        kind = type(part).__name__
        if kind not in PARTS or not type(part).__module__.startswith(
            ("torchvision.transforms", "lightly.transforms")
        ):
            raise UserError(f"{name} has {kind}, which BatchedViews has not; it has {', '.join(PARTS)}")
        position, read = PARTS[kind]
        try:
            changed = read(part)
        except _Unlike as error:
            raise UserError(f"{name} has {kind}; {error}; received {shown(part)}") from None
        if not changed:
            continue  # it does nothing
        if position < _position(stage):
            raise UserError(
                f"{name} has {kind} after {stage}; BatchedViews makes it before, which gives other views"
            )
        stage = kind
        mean, std = changed.pop("mean", mean), changed.pop("std", std)
        settings.update(changed)
    if "size" not in settings:
        raise UserError(f"{name} has no RandomResizedCrop, with which BatchedViews begins")
    config = ViewConfig(**settings)
    if config.blur.p > 0:
        reach = 2 * math.ceil(4 * config.blur.sigma[1]) + 1
        blur = dataclasses.replace(config.blur, kernel=min(1.0, (reach + 0.5) / config.size))
        config = dataclasses.replace(config, blur=blur)
    return config, mean, std


def _flat(view: Any) -> Iterator[Any]:
    """Yields the parts of a view in order, without what only holds others together."""
    kind = type(view).__name__
    if kind == "Compose":
        for part in view.transforms:
            yield from _flat(part)
    elif kind not in PARTS and hasattr(view, "transform"):  # SimCLRViewTransform and its like
        yield from _flat(view.transform)
    else:
        yield view


class _Unlike(Exception):
    """A part does what ours does not."""


def _crop(part: Any) -> dict[str, Any]:
    size = set(part.size) if isinstance(part.size, (tuple, list)) else {part.size}
    interpolation = getattr(part.interpolation, "value", part.interpolation)
    if len(size) != 1 or interpolation not in ("bilinear", "bicubic"):
        raise _Unlike("BatchedViews makes square views, bilinear or bicubic")
    crop = CropConfig(scale=_pair(part.scale), ratio=_pair(part.ratio), interpolation=interpolation)
    return {"size": size.pop(), "crop": crop}


def _pair(ends: Any) -> tuple[float, float]:
    low, high = ends
    return float(low), float(high)


def _off(part: Any) -> dict[str, Any]:
    probability = getattr(part, "prob", getattr(part, "p", None))
    if probability is None and hasattr(part, "transform"):  # RandomRotateDegrees
        probability = part.transform.p
    if probability != 0:
        raise _Unlike("BatchedViews has it at probability 0 alone")
    return {}


def _applied(part: Any) -> dict[str, Any]:
    inner = list(part.transforms)
    if len(inner) != 1 or type(inner[0]).__name__ != "ColorJitter":
        raise _Unlike("of RandomApply BatchedViews has that of one ColorJitter")
    jitter = _jitter(inner[0])
    return {"jitter": dataclasses.replace(jitter["jitter"], p=float(part.p))} if jitter and part.p > 0 else {}


def _jitter(part: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key, centre in (("brightness", 1.0), ("contrast", 1.0), ("saturation", 1.0), ("hue", 0.0)):
        ends = getattr(part, key)
        low, high = (centre, centre) if ends is None else map(float, ends)
        reach = round(high - centre, 9)
        if not math.isclose(low, max(0.0 if centre else -1.0, centre - reach), abs_tol=1e-9):
            raise _Unlike(f"BatchedViews draws {key} from [1 - x, 1 + x], hue from [-x, x]")
        values[key] = reach
    return {"jitter": JitterConfig(p=1.0, **values)} if any(values.values()) else {}


def _normalize(part: Any) -> dict[str, Any]:
    return {"mean": tuple(map(float, part.mean)), "std": tuple(map(float, part.std))}


def _blur(part: Any) -> dict[str, Any]:
    return {"blur": BlurConfig(p=float(part.prob), sigma=_pair(part.sigmas))} if part.prob > 0 else {}


def _solarize(part: Any) -> dict[str, Any]:
    threshold = (part.threshold - 0.5) / LEVELS  # between two levels: rounding decides nothing
    return {"solarize": SolarizeConfig(p=float(part.prob), threshold=threshold)} if part.prob > 0 else {}


# By the name of a part: its place in our order, and how it is read. Nothing read: it does nothing.
PARTS: dict[str, tuple[int, Callable[[Any], dict[str, Any]]]] = {
    "RandomResizedCrop": (0, _crop),
    "RandomHorizontalFlip": (1, lambda part: {"flip": float(part.p)} if part.p > 0 else {}),
    "RandomVerticalFlip": (1, _off),
    "RandomRotate": (1, _off),
    "RandomRotateDegrees": (1, _off),
    "RandomApply": (2, _applied),
    "ColorJitter": (2, _jitter),
    "RandomGrayscale": (3, lambda part: {"grayscale": float(part.p)} if part.p > 0 else {}),
    "GaussianBlur": (4, _blur),
    "RandomSolarization": (5, _solarize),
    "ToTensor": (6, lambda part: {}),
    "Normalize": (7, _normalize),
}


def _position(kind: str) -> int:
    return PARTS[kind][0] if kind else -1
