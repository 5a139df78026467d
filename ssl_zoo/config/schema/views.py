"""The block `augment`: the views of an image."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema.types import (
    Factor,
    Fraction,
    Probability,
    Ratio,
    Side,
    Sigma,
    check_ascending,
    section,
)


@section
class CropConfig:
    """Random resized crop: a box of random area and aspect ratio, resized to the view's size."""

    scale: tuple[Fraction, Fraction] = (0.2, 1.0)
    """Range of the box's area, as a fraction of the image's. MoCo v2's and SimSiam's; SimCLR has [0.08, 1]."""
    ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
    """Range of the box's width / height."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How the box is resized. The JAX and TensorFlow codes of BYOL and SimCLR take bicubic."""

    def __post_init__(self) -> None:
        check_ascending("crop.scale", self.scale)
        check_ascending("crop.ratio", self.ratio)
        if self.scale[1] <= 0:
            raise ValueError(f"crop.scale must reach above 0; received {list(self.scale)}")


@section
class JitterConfig:
    """Colour jitter: brightness, contrast, saturation and hue in an order drawn per image."""

    p: Probability = 0.8
    """Probability that an image's colours are changed."""
    strength: Factor = 1.0
    """Multiplies brightness, contrast, saturation and hue: the s of SimCLR, Appendix A."""
    brightness: Factor = 0.4
    """Brightness is multiplied by a factor from [1 - x, 1 + x]."""
    contrast: Factor = 0.4
    """Contrast is multiplied by a factor from [1 - x, 1 + x]."""
    saturation: Factor = 0.4
    """Saturation is multiplied by a factor from [1 - x, 1 + x]."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Hue is turned by [-x, x] of the colour circle."""
    operations: Literal["torchvision", "simclr", "byol"] = "torchvision"
    """Whose brightness, contrast and saturation: torchvision's, or those of SimCLR's or BYOL's official code, see
    ssl_zoo/augment/tensorflow_color.py."""

    def __post_init__(self) -> None:
        if self.hue * self.strength > 0.5:
            raise ValueError(
                f"jitter.hue * jitter.strength must be at most 0.5 (half the colour circle); "
                f"received {self.hue} * {self.strength}; lower one of them"
            )


@section
class BlurConfig:
    """Gaussian blur with a standard deviation drawn per image."""

    p: Probability = 0.5
    """Probability that an image is blurred."""
    sigma: tuple[Sigma, Sigma] = (0.1, 2.0)
    """Range of the standard deviation, in pixels."""
    kernel: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Side of the kernel, as a fraction of the view's. 0.1 is SimCLR's and BYOL's: 23 pixels of 224, and 9 of 96,
    which cuts a sigma of 2 off at 2 sigma. Pillow's blur, of the PyTorch codes, is not: 0.24 of 96 is 23 pixels."""
    padding: Literal["reflect", "zeros"] = "reflect"
    """Padding beyond the image's borders. SimCLR's and BYOL's codes have zeros."""

    def __post_init__(self) -> None:
        check_ascending("blur.sigma", self.sigma)


@section
class SolarizeConfig:
    """Solarization: every value at or above the threshold is inverted."""

    p: Probability = 0.0
    """Probability that an image is solarized. BYOL has 0.2 for its second view."""
    threshold: Fraction = 0.5
    """Pixel value in [0, 1] from which on values are inverted."""


@section
class AffineConfig:
    """Rotation, translation, scaling and shear about the centre, for data without a natural crop."""

    p: Probability = 0.0
    """Probability that an image is moved."""
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotation by an angle from [-x, x] degrees."""
    translate: Fraction = 0.0
    """Largest translation in each direction, as a fraction of the side."""
    scale: tuple[Ratio, Ratio] = (1.0, 1.0)
    """Range of the factor by which the image is enlarged."""
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Shear along x and along y by an angle from [-x, x] degrees."""

    def __post_init__(self) -> None:
        check_ascending("affine.scale", self.scale)


@section
class NoiseConfig:
    """Gaussian noise on every value, clamped to [0, 1]."""

    p: Probability = 0.0
    """Probability that an image gets noise."""
    std: Fraction = 0.1
    """Standard deviation, of pixels in [0, 1]."""


@section
class CutoutConfig:
    """A box of random area, aspect ratio and position, set to the data's mean."""

    p: Probability = 0.0
    """Probability that an image loses a box."""
    scale: tuple[Fraction, Fraction] = (0.02, 0.33)
    """Range of the box's area, as a fraction of the view's."""
    ratio: tuple[Ratio, Ratio] = (0.3, 3.3)
    """Range of the box's width / height."""

    def __post_init__(self) -> None:
        check_ascending("cutout.scale", self.scale)
        check_ascending("cutout.ratio", self.ratio)


@section
class ViewConfig:
    """Settings of a view: its operations, in the order of these keys. An operation of probability 0 is skipped."""

    size: Side = 224
    """Side of the square view, in pixels."""
    crop: CropConfig = CropConfig()
    flip: Probability = 0.5
    """Probability of a horizontal flip."""
    autoaugment: Literal["none", "imagenet", "cifar10"] = "none"
    """AutoAugment's policy (https://arxiv.org/abs/1805.09501), torchvision's: to each image one of 25 pairs of
    operations, on pixels of 8 bits. Of images of 1 or 3 channels."""
    affine: AffineConfig = AffineConfig()
    rotate: Probability = 0.0
    """Probability of a rotation by 90, 180 or 270 degrees, each equally likely."""
    jitter: JitterConfig = JitterConfig()
    grayscale: Probability = 0.2
    """Probability that an image loses its colours."""
    blur: BlurConfig = BlurConfig()
    noise: NoiseConfig = NoiseConfig()
    sobel: Probability = 0.0
    """Probability that the edges, sqrt(gx^2 + gy^2) per channel, replace the image."""
    solarize: SolarizeConfig = SolarizeConfig()
    cutout: CutoutConfig = CutoutConfig()

    @property
    def needs_colours(self) -> tuple[str, ...]:
        """The keys, relative to the view's, of what is on and computes with red, green and blue."""
        jitter = self.jitter
        strength = jitter.strength if jitter.p > 0 else 0.0
        on = {
            "autoaugment": self.autoaugment != "none",
            "jitter.saturation": jitter.saturation * strength,
            "jitter.hue": jitter.hue * strength,
            "grayscale": self.grayscale,
        }
        return tuple(key for key, value in on.items() if value > 0)

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each operation after the crop that has one, in their order."""
        others = ("size", "crop", "autoaugment")
        names = [field.name for field in dataclasses.fields(ViewConfig) if field.name not in others]
        return {name: getattr(getattr(self, name), "p", getattr(self, name)) for name in names}


@section
class NamedViewConfig(ViewConfig):
    """A view under `augment.views.NAME`: keys that are not set there are as in `augment`."""

    count: Annotated[int, Field(ge=1, le=64)] = 1
    """How many views of an image are made in this way."""


@section
class AugmentConfig(ViewConfig):
    """The views of an image. The keys of a view hold for all views; `views` has the differences, by name."""

    views: dict[str, NamedViewConfig] = Field(default_factory=dict)
    """Views by name, each with the keys in which it differs. Without any: two views alike, one for supervised."""

    def __post_init__(self) -> None:
        total = sum(view.count for view in self.views.values())
        if total < 1:
            raise ValueError(f"augment.views must make at least 1 view of an image; received {total}")

    @property
    def flat(self) -> tuple[ViewConfig, ...]:
        """One entry per view, in order."""
        return tuple(view for view in self.views.values() for _ in range(view.count))
