"""Backbones from timm, by name, without their classifier.

- [0] timm, https://github.com/huggingface/pytorch-image-models
"""

from ssl_zoo.backbone.attention import built_heads, check_num_heads, heads_of
from ssl_zoo.backbone.build import Backbone, build_backbone
from ssl_zoo.backbone.inspection import inspect_backbone, single_pixel_fraction
from ssl_zoo.backbone.small_images import Fit, fit_small

__all__ = [
    "Backbone",
    "Fit",
    "build_backbone",
    "built_heads",
    "check_num_heads",
    "fit_small",
    "heads_of",
    "inspect_backbone",
    "single_pixel_fraction",
]
