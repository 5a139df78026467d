"""Defaults that follow the images: small images of a folder are trained at their size, gray ones have gray statistics.

- [0] CIFAR variants of ResNet and no blur: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Appendix B.9);
  SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Appendix D)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_zoo.config.schema import RunConfig

__all__ = ["SMALL", "describe", "fill_pixels", "small_overrides"]

SMALL = 64  # pixels: images whose shorter side is at most this in the median are small
FAR_ABOVE = 1.5  # times the images' side: a size from which on enlarging is named
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue in gray, ITU-R 601


def small_overrides(values: Mapping[str, Any]) -> list[str]:
    """Returns the overrides that choose `configs/images/small.yaml`, for folders of small images; else [].

    With `backbone.pretrained` the weights' own size and stem are left.

    Args:
        values: what was composed without them.
    """
    data, backbone = (values.get(key) for key in ("data", "backbone"))
    if not isinstance(data, Mapping) or not isinstance(backbone, Mapping) or backbone.get("pretrained"):
        return []
    if "small" in values:  # no key of ours: it is refused as it stands
        return []
    folder = data.get("train")
    if data.get("source") != "imagefolder" or not isinstance(folder, str) or not folder:
        return []
    from ssl_zoo.data.folder_sample import sides_of

    sides = sides_of(folder)
    if sides is None or sides.median > SMALL:
        return []
    from ssl_zoo.backbone import fit_small

    found = fit_small(str(backbone.get("name")), sides.median)
    return [] if found is None else ["images=small", f"+small.side={found.size}", f"+small.stem={found.stem}"]


def fill_pixels(values: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    """Returns the data block with mean and std of as many channels as it has, where they were not given.

    Gray from colour: measured on a sample of the images of a folder (`data.sample.gray_of`), else what the weights of
    red, green and blue make of the three values. Colour from gray: the gray value three times, which is exact.

    Args:
        values: the block `data`.
        given: keys of overrides, for instance `data.mean`.
    """
    block = dict(values)
    channels = block.get("channels", 3)
    defaults = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    measured = None
    for key, default in defaults.items():
        own = block.get(key, default)
        if f"data.{key}" in given or isinstance(channels, bool) or not isinstance(own, (list, tuple)):
            continue
        if channels == 1 and len(own) == 3:
            if (
                block.get("source") == "imagefolder"
                and measured is None
                and isinstance(block.get("train"), str)
            ):
                from ssl_zoo.data.folder_sample import gray_of

                measured = gray_of(block["train"])
            luma = sum(weight * value for weight, value in zip(LUMA, own, strict=True))
            block[key] = [round(luma, 4) if measured is None else getattr(measured, key)]
        elif channels == 3 and len(own) == 1:
            block[key] = [own[0]] * 3
    return block


def describe(config: RunConfig) -> str | None:
    """Returns a line: the images of a folder and how they are trained on. None for other data."""
    from ssl_zoo.data.folder_sample import sides_of

    if config.data.source != "imagefolder" or config.data.train is None:
        return None
    sides = sides_of(config.data.train)
    if sides is None:
        return None
    size = config.augment.size
    above = f" ({size / sides.median:.3g} times their side)" if size > FAR_ABOVE * sides.median else ""
    parts = [f"augment.size={size}{above}", f"backbone.stem={config.backbone.stem}"]
    if all(view.blur.p == 0 for view in config.views):
        parts.append("blur off")
    return f"images are {sides}: {', '.join(parts)}"
