"""Weighted kNN on the backbone's features: each k with each temperature, from one search.

The test features are held, those of the labelled training set pass by: memory is that of the test set, whatever the
size of the other. The rule
that names the headline knows nothing of the accuracies; see `ssl_zoo.monitors.knn` for the equation.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.task import Outcome, Task, finite_or_none
from ssl_zoo.monitors.knn import Neighbours, usual_k

__all__ = ["check", "run"]

USUAL = (10, 20, 100, 200)


def check(task: Task) -> None:
    """Refuses data without labels, and a k above the number of labelled training images.

    Raises:
        UserError: either.
    """
    size = len(task.labelled_splits()[0])
    too_many = [k for k in _neighbour_counts(task) if k > size]
    if too_many:
        rest = [k for k in _neighbour_counts(task) if k <= size] or [max(1, size // 10)]
        raise UserError(
            f"knn.k must be at most the number of labelled training images, {size}; received {max(too_many)}; set "
            f"knn.k=[{','.join(map(str, rest))}] or null"
        )


def run(task: Task) -> Outcome:
    """Predicts each test image's class; the headline's k and temperature are those of the run, or the nearest."""
    settings, counts = task.settings, _neighbour_counts(task)
    temperatures = tuple(dict.fromkeys(settings.temperature))
    test, test_labels = _test(task)
    neighbours = Neighbours(test, max(counts), settings.chunk_size)
    for features, labels in _labelled(task):
        neighbours.add(features, labels)
    rows = []
    for k in counts:
        for temperature in temperatures:
            top1 = finite_or_none(neighbours.top1(test_labels, k, temperature))
            rows.append({"k": k, "temperature": temperature, "top1": top1})
    run_k, run_temperature = _of_the_run(task), task.subject.knn.temperature
    k = min(counts, key=lambda count: abs(count - run_k))
    temperature = min(temperatures, key=lambda tau: abs(tau - run_temperature))
    [headline] = [row["top1"] for row in rows if (row["k"], row["temperature"]) == (k, temperature)]
    listed = ", ".join(map(str, counts))
    which = f"the nearest to k={run_k} and T={run_temperature:g} in training"
    if (k, temperature) == (run_k, run_temperature):
        which = "those in training"
    rule = ""
    if settings.k is None:
        rule = " (the headline's, and those of 10, 20, 100 and 200 up to a tenth of it)"
    return Outcome(
        in_words=(
            f"weighted kNN by cosine similarity on frozen features, labelled training set of {neighbours.seen} images, "
            f"k={listed}{rule}; the headline is k={k}, T={temperature:g}, {which}"
            + ("" if neighbours.finite else "; not measured, as a feature is not finite")
        ),
        top1=headline,
        rows=tuple(rows),
        details={
            "k": k,
            "temperature": temperature,
            "labelled_images": neighbours.seen,
            "test_images": len(test),
        },
    )


def _neighbour_counts(task: Task) -> tuple[int, ...]:
    """Returns the numbers in `knn.k`, each once.

    null: the run's k, and those of `USUAL` that are at most a tenth of the labelled images.
    """
    if task.settings.k is not None:
        return tuple(dict.fromkeys(task.settings.k))
    tenth = len(task.labelled_splits()[0]) // 10
    return tuple(sorted({_of_the_run(task), *(k for k in USUAL if k <= tenth)}))


def _of_the_run(task: Task) -> int:
    """Returns the k that the encoder's run has, or would have, with so many labelled training images."""
    size = len(task.labelled_splits()[0])
    return min(task.subject.knn.k or usual_k(size), size)


def _test(task: Task) -> tuple[Tensor, Tensor]:
    """Returns test features (N, F) and labels (N,)."""
    if task.holds_features:
        return task.features.test, task.features.test_labels
    test = task.labelled_splits()[1]
    assert test.labels is not None
    return torch.cat(list(task.stream(test))), test.labels


def _labelled(task: Task) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields features (n, F) and labels (n,) of the training images, batch by batch."""
    if task.holds_features:
        yield task.features.train, task.features.train_labels
        return
    labelled = task.labelled_splits()[0]
    assert labelled.labels is not None
    start = 0
    for features in task.stream(labelled):
        yield features, labelled.labels[start : start + len(features)]
        start += len(features)
