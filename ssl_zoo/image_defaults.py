"""Settings that images ask for: small ones are trained at their size, gray and deep ones have statistics of their own.

`compose` imports this module where the images are looked at, in a folder for instance, for it imports torch.

- [0] CIFAR variants of ResNet and no blur: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9);
  SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Appendix D)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ssl_zoo.backbone import fit_small
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data.image_sample import ImageSample

__all__ = ["SMALL", "describe_images", "for_small_images", "sample_of"]

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
    sample = sample_of(data)
    sides = None if sample is None else sample.sides
    if sides is None or sides.median > SMALL:
        return None
    fit = fit_small(str(backbone.get("name")), sides.median)
    if fit is None:
        return None
    off = {"p": 0.0}
    augment = {"size": fit.size, "blur": off, "solarize": off, "views": None}
    return {"backbone": {"stem": fit.stem}, "augment": augment}


def sample_of(data: Mapping[str, Any]) -> ImageSample | None:
    """Returns the sample of the images of a block `data`; None where they are not there, or nothing looks at them."""
    source = data.get("source")
    if source not in SOURCES.names():
        return None
    sample: ImageSample | None = SOURCES.get(source).load_sample()(data)
    return sample


def describe_images(config: RunConfig) -> str | None:
    """Describes in a line the images and how they are trained on; None where they cannot be read."""
    sample = sample_of(dataclasses.asdict(config.data))
    sides = None if sample is None else sample.sides
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
