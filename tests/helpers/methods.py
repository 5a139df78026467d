"""Small methods for tests: a linear backbone, float64, exact."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import torch
from torch import Tensor, nn

from ssl_zoo.config.compose import compose
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import (
    AffineConfig,
    BlurConfig,
    RunConfig,
    SolarizeConfig,
    ViewConfig,
)
from ssl_zoo.equation import Siamese
from ssl_zoo.parts.schedule import Progress

SMALL = (
    "method.projector.hidden_dim=16",
    "method.projector.output_dim=8",
    "method.predictor.hidden_dim=6",
    "method.queue.size=10",
    "method.joint_batch=false",  # each view by itself, so that a test can make z of one view
)


# How far views may lie apart that are equal to rounding. Crop and blur are four products of weights that sum to 1 with
# values up to 1: with up to 24 terms each 4 * 24 * 2^-24 = 6e-6. Colour jitter stretches that at most 1.8^3 = 6 times
# and normalisation by std=0.2 five times: 1.7e-4. Another draw changes most values of an image by a hundred times that.
ROUNDING = 2e-4

DEFAULTS = ViewConfig()


def with_probability(operation: str, p: float) -> Any:
    """The value of a view's key that gives an operation this probability."""
    default = getattr(DEFAULTS, operation)
    return p if isinstance(default, float) else dataclasses.replace(default, p=p)


# Views in which every operation of the schema has its part, and in which none has.
EVERY_OPERATION: dict[str, Any] = {
    name: with_probability(name, p or 0.5) for name, p in DEFAULTS.probabilities.items()
}
NO_OPERATION: dict[str, Any] = {name: with_probability(name, 0.0) for name in DEFAULTS.probabilities}
_VIEW = {
    "affine": AffineConfig(p=0.5, degrees=30.0, translate=0.1),
    "rotate": 0.6,
    "blur": BlurConfig(p=0.5, kernel=0.3),
    "sobel": 0.3,
    "solarize": SolarizeConfig(p=0.3),
}
VIEW = ViewConfig(size=24, **{**EVERY_OPERATION, **_VIEW})


class Flat(nn.Module):
    """A backbone that a test sees through: images (N, 1, 4, 4) to features (N, 12) by one linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(16, 12)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.linear(x.flatten(1))
        return features


@functools.cache
def composed(name: str, *overrides: str) -> RunConfig:
    """The paper's settings but for the widths; composed once, which takes longer than the tests."""
    return compose([f"method={name}", "data=cifar10", "recipe=null", *SMALL, *overrides])


def build(name: str, *overrides: str, seed: int = 0) -> Siamese:
    """A method on `Flat` with its paper's settings but for the widths, in training mode."""
    config = composed(name, *overrides)
    torch.manual_seed(seed)
    method = METHODS.get(name).load()(config.method, Flat(), 12)
    assert isinstance(method, Siamese)
    return method


def build_joint_embedding(*overrides: str, seed: int = 0) -> Any:
    """The method of lightly's losses on `Flat`, small, in training mode."""
    small = ("method.projector.hidden_dim=16", "method.projector.output_dim=8")
    config = compose(["method=joint_embedding", "data=cifar10", "recipe=null", *small, *overrides])
    torch.manual_seed(seed)
    return METHODS.get("joint_embedding").load()(config.method, Flat(), 12)


def build_supervised(*overrides: str, seed: int = 0) -> Any:
    """The supervised method on `Flat`, in training mode and without labels yet."""
    config = compose(["method=supervised", "data=cifar10", "recipe=null", *overrides])
    torch.manual_seed(seed)
    return METHODS.get("supervised").load()(config.method, Flat(), 12)


def make_views(count: int = 2, images: int = 6, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(images, 1, 4, 4, generator=generator) for _ in range(count)]


def index(images: int = 6) -> Tensor:
    return torch.arange(images)


def progress(step: int = 0, total: int = 100, per_epoch: int = 10) -> Progress:
    return Progress(step, total, per_epoch)


def gradients(module: nn.Module) -> dict[str, Any]:
    return {name: parameter.grad for name, parameter in module.named_parameters()}
