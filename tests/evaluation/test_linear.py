"""The linear protocol: SimSiam's first steps by hand, a backbone that stays as it is, and what it tells apart."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from helpers.classifier_tasks import (
    CLASSES,
    WHOLE,
    Pixels,
    make_task,
    normalised,
    protocol,
    shuffled,
    squares,
)
from torch.nn.functional import cross_entropy

from ssl_zoo.data import MemorySplit
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.protocols import linear
from ssl_zoo.evaluation.recipe import Recipe
from ssl_zoo.evaluation.supervised import Classifier, train_classifier

SIMSIAM, MOCO, SIMCLR = protocol("linear"), protocol("linear_moco"), protocol("linear_simclr")
TRAIN, TEST = squares(10, 0), squares(8, 1)


def gradients(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Of the mean cross-entropy, in closed form: (softmax - onehot) / n."""
    error = torch.softmax(x @ w.T + b, dim=1)
    error[torch.arange(len(y)), y] -= 1
    return error.T @ x / len(y), error.mean(dim=0)


@pytest.mark.parametrize("name", ["linear", "linear_fair"])
def test_simsiam_s_first_steps_are_those_of_larc(name: str) -> None:
    """apex's LARC, trust 0.001, clip False, written out: on the bias as well, but where it is 0."""
    epochs, lr = 3, {"linear": 0.02, "linear_fair": 0.1}[name]
    task = make_task(
        protocol(name), TRAIN, TEST, backbone=Pixels().eval(), **WHOLE, epochs=epochs, batch_size=60
    )
    model = Classifier(task, CLASSES, 7, frozen=True)
    head = model.heads[0]
    assert isinstance(head, torch.nn.Linear)
    weights = [head.weight.detach().double(), head.bias.detach().double()]
    momenta = [torch.zeros_like(w) for w in weights]
    adapted = []
    x, y = normalised(TRAIN).flatten(1), TRAIN.labels
    assert y is not None
    for epoch in range(epochs):
        rate = lr * 60 / 256 * (1 + math.cos(math.pi * epoch / epochs)) / 2
        for i, grad in enumerate(gradients(x, y, weights[0], weights[1])):
            if weights[i].norm() > 0 and grad.norm() > 0:
                grad = grad * 0.001 * weights[i].norm() / (grad.norm() + 1e-8)
                adapted.append((epoch, i))
            momenta[i] = 0.9 * momenta[i] + grad
            weights[i] = weights[i] - rate * momenta[i]
    assert adapted == [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)]  # the bias's first step is not
    train_classifier(Recipe(task, task.settings, 60), model, TRAIN, 7)
    torch.testing.assert_close(head.weight.detach().double(), weights[0], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(head.bias.detach().double(), weights[1], rtol=1e-4, atol=1e-8)


def test_simclr_s_nesterov_is_torch_s() -> None:
    task = make_task(SIMCLR, TRAIN, TEST, backbone=Pixels().eval(), **WHOLE, epochs=4, batch_size=60)
    model = Classifier(task, CLASSES, 7, frozen=True)
    head = model.heads[0]
    w, b = (p.detach().double().requires_grad_() for p in head.parameters())
    reference = torch.optim.SGD([w, b], lr=0.1 * 60 / 256, momentum=0.9, nesterov=True)
    for step in range(4):
        reference.param_groups[0]["lr"] = 0.1 * 60 / 256 * (1 + math.cos(math.pi * step / 4)) / 2
        reference.zero_grad()
        cross_entropy(normalised(TRAIN).flatten(1) @ w.T + b, TRAIN.labels).backward()  # type: ignore[arg-type]
        reference.step()
    train_classifier(Recipe(task, task.settings, 60), model, TRAIN, 7)
    found = [p.detach().double() for p in head.parameters()]
    torch.testing.assert_close(found, [w.detach(), b.detach()], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_backbone_stays_as_it_is_to_the_bit(precision: str) -> None:
    task = make_task(MOCO, TRAIN, TEST, epochs=2, batch_size=16, precision=precision)
    model = Classifier(task, CLASSES, 0, frozen=True)
    before = {name: value.clone() for name, value in task.subject.backbone.state_dict().items()}
    assert any("running_var" in name for name in before)
    start = model.heads[0].weight.clone()
    train_classifier(Recipe(task, task.settings, 60), model, TRAIN, 0)
    assert not torch.equal(model.heads[0].weight, start)  # type: ignore[arg-type]
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.slow
def test_colours_are_told_apart_and_shuffled_labels_are_not() -> None:
    changes: dict[str, Any] = {"epochs": 20, "batch_size": 20}
    found = linear.run(make_task(MOCO, TRAIN, TEST, **changes))
    assert found.top1 is not None
    assert found.top1 > 0.95
    assert found.rows[0]["top5"] >= found.top1
    chance = linear.run(make_task(MOCO, shuffled(squares(30, 0)), shuffled(squares(30, 1), 1), **changes))
    assert chance.top1 is not None
    assert abs(chance.top1 - 1 / CLASSES) < 0.12  # 4 standard deviations of 180 guesses


def test_the_same_seed_gives_the_same_figures() -> None:
    first, again, other = (
        linear.run(make_task(MOCO, TRAIN, TEST, epochs=2, batch_size=20, seed=seed)) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.details["train_loss_last_epoch"] != other.details["train_loss_last_epoch"]


@pytest.mark.slow
def test_a_rate_is_chosen_on_training_images_alone() -> None:
    changes: dict[str, Any] = {"lr_candidates": [1e-9, 0.05], "holdout": 0.2, "epochs": 10, "batch_size": 20}
    found = linear.run(make_task(protocol("linear_byol"), TRAIN, TEST, **changes))
    choice = found.details["choice"]
    assert choice["lr"] == found.rows[0]["lr"] == 0.05
    assert choice["held_out"] == 2 * CLASSES
    assert [row["lr"] for row in choice["tried"]] == [1e-9, 0.05]
    assert choice["tried"][0]["held_out_top1"] < choice["tried"][1]["held_out_top1"]
    assert "held out" in found.in_words
    other = linear.run(make_task(protocol("linear_byol"), TRAIN, shuffled(TEST), **changes))
    assert other.details["choice"] == choice  # whatever the test images are


def test_a_class_of_one_image_is_trained_on_while_the_rate_is_chosen() -> None:
    """It was held out whole: the classifiers compared had then never seen its class."""
    labels = TRAIN.labels
    assert labels is not None
    rest = (labels != 0).nonzero().flatten()
    train = TRAIN.select(torch.cat([(labels == 0).nonzero().flatten()[:1], rest]))
    task = make_task(
        protocol("linear_byol"), train, TEST, lr_candidates=[0.05], holdout=0.2, epochs=1, batch_size=20
    )
    kept, held = linear._parts(task)
    assert train.labels is not None
    assert torch.bincount(train.labels[held], minlength=CLASSES).tolist() == [0, *[2] * (CLASSES - 1)]
    assert 0 in kept.tolist()
    assert linear.run(task).details["choice"]["held_out"] == 2 * (CLASSES - 1)


def test_words_say_the_batch_that_was_used() -> None:
    found = linear.run(make_task(SIMSIAM, TRAIN, TEST, epochs=2))
    assert found.rows[0]["batch"] == 60
    assert found.rows[0]["rate"] == pytest.approx(0.02 * 60 / 256)
    for part in (
        "LARS, momentum 0.9", "rate 0.0046875 = 0.02 * 60 / 256", "cosine to 0 per epoch", "weight decay 0",
        "batch 60 (the recipe's 4096 are more than there are)", "2 epochs = 2 steps on 60 images",
        "crops of 8 to 100 % of the area, 50 % mirrored", "fp32 on cpu", "after the last epoch",
        "the training loss went from",
    ):  # fmt: skip
        assert part in found.in_words
    assert found.details["optimizer_steps"] == 2


def test_a_divergence_is_a_result() -> None:
    said: list[str] = []
    task = make_task(MOCO, TRAIN, TEST, optimizer={"lr": 1e38, "lr_scaling": "none"}, epochs=5, batch_size=20)
    found = linear.run(replace(task, log=said.append))
    assert found.top1 is None
    assert found.rows[0]["top1"] is None
    assert "diverged" in found.in_words
    assert "diverged" in said[-1]


def test_progress_is_said_a_few_times() -> None:
    said: list[str] = []
    task = make_task(MOCO, TRAIN, TEST, epochs=25)
    linear.run(replace(task, log=said.append))
    assert [line.split(" ·")[0] for line in said] == [f"epoch {n}/25" for n in (*range(3, 25, 3), 25)]
    assert all(line.endswith("s left") for line in said)


def test_data_that_cannot_be_classified_is_refused() -> None:
    assert TRAIN.labels is not None
    one = MemorySplit(TRAIN.images, torch.zeros_like(TRAIN.labels))
    with pytest.raises(UserError, match="2 classes"):
        linear.check(make_task(MOCO, one, TEST))
    task = make_task(MOCO, TRAIN, TEST)
    assert task.data is not None
    with pytest.raises(UserError, match="labels"):
        linear.check(replace(task, data=replace(task.data, labelled=None, classes=None)))
    with pytest.raises(UserError, match="received 6 images, each of another class"):
        linear.check(make_task(protocol("linear_byol"), squares(1, 0), TEST))
