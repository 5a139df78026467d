"""Blocks of targets that are distributions: their centre, and the temperature of their softmax."""

from __future__ import annotations

from ssl_zoo.config.schema.types import Fraction, Index, Positive, section


@section
class CenteringConfig:
    """The centre c of assignment=centering, a moving average of the targets' scores: https://arxiv.org/abs/2104.14294,
    Eq. 4."""

    decay: Fraction = 0.9
    """Fraction of itself that c keeps in each optimizer step. 1: c stays 0, as without centring."""


@section
class SharpeningConfig:
    """A temperature of the targets' softmax that is below the predictions': https://arxiv.org/abs/2104.14294, Section
    3.1; https://arxiv.org/abs/2107.09282, Eq. 4."""

    temperature: Positive | None = None
    """Temperature of the targets' softmax in cross_entropy and relational. null: `method.temperature`."""
    warmup_temperature: Positive | None = None
    """Where it starts, if `warmup_epochs` is set."""
    warmup_epochs: Index = 0
    """Epochs in which it goes from `warmup_temperature` to `temperature`, by equal steps once per epoch."""
