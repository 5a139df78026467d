"""Logistic regression on a few labels: so many per class, and fractions of each class's labels.

Fractions of 1 and 10 % of each class are those of SimCLR's semi-supervised protocol [0, Sec. 6], which fine-tunes
the backbone; here it stays frozen, and several draws show how much the choice of the labels decides. See
`ssl_zoo.monitors.probe` for the classifier and the draws, which are those of the probe at the end of a run.

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch

from ssl_zoo.evaluation.task import Outcome, Task, finite_or_none
from ssl_zoo.monitors.probe import ProbeResult, draw_labels, few_label_top1

__all__ = ["check", "run"]

HEADLINE = 10  # labels per class


class _Amount(NamedTuple):
    """An amount of labels: so many per class, or a fraction of each class."""

    per_class: int | None
    fraction: float | None

    def __str__(self) -> str:
        return (
            f"{self.per_class} per class"
            if self.fraction is None
            else f"{100 * self.fraction:g} % of each class"
        )


def check(task: Task) -> None:
    """Refuses data without labels.

    Raises:
        UserError: as `Task.labelled_splits`.
    """
    task.labelled_splits()


def run(task: Task) -> Outcome:
    """Fits a classifier per amount of labels and draw; the headline is 10 per class, or the last amount listed."""
    settings, seed, data = task.settings, task.config.seed, task.features
    amounts = list(
        dict.fromkeys(
            [_Amount(number, None) for number in settings.labels_per_class]
            + [_Amount(None, fraction) for fraction in settings.label_fraction]
        )
    )
    labels = data.train_labels.cpu().numpy()
    rows, results = [], {}
    for amount in amounts:
        [picks] = draw_labels(labels, amount.per_class, 1, seed, amount.fraction)
        draws = 1 if len(picks) == len(labels) else settings.draws
        task.log(f"{amount}: {len(picks)} labels, {draws} draw{'s' if draws > 1 else ''}")
        result = few_label_top1(*data, amount.per_class, draws, seed, amount.fraction)
        results[amount] = result
        rows.append(_row(amount, len(picks), draws, result))
    headline = _headline(amounts)
    smallest = int(torch.unique(data.train_labels, return_counts=True)[1].min())
    draws_of = {str(amount): list(result.draws) for amount, result in results.items()}
    finite = not math.isnan(results[headline].mean)
    return Outcome(
        in_words=_in_words(settings.draws, rows, headline, smallest, amounts)
        + ("" if finite else "; not measured, as a feature is not finite"),
        top1=finite_or_none(results[headline].mean),
        top1_std=finite_or_none(results[headline].std),
        rows=tuple(rows),
        details={"headline": str(headline), "draws": draws_of, "smallest_class": smallest},
    )


def _headline(amounts: list[_Amount]) -> _Amount:
    per_class = [amount for amount in amounts if amount.per_class is not None]
    usual = [amount for amount in per_class if amount.per_class == HEADLINE]
    return (usual or per_class or amounts)[-1]


def _row(amount: _Amount, images: int, draws: int, result: ProbeResult) -> dict[str, Any]:
    return {
        "labels": str(amount),
        "images": images,
        "draws": draws,
        "top1": finite_or_none(result.mean),
        "top1_std": finite_or_none(result.std),
    }


def _in_words(
    draws: int, rows: list[dict[str, Any]], headline: _Amount, smallest: int, amounts: list[_Amount]
) -> str:
    description = (
        "logistic regression (L2, C=1) on frozen standardised features, labels drawn class by class, a fraction giving "
        f"at least one per class; mean and standard deviation (n - 1) over {draws} draw{'s' if draws > 1 else ''}"
    )
    whole = [row["labels"] for row in rows if row["draws"] == 1]
    if whole and draws > 1:
        description += f", one where all labels are drawn ({', '.join(whole)})"
    if any((amount.per_class or 0) > smallest for amount in amounts):
        description += f"; a class with fewer gives all it has (the smallest {smallest})"
    rule = "10 per class, else the last per-class number, else the last fraction"
    return f"{description}; the headline is {headline}, by the rule: {rule}"
