"""Batched augmentation: two or more views from one uint8 batch, on the device that the batch is on."""

from ssl_zoo.augment.affine import affine
from ssl_zoo.augment.blur import gaussian_blur
from ssl_zoo.augment.boxes import sample_boxes
from ssl_zoo.augment.color import brightness, contrast, grayscale, saturation, solarize
from ssl_zoo.augment.crop import resized_crop
from ssl_zoo.augment.hue import hue
from ssl_zoo.augment.jitter import color_jitter
from ssl_zoo.augment.pixels import normalize, to_float
from ssl_zoo.augment.views import Augment

__all__ = [
    "Augment",
    "affine",
    "brightness",
    "color_jitter",
    "contrast",
    "gaussian_blur",
    "grayscale",
    "hue",
    "normalize",
    "resized_crop",
    "sample_boxes",
    "saturation",
    "solarize",
    "to_float",
]
