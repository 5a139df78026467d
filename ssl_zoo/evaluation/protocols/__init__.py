"""The protocols: what is done with an encoder, one kind in each file.

    @protocol("centroid", config=CentroidConfig)
    def centroid(task: Task) -> Outcome: ...

The settings of a kind are the keys `KIND.*` on the command line, and the block of that name in a YAML of
`configs/protocol/`; in the code they are `task.settings`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ssl_zoo.config.schema import DataConfig, extended
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.schema import (
    EvalConfig,
    FewLabelsConfig,
    FinetuneConfig,
    KnnConfig,
    LabelFreeConfig,
    LinearCachedConfig,
    LinearConfig,
)
from ssl_zoo.registry import Entry, Registry, resolve

__all__ = ["PROTOCOLS", "Kind", "eval_config", "protocol"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True)
class Kind(Entry):
    """A kind of protocol: its target takes a `Task` and returns an `Outcome`.

    Attributes:
        check: takes the task and refuses what could not be done, before anything costs time; None: nothing to refuse.
        trains: whether it trains through the backbone, and so in the training's precision.
        holds_features: whether it needs all features at once.
        reads_images: whether it reads those of `data=`; else it has folders of its own.
        reads_labels: whether it compares predictions with the labels of test images.
        title: of what is measured, for a card that lists what was not; None: it isn't missed.
    """

    check: Callable[[Any], None] | str | None = None
    trains: bool = False
    holds_features: bool = False
    reads_images: bool = True
    reads_labels: bool = True
    title: str | None = None

    def refuse(self, task: Any) -> None:
        """Calls `check`.

        Raises:
            UserError: the task cannot be done.
        """
        if self.check is not None:
            resolve(self.check)(task)


PROTOCOLS: Registry[Kind] = Registry("kind of protocol", "ssl_zoo.protocols", Kind)


def protocol(name: str, config: type[Any], **attributes: Any) -> Callable[[F], F]:
    """Function decorator: makes a protocol known as `kind: NAME` in a YAML of `configs/protocol/`.

    Args:
        name: the kind, which is also the name of its block of settings.
        config: the class of the settings; each key has a default.
        attributes: the other attributes of `Kind`.

    Raises:
        ValueError: another function has this name already.
    """
    return PROTOCOLS.register(name, config=config, **attributes)


def eval_config(data: type[DataConfig] = DataConfig) -> type[EvalConfig]:
    """Returns the class of an evaluation's settings: `EvalConfig` and the block of each kind that is registered."""
    return _eval_config((data, *((kind.name, kind.config) for kind in PROTOCOLS.registered())))


@functools.cache
def _eval_config(classes: tuple[Any, ...]) -> type[EvalConfig]:
    data, blocks = classes[0], dict(classes[1:])
    defaults = {name: config() for name, config in blocks.items()}
    return extended(EvalConfig, {"data": data | None, **blocks}, **defaults)


def _add(name: str, config: type[Any], **attributes: Any) -> None:
    """Adds a kind of this package, whose file is imported when it is used: it needs torch."""
    module = f"{__name__}.{name}"
    PROTOCOLS.add(
        Kind(name=name, target=f"{module}:run", check=f"{module}:check", config=config, **attributes)
    )


_add("knn", KnnConfig)
_add("linear", LinearConfig, trains=True, title="linear classification on all labels of augmented images")
_add("linear_cached", LinearCachedConfig, holds_features=True)
_add("few_labels", FewLabelsConfig, holds_features=True, title="few labels")
_add("finetune", FinetuneConfig, trains=True, title="fine-tuning")
_add("label_free", LabelFreeConfig, reads_labels=False)
_add("detection", DetectionConfig, trains=True, reads_images=False, title="detection")
