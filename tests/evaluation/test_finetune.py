"""Fine-tuning: the first steps against a plain loop, what changes, and the draws of the labels."""

from __future__ import annotations

import copy
import math
import statistics
from typing import Any

import pytest
import torch
from helpers.classifier_tasks import CLASSES, WHOLE, make_task, normalised, protocol, squares
from torch.nn.functional import cross_entropy

from ssl_zoo.data import MemorySplit
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.protocols import finetune
from ssl_zoo.evaluation.recipe import Recipe
from ssl_zoo.evaluation.supervised import Classifier, train_classifier

SIMCLR = protocol("finetune")
TRAIN, TEST = squares(20, 0), squares(8, 1)


def test_the_first_steps_against_a_plain_loop() -> None:
    """BN in training mode, backbone and classifier at their own rates, Nesterov, cosine."""
    train = squares(4, 0)
    task = make_task(SIMCLR, train, TEST, **WHOLE, epochs=3, batch_size=24)
    model = Classifier(task, CLASSES, 2, frozen=False)
    backbone = copy.deepcopy(task.subject.backbone).double().train()
    head = copy.deepcopy(model.heads[0]).double()
    rate = 0.05 * 24 / 256
    groups = [{"params": backbone.parameters()}, {"params": head.parameters()}]
    reference = torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True)
    for step in range(3):
        factor = rate * (1 + math.cos(math.pi * step / 3)) / 2
        reference.param_groups[0]["lr"], reference.param_groups[1]["lr"] = factor, 10 * factor
        reference.zero_grad()
        cross_entropy(head(backbone(normalised(train))), train.labels).backward()  # type: ignore[arg-type]
        reference.step()
    train_classifier(Recipe(task, task.settings, 24), model, train, 2, multipliers=[(model.heads, 10.0)])
    torch.testing.assert_close(model.heads[0].weight.double(), head.weight, rtol=1e-3, atol=1e-5)
    found = model.backbone.state_dict()
    for name, value in backbone.state_dict().items():
        if "num_batches" in name:
            assert int(found[name]) == int(value) == 3
        else:
            torch.testing.assert_close(found[name].double(), value, rtol=1e-3, atol=1e-5, msg=name)


def test_backbone_and_statistics_change_and_the_subject_does_not() -> None:
    task = make_task(SIMCLR, TRAIN, TEST, epochs=1)
    before = {name: value.clone() for name, value in task.subject.backbone.state_dict().items()}
    model = Classifier(task, CLASSES, 0, frozen=False)
    train_classifier(Recipe(task, task.settings, len(TRAIN)), model, TRAIN, 0)
    changed = {
        name for name, value in model.backbone.state_dict().items() if not torch.equal(value, before[name])
    }
    assert {"conv1.weight", "bn1.running_mean", "bn1.running_var", "bn1.weight"} <= changed
    finetune.run(task)
    assert all(torch.equal(value, before[name]) for name, value in task.subject.backbone.state_dict().items())


@pytest.mark.slow
def test_all_labels_learn_colours() -> None:
    found = finetune.run(make_task(SIMCLR, TRAIN, TEST, epochs=15, batch_size=20))
    assert found.top1 is not None
    assert found.top1 > 0.95
    assert found.top1_std is None
    assert found.rows[0]["images"] == 120
    assert "all labels" in found.in_words


def test_a_share_of_the_labels_in_several_draws() -> None:
    changes: dict[str, Any] = {"epochs": 2, "batch_size": 8, "draws": 3}
    found = finetune.run(make_task(protocol("finetune_10percent"), TRAIN, TEST, **changes))
    assert [(row["label_fraction"], row["images"], row["draw"]) for row in found.rows] == [
        (0.1, 12, d) for d in range(3)
    ]
    tops = [row["top1"] for row in found.rows]
    assert found.top1 == pytest.approx(statistics.fmean(tops))
    assert found.top1_std == pytest.approx(statistics.stdev(tops))
    losses = [draw["last_epoch"] for draw in found.details["train_loss"]]
    assert len(set(losses)) == 3  # each draw by itself
    assert "10 % of each class's labels" in found.in_words
    assert "mean over 3 draws" in found.in_words


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again, other = (
        finetune.run(make_task(SIMCLR, TRAIN, TEST, epochs=1, batch_size=40, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.details["train_loss"] != other.details["train_loss"]


def test_draws_of_all_labels_are_seeds() -> None:
    found = finetune.run(make_task(SIMCLR, squares(4, 0), TEST, epochs=1, draws=2))
    first, second = (draw["first_epoch"] for draw in found.details["train_loss"])
    assert first != second
    assert "mean over 2 seeds" in found.in_words


def test_one_diverged_draw_leaves_no_mean() -> None:
    optimizer = {"lr": 1e38, "lr_scaling": "none"}
    found = finetune.run(make_task(SIMCLR, squares(4, 0), TEST, optimizer=optimizer, epochs=3, draws=2))
    assert found.top1 is None
    assert found.top1_std is None
    assert [row["top1"] for row in found.rows] == [None, None]
    assert "diverged in 2 of 2" in found.in_words
    assert found.details["train_loss"][0]["last_epoch"] is None


def test_a_single_class_is_refused() -> None:
    assert TRAIN.labels is not None
    with pytest.raises(UserError, match="2 classes"):
        finetune.check(make_task(SIMCLR, MemorySplit(TRAIN.images, torch.ones_like(TRAIN.labels)), TEST))
