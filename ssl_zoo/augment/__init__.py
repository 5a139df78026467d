"""Batched augmentation: two or more views from one uint8 or uint16 batch, computed on its device."""

from ssl_zoo.augment.affine import affine
from ssl_zoo.augment.blur import gaussian_blur
from ssl_zoo.augment.boxes import sample_boxes
from ssl_zoo.augment.color import brightness, contrast, grayscale, saturation, solarize
from ssl_zoo.augment.crop import resized_crop
from ssl_zoo.augment.cutout import cutout, sample_cutouts
from ssl_zoo.augment.hue import hue
from ssl_zoo.augment.jitter import color_jitter
from ssl_zoo.augment.noise import gaussian_noise
from ssl_zoo.augment.pixels import normalize, to_float
from ssl_zoo.augment.rotate import rotate
from ssl_zoo.augment.sobel import sobel
from ssl_zoo.augment.views import Augment

__all__ = [
    "Augment",
    "affine",
    "brightness",
    "color_jitter",
    "contrast",
    "cutout",
    "gaussian_blur",
    "gaussian_noise",
    "grayscale",
    "hue",
    "normalize",
    "resized_crop",
    "rotate",
    "sample_boxes",
    "sample_cutouts",
    "saturation",
    "sobel",
    "solarize",
    "to_float",
]
