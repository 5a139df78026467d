"""The small setting in which a method is checked: its own YAML, with a tiny backbone, eight images and narrow heads."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig, SiameseConfig
from ssl_zoo.method import Method
from ssl_zoo.testing.train_steps import Batch

__all__ = ["BATCH", "IMAGES", "Setting", "kept_generators", "make_views"]

IMAGES, BATCH, CLASSES = 24, 8, 3
PLAIN_FEATURES = 24
TINY = (
    "data=digits",
    f"data.limit={IMAGES}",
    "backbone.name=test_resnet",
    "augment.size=16",
    f"batch_size={BATCH}",
    "epochs=2",
    "precision=fp32",
    "optimizer.warmup_epochs=0",
    "method.projector.hidden_dim=32",
    "method.projector.output_dim=16",
    "monitor.baselines=false",
    "trainer.accelerator=cpu",
    "trainer.loggers=[]",
    "trainer.memory_check=false",
    "trainer.progress=false",
)
TINY_GRID = ("method.predictor.hidden_dim=16", "method.queue.size=32", "method.memory.negatives=16")


@dataclass(frozen=True)
class Setting:
    """A method in the small setting.

    Attributes:
        name: of the method.
        overrides: of the user, over the small setting's.
    """

    name: str
    overrides: tuple[str, ...] = ()

    @cached_property
    def config(self) -> RunConfig:
        """The configuration. Raises UserError where it cannot be composed."""
        return self.compose()

    def compose(self, *more: str) -> RunConfig:
        """Composes the configuration with further overrides."""
        chosen = f"method={self.name}"
        config = compose([chosen, *TINY, *self.overrides])
        grid: tuple[str, ...] = ()
        if isinstance(config.method, SiameseConfig):
            prototypes = ("method.prototypes.number=12",) if config.method.prototypes.number else ()
            grid = (*TINY_GRID, *prototypes)
        return compose([chosen, *TINY, *grid, *self.overrides, *more])

    def build(self, config: RunConfig | None = None) -> Method:
        """Builds the method as its seed makes it, in training mode, with state for `IMAGES` images."""
        config = self.config if config is None else config
        method, _ = build(config, config.data.channels)
        return _prepared(method)

    def build_plain(self, config: RunConfig) -> Method:
        """Builds the method on a backbone of one linear layer, without BN: to the point, and quick."""
        torch.manual_seed(config.seed)
        side = 4
        backbone = nn.Sequential(
            nn.AdaptiveAvgPool2d(side),
            nn.Flatten(),
            nn.Linear(side**2 * config.data.channels, PLAIN_FEATURES),
        )
        method: Method = METHODS.get(config.method.name).load()(config.method, backbone, PLAIN_FEATURES)
        return _prepared(method)

    def batches(self, count: int) -> list[Batch]:
        """Returns batches of random views, each (N, C, size, size), with the images' positions (N,)."""
        sizes = [view.size for view in self.config.views]
        return [
            Batch(make_views(sizes, self.config.data.channels, seed), _index(seed)) for seed in range(count)
        ]


def make_views(sizes: Sequence[int], channels: int, seed: int) -> list[torch.Tensor]:
    """Returns a view (BATCH, C, size, size) per size: an image's values, each with noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(BATCH, channels, 1, 1, generator=generator)
    return [image + torch.randn(BATCH, channels, size, size, generator=generator) for size in sizes]


def _prepared(method: Method) -> Method:
    """Returns the method with state for `IMAGES` images and, if it asks for them, their labels."""
    method.allocate(IMAGES)
    if method.needs_labels:
        method.take_labels(torch.arange(IMAGES) % CLASSES, CLASSES)
    return method.train()


def _index(seed: int) -> torch.Tensor:
    return torch.randperm(IMAGES, generator=torch.Generator().manual_seed(seed))[:BATCH]


@contextmanager
def kept_generators() -> Iterator[None]:
    """Gives the generators of torch, NumPy and Python back as they were, and torch its threads."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002 (methods may draw from it)
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        torch.set_num_threads(threads)
