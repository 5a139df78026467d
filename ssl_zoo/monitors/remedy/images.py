"""Causes in the images, their views, and what the backbone can see of them.

- [0] views decide what is learned: SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Figure 5)
"""

from __future__ import annotations

from ssl_zoo.config.schema import RunConfig, ViewConfig
from ssl_zoo.monitors.evidence import relative_alignment
from ssl_zoo.monitors.remedy.facts import Facts, Remedy, explains, leaf, unlike_reference

__all__ = [
    "constant_images",
    "destroyed_views",
    "identical_views",
    "single_pixel_maps",
    "tiny_crops",
    "unreadable_images",
    "weak_views",
    "wrong_normalisation",
]

CONSTANT = 1e-3  # standard deviations: below a step of 8 bits, 1/255
SPREAD = (0.05, 20.0)  # of normalised pixels; 1 by design
SHARED = 0.25  # area up to which two crops need not share a pixel
IDENTICAL = 1e-6  # relative alignment of the untrained encoder
WEAK = 0.02
SINGLE = 0.5  # fraction of the spatial convolutions
UNREADABLE = 0.5


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def constant_images(config: RunConfig, facts: Facts) -> Remedy | None:
    """Training images that are all alike."""
    if facts.pixel_spread is None or facts.pixel_spread * max(config.data.std) >= CONSTANT:
        return None
    return Remedy(
        "images all alike",
        f"the training images are one image: their pixels differ by {facts.pixel_spread * max(config.data.std):.2g} of "
        "the range from image to image",
        "data=imagefolder data.train=FOLDER",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def unreadable_images(config: RunConfig, facts: Facts) -> Remedy | None:
    """Most files of the folder were left out."""
    if facts.unreadable < UNREADABLE:
        return None
    return Remedy(
        "unreadable images",
        f"{facts.unreadable:.0%} of the training images could not be read and were left out "
        f"(data.on_error={config.data.on_error})",
        "data.on_error=raise",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def wrong_normalisation(config: RunConfig, facts: Facts) -> Remedy | None:
    """data.mean and data.std that are not those of these images: pixels reach the network far from unit scale."""
    spread, mean = facts.pixel_spread, facts.pixel_mean
    if spread is None or mean is None or (SPREAD[0] <= spread <= SPREAD[1] and abs(mean) <= SPREAD[1]):
        return None
    usual = facts.reference.data if facts.reference is not None else None
    key = "std" if not SPREAD[0] <= spread <= SPREAD[1] else "mean"
    value = (
        getattr(usual, key) if usual is not None else (0.25 if key == "std" else 0.5,) * config.data.channels
    )
    return Remedy(
        "images badly normalised",
        f"after data.mean={list(config.data.mean)} and data.std={list(config.data.std)} a pixel has mean {mean:.3g} "
        f"and standard deviation {spread:.3g} instead of 0 and 1",
        f"'data.{key}=[{','.join(f'{part:g}' for part in value)}]'",
    )


@explains("collapsed", "partially collapsed", "not learning")
def identical_views(config: RunConfig, facts: Facts) -> Remedy | None:
    """Views without any change: they agree before anything is learned."""
    views = config.views[:2]
    if len(views) < 2 or any(_changes(view) for view in views) or views[0] != views[1]:
        return None
    return Remedy(
        "views identical",
        "the two views of an image are the same: crop.scale=[1,1] and no other operation"
        + (f"; the loss is {facts.losses[0]:.4g} from the first epoch on" if facts.losses else ""),
        _mend_views(config, facts),
    )


@explains("collapsed", "partially collapsed", "not learning")
def tiny_crops(config: RunConfig, facts: Facts) -> Remedy | None:
    """Crops that need not overlap: a square box of a quarter of the area or less misses a second one by chance.

    Boxes of side s in a unit square always share pixels from s = 1/2 on; below, two views may be of different things.
    """
    crop = min((view.crop for view in config.views[:2]), key=lambda crop: crop.scale[1])
    if crop.scale[1] > SHARED or len(config.views) < 2:
        return None
    usual = leaf(facts.reference, "augment.crop.scale")
    low, high = usual if usual is not None and usual[1] > SHARED else (0.2, 1.0)
    return Remedy(
        "crops too small",
        f"crops show at most {crop.scale[1]:.3g} of an image (crop.scale={list(crop.scale)}): two of them need not "
        "share a pixel",
        f"'augment.crop.scale=[{low:g},{high:g}]'",
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def destroyed_views(config: RunConfig, facts: Facts) -> Remedy | None:
    """An operation, applied to half of the images or more, that leaves little of them."""
    for view in config.views[:2]:
        for key, hits, what in (
            ("noise.p", view.noise.p >= 0.5 and view.noise.std >= 0.5, f"noise of std {view.noise.std:g}"),
            ("cutout.p", view.cutout.p >= 0.5 and view.cutout.scale[0] >= 0.5, f"a box of {view.cutout.scale[0]:g}"),
            ("blur.p", view.blur.p >= 0.5 and view.blur.sigma[0] >= view.size / 4 and view.blur.kernel >= 0.5,
             f"blur of {view.blur.sigma[0]:g} of {view.size} pixels"),
            ("jitter.strength", view.jitter.p >= 0.5 and view.jitter.strength * view.jitter.brightness > 2,
             f"brightness times up to {1 + view.jitter.strength * view.jitter.brightness:g}"),
            ("affine.translate", view.affine.p >= 0.5 and view.affine.translate >= 0.5,
             f"a shift by up to {view.affine.translate:g} of the side"),
        ):  # fmt: skip
            if hits:
                usual = leaf(facts.reference, f"augment.{key}")
                value = usual if usual is not None and usual != leaf(view, key) else 0  # type: ignore[arg-type]
                return Remedy(
                    "views too strong",
                    f"views lose what the image shows: augment.{key.partition('.')[0]}, {what}",
                    f"augment.{key}={value:g}",
                )
    return None


@explains("collapsed", "partially collapsed", "not learning")
def weak_views(config: RunConfig, facts: Facts) -> Remedy | None:
    """Views so alike that the untrained encoder already tells images apart by them: nothing is left to learn."""
    if facts.initial is None or len(config.views) < 2:
        return None
    apart = relative_alignment(facts.initial)
    off = [
        key
        for key, missing in (
            ("crop", all(view.crop.scale[0] >= 0.9 for view in config.views[:2])),
            ("jitter", all(_keeps_colours(view) for view in config.views[:2])),
        )
        if missing
    ]
    if not (apart < WEAK or len(off) == 2):
        return None
    evidence = (
        f"before any training two views of an image are {apart:.2g} times as far apart as two images, squared"
    )
    return Remedy(
        "views too weak",
        evidence + (f": no {' and no '.join(off)}" if off else ""),
        _mend_views(config, facts),
    )


@explains("collapsed", "partially collapsed", "not learning", "diverged")
def single_pixel_maps(config: RunConfig, facts: Facts) -> Remedy | None:
    """A standard stem on tiny images: most convolutions get maps of 1 x 1, and so of the borders' zeros."""
    if facts.single_pixels is None or facts.single_pixels < SINGLE or config.backbone.stem != "standard":
        return None
    if not any(unlike_reference(config, facts, key) for key in ("backbone.stem", "augment.size")):
        return None
    return Remedy(
        "images too small for the stem",
        f"at augment.size={config.augment.size} {facts.single_pixels:.0%} of the spatial convolutions get maps of 1 x "
        "1 (backbone.stem=standard)",
        "backbone.stem=small" if facts.small_stem else f"augment.size={4 * config.augment.size}",
    )


def _changes(view: ViewConfig) -> bool:
    """Whether the view differs from the whole image, for some draw."""
    automatic = view.autoaugment != "none"
    return view.crop.scale[0] < 1 or automatic or any(p > 0 for p in view.probabilities.values())


def _keeps_colours(view: ViewConfig) -> bool:
    """Whether neither jitter nor AutoAugment changes colours by much."""
    return view.autoaugment == "none" and view.jitter.p * view.jitter.strength < 0.1


def _mend_views(config: RunConfig, facts: Facts) -> str:
    """The override that restores the first operation that the reference has and this run lacks."""
    usual = facts.reference.augment if facts.reference is not None else None
    scale = (0.2, 1.0) if usual is None else usual.crop.scale
    if scale[0] < config.augment.crop.scale[0]:
        return f"'augment.crop.scale=[{scale[0]:g},{scale[1]:g}]'"
    for key in ("jitter.p", "affine.p", "blur.p"):
        value = leaf(facts.reference, f"augment.{key}")
        if value and not leaf(config, f"augment.{key}"):
            return f"augment.{key}={value:g}"
    return "'augment.crop.scale=[0.2,1]'"
