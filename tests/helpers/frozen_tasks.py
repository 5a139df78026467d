"""Evaluation tasks of features that are there already: no encoder, no images."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_zoo.config.schema import KnnMonitorConfig
from ssl_zoo.data import Split
from ssl_zoo.evaluation.protocols import eval_config
from ssl_zoo.evaluation.schema import FewLabelsConfig, KnnConfig, LinearCachedConfig
from ssl_zoo.evaluation.task import FrozenFeatures, Task

SECTIONS = {"knn": KnnConfig, "few_labels": FewLabelsConfig, "linear_cached": LinearCachedConfig}


class Rows(NamedTuple):
    """A split whose images are their own features."""

    features: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


class FrozenTask(Task):
    """A task that streams its rows, 13 at a time, and counts how often."""

    labelled: Rows
    test: Rows
    streamed = 0

    def labelled_splits(self) -> Any:
        return self.labelled, self.test

    def stream(self, split: Split) -> Iterator[Tensor]:
        self.streamed += 1
        for part in torch.split(split.features, 13):  # type: ignore[attr-defined]
            yield part.clone()


def task_of(
    kind: Any, data: tuple[Tensor, ...], seed: int = 0, extracted: bool = True, **settings: Any
) -> Task:
    """A task on (labelled features (M, F), its labels, test features (N, F), their labels), extracted or not."""
    config = eval_config()(
        protocol=kind, kind=kind, data=None, size=8, seed=seed, **{kind: SECTIONS[kind](**settings)}
    )
    subject = SimpleNamespace(knn=KnnMonitorConfig())
    task = FrozenTask(config, subject, None, None, None)  # type: ignore[arg-type]
    task.log = lambda line: None
    task.labelled, task.test = Rows(*data[:2]), Rows(*data[2:])
    if extracted:
        task.shared["features"] = FrozenFeatures(*data)
        task.holds_features = True
    return task


def blobs(M: int = 200, N: int = 90, F: int = 8, C: int = 4, noise: float = 2.0) -> tuple[Tensor, ...]:
    """Noisy classes: hard enough that settings change predictions."""
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(C, F, generator=g)
    y, y_test = torch.randint(C, (M,), generator=g), torch.randint(C, (N,), generator=g)
    return (
        centres[y] + noise * torch.randn(M, F, generator=g),
        y,
        centres[y_test] + noise * torch.randn(N, F, generator=g),
        y_test,
    )
