"""Settings that images ask for: small ones are trained at their size, gray and deep ones have statistics of their own.

`compose` imports this module where the images are in a folder or were passed from Python, for it imports torch.

- [0] CIFAR variants of ResNet and no blur: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9);
  SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Appendix D)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_zoo.backbone import fit_small
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import folder_sample
from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.folder_sample import Gray, Sides, sides_of
from ssl_zoo.data.given import given
from ssl_zoo.data.pixel_statistics import Statistics

__all__ = [
    "SMALL",
    "describe_images",
    "for_small_images",
    "gray_of",
    "identity_of",
    "pixels_of",
    "sides_of",
    "statistics_of",
]

SMALL = 64  # pixels: images whose shorter side is at most this in the median are small
FAR_ABOVE = 1.5  # times the images' side: a size from which on enlarging is named


def for_small_images(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns settings for small images: their size, the small stem, no blur; None for others.

    They are every paper's on CIFAR. They stand between the method and its recipes, so that whatever else sets a value
    takes precedence. With `backbone.pretrained` the weights' own size and stem are left.

    Args:
        values: what was composed without them.
    """
    data, backbone = values["data"], values.get("backbone")
    if not isinstance(backbone, Mapping) or backbone.get("pretrained"):
        return None
    sides = _sides(data.get("train"))
    if sides is None or sides.median > SMALL:
        return None
    fit = fit_small(str(backbone.get("name")), sides.median)
    if fit is None:
        return None
    off = {"p": 0.0}
    augment = {"size": fit.size, "blur": off, "solarize": off, "views": None}
    return {"backbone": {"stem": fit.stem}, "augment": augment}


def identity_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the keys of a block `data` that tell which Dataset was passed from Python; of a folder none."""
    passed = None if data.get("train") else given()
    if passed is None:
        return {}
    name = type(passed.train).__name__ if data.get("name") == "dataset" else data.get("name")
    return {"name": name, "dataset": passed.kind, "length": len(passed.train), "digest": passed.digest}


def pixels_of(data: Mapping[str, Any]) -> Pixels | None:
    """Returns channels and bits of the images of a block `data`; None of 8-bit photos, and of images not there."""
    if data.get("train"):
        return folder_sample.pixels_of(data["train"])
    passed = given()
    return None if passed is None else passed.pixels


def statistics_of(data: Mapping[str, Any], channels: int, bit_depth: int) -> Statistics | None:
    """Measures mean and std of some images of a block `data`; None of images that are not there."""
    if data.get("train"):
        return folder_sample.statistics_of(data["train"], channels, bit_depth)
    passed = given()
    return None if passed is None else passed.statistics(channels, bit_depth)


def gray_of(data: Mapping[str, Any]) -> Gray | None:
    """Measures mean and std of some images of a block `data`, as gray ones of 8 bits."""
    if data.get("train") and (gray := folder_sample.gray_of(data["train"])) is not None:
        return gray
    measured = statistics_of(data, 1, 8)
    return (
        None if measured is None else Gray(round(measured.mean[0], 4), max(round(measured.std[0], 4), 0.01))
    )


def describe_images(config: RunConfig) -> str | None:
    """Describes in a line the images and how they are trained on; None where they cannot be read."""
    sides = _sides(config.data.train)
    if sides is None:
        return None
    size, data = config.augment.size, config.data
    above = f" ({size / sides.median:.3g} times their side)" if size > FAR_ABOVE * sides.median else ""
    parts = [f"augment.size={size}{above}", f"backbone.stem={config.backbone.stem}"]
    if all(view.blur.p == 0 for view in config.views):
        parts.append("blur off")
    pixels = ""
    if data.channels not in (1, 3) or data.bit_depth != 8:
        pixels = f", of {data.channels} channel{'s' if data.channels > 1 else ''} and {data.bit_depth} bits"
    if data.channels not in (1, 3):
        parts.append("hue, saturation and grayscale off")
    return f"images are {sides}{pixels}: {', '.join(parts)}"


def _sides(folder: str | None) -> Sides | None:
    """Returns the sides of a folder's images or, without one, of those that were passed from Python."""
    if folder:
        return sides_of(folder)
    passed = given()
    return None if passed is None else passed.sides
