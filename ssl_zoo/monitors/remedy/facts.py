"""Facts that a cause may look at besides the configuration, and the answer that it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.verdict import VerdictName

__all__ = ["Cause", "Facts", "Remedy", "explains", "leaf", "step_images", "unlike_reference"]


@dataclass(frozen=True)
class Remedy:
    """Likely cause of a verdict, and one thing to try."""

    name: str  # of the cause, in a few words
    cause: str  # a sentence with its evidence
    action: str  # the override to try, or what to look at


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Figures of a run that is not healthy; None is what is not known."""

    verdict: VerdictName
    epochs: int  # trained
    steps: int  # optimizer steps done
    images: int  # in the training set
    peak_lr: float  # the optimizer's highest rate
    losses: tuple[float, ...] = ()  # mean of each epoch
    classes: int | None = None
    precision: str = "fp32"
    initial: Mapping[str, float] | None = None  # metrics of the untrained encoder's embeddings
    pixel_spread: float | None = (
        None  # standard deviation over images of a normalised pixel, mean over pixels
    )
    pixel_mean: float | None = None  # mean of the normalised pixels
    single_pixels: float | None = None  # fraction of the spatial convolutions that get maps of 1 x 1
    small_stem: bool = True  # whether the backbone has one: a ResNet
    unreadable: float = 0.0  # fraction of the training images that were left out
    reference: RunConfig | None = None  # the same method and data without overrides
    reference_peak_lr: float | None = None  # its highest rate, at its own batch

    @property
    def loss(self) -> float | None:
        """The last epoch's loss."""
        return self.losses[-1] if self.losses else None


Cause = Callable[[RunConfig, Facts], Remedy | None]


def explains(*verdicts: VerdictName) -> Callable[[Cause], Cause]:
    """Decorator: the cause is asked for these verdicts alone."""

    def decorate(cause: Cause) -> Cause:
        def asked(config: RunConfig, facts: Facts) -> Remedy | None:
            return cause(config, facts) if facts.verdict in verdicts else None

        asked.__name__, asked.__doc__ = cause.__name__, cause.__doc__
        return asked

    return decorate


def leaf(config: RunConfig | None, key: str) -> Any:
    """Returns the value of a key, None where a method of a plugin has no such key."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name, None)
    return value


def unlike_reference(config: RunConfig, facts: Facts, key: str) -> bool:
    """Whether a key differs from what the method itself prescribes, which is never blamed."""
    return facts.reference is None or leaf(facts.reference, key) != leaf(config, key)


def step_images(config: RunConfig) -> int:
    """Images of an optimizer step."""
    return config.batch_size * config.trainer.accumulate
