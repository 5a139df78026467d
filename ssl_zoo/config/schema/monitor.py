"""The block `monitor`: what is measured while and after training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema.types import Count, Positive, section


@section
class KnnMonitorConfig:
    """Weighted kNN classifier on the backbone's features: InstDisc, https://arxiv.org/abs/1805.01978, Section 3.4."""

    k: Count | None = None
    """Neighbours. null: 200, or a tenth of the labelled training images where that is less."""
    temperature: Positive = 0.1
    """Temperature T of a neighbour's weight, exp(cosine similarity / T)."""
    every_measurements: Count | None = None
    """Measured at every n-th measurement of the diagnostics. null: as often as takes about 2 % of the time."""


@section
class ProbeConfig:
    """Linear probe: logistic regression on a few labels, repeated over draws of the labels."""

    labels_per_class: Count = 10
    """Labelled training images of each class."""
    draws: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Draws of the labels; the accuracy is the mean over them."""


@section
class MonitorConfig:
    """Measurements during and after training."""

    every_epochs: Count = 5
    """Epochs between measurements. After the last epoch everything is measured."""
    samples: Annotated[int, Field(ge=2)] = 1024
    """Training images that the collapse diagnostics see, at most."""
    labelled_samples: Count = 20000
    """Labelled training images that kNN and the linear probe see, at most."""
    knn: KnnMonitorConfig = KnnMonitorConfig()
    probe: ProbeConfig = ProbeConfig()
    baselines: bool = True
    """Whether raw pixels and the untrained encoder are measured as well."""
    stop_on: Literal["collapsed"] | None = None
    """Event that ends the run early, with its result. collapsed: all embeddings are one vector after an epoch."""
