"""Settings that a folder of images asks for: small images are trained at their size, gray ones have gray statistics.

`compose` imports this module where the source of the data is `imagefolder`, for it imports torch.

- [0] CIFAR variants of ResNet and no blur: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9);
  SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Appendix D)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_zoo.backbone import fit_small
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data.folder_sample import gray_of, sides_of

__all__ = ["SMALL", "describe_images", "for_small_images", "gray_of"]

SMALL = 64  # pixels: images whose shorter side is at most this in the median are small
FAR_ABOVE = 1.5  # times the images' side: a size from which on enlarging is named


def for_small_images(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns settings for a folder of small images: their size, the small stem, no blur; None for other folders.

    They are every paper's on CIFAR. They stand between the method and its recipes, so that whatever else sets a value
    takes precedence. With `backbone.pretrained` the weights' own size and stem are left.

    Args:
        values: what was composed without them.
    """
    data, backbone = values["data"], values.get("backbone")
    if not isinstance(backbone, Mapping) or backbone.get("pretrained") or not data["train"]:
        return None
    sides = sides_of(data["train"])
    if sides is None or sides.median > SMALL:
        return None
    fit = fit_small(str(backbone.get("name")), sides.median)
    if fit is None:
        return None
    off = {"p": 0.0}
    augment = {"size": fit.size, "blur": off, "solarize": off, "views": None}
    return {"backbone": {"stem": fit.stem}, "augment": augment}


def describe_images(config: RunConfig) -> str | None:
    """Describes in a line a folder's images and how they are trained on; None where they cannot be read."""
    sides = None if config.data.train is None else sides_of(config.data.train)
    if sides is None:
        return None
    size = config.augment.size
    above = f" ({size / sides.median:.3g} times their side)" if size > FAR_ABOVE * sides.median else ""
    parts = [f"augment.size={size}{above}", f"backbone.stem={config.backbone.stem}"]
    if all(view.blur.p == 0 for view in config.views):
        parts.append("blur off")
    return f"images are {sides}: {', '.join(parts)}"
