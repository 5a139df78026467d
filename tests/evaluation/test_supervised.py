"""The common training of classifiers: rates, picks, views and accuracies against independent computations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.classifier_tasks import (
    CLASSES,
    SIZE,
    WHOLE,
    Pixels,
    make_task,
    normalised,
    protocol,
    shuffled,
    squares,
)
from PIL import Image
from torch.nn.functional import cross_entropy

from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_names
from ssl_zoo.config.validate import validate
from ssl_zoo.data.file_split import FileSplit
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.recipe import Recipe, rate_factor
from ssl_zoo.evaluation.schema import FinetuneConfig, LinearConfig, SupervisedOptimizerConfig
from ssl_zoo.evaluation.supervised import Classifier, TrainingLosses, measure_accuracy, train_classifier
from ssl_zoo.training.optim import optimizer_over

MOCO = protocol("linear_moco")
# Of each protocol: images per step, highest rate at that batch, epochs, as its source has them.
SOURCES = {
    "linear": (4096, 0.32, 90), "linear_fair": (4096, 1.6, 90), "linear_moco": (256, 30.0, 100),
    "linear_simclr": (4096, 1.6, 90), "linear_byol": (1024, 1.6, 80), "linear_swav": (256, 0.3, 100),
    "finetune": (256, 0.05, 30), "finetune_1percent": (4096, 0.8, 60), "finetune_10percent": (4096, 0.8, 30),
    "finetune_moco": (256, 0.025, 100),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_the_protocols_are_those_of_their_sources(name: str) -> None:
    block = protocol(name)
    config = validate(
        LinearConfig if block["kind"] == "linear" else FinetuneConfig, block[block["kind"]], block["kind"]
    )
    if isinstance(config, LinearConfig) and config.lr_candidates:
        config = replace(config, optimizer=replace(config.optimizer, lr=max(config.lr_candidates)))
    task = make_task(MOCO, squares(2, 0), squares(2, 1))
    recipe = Recipe(task, config, images=10_000)
    assert (recipe.batch, pytest.approx(recipe.rate), config.epochs) == SOURCES[name]


def test_no_protocol_of_these_kinds_is_left_out() -> None:
    kinds = {name: protocol(name).get("kind") for name in group_names("protocol")}
    assert {name for name, kind in kinds.items() if kind in ("linear", "finetune")} == set(SOURCES)


def test_moco_s_milestones_are_those_of_torch() -> None:
    config = SupervisedOptimizerConfig(milestones=(0.6, 0.8), schedule_interval="epoch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, [60, 80], gamma=0.1)
    for epoch in range(100):
        for step in range(7):
            factor = rate_factor(config, 7 * epoch + step, batch=8, total_steps=700, steps_per_epoch=7)
            assert factor == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()


def test_a_warmup_comes_before_the_milestones() -> None:
    config = SupervisedOptimizerConfig(milestones=(0.5,), warmup_epochs=1, warmup_lr_fraction=0.2)
    factors = [
        rate_factor(config, step, batch=8, total_steps=16, steps_per_epoch=4) for step in (0, 2, 4, 7, 8)
    ]
    assert factors == pytest.approx([0.2, 0.6, 1.0, 1.0, 0.1])


@pytest.mark.parametrize(
    "overrides",
    [{"nesterov": True, "name": "lars"}, {"nesterov": True, "momentum": 0.0}, {"milestones": [0.8, 0.6]}],
)
def test_what_contradicts_itself_is_refused(overrides: dict[str, object]) -> None:
    with pytest.raises(UserError, match=r"received .*; set"):
        validate(SupervisedOptimizerConfig, overrides, "linear.optimizer")


def test_lars_leaves_a_bias_that_is_excluded_unadapted() -> None:
    """As SimCLR and BYOL pre-train: momentum SGD for vectors, LARS for matrices."""
    layer = torch.nn.Linear(3, 2).double()
    start = layer.bias.detach().clone(), layer.weight.detach().clone()
    config = SupervisedOptimizerConfig(
        name="lars", lr=0.5, lr_scaling="none", weight_decay=0.1, exclude_norm_and_bias=True
    )
    optimizer = optimizer_over(config, layer, 8, backbone=layer)
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    torch.testing.assert_close(layer.bias.detach(), start[0] - 0.5)
    norm = start[1].norm()
    ratio = 0.001 * norm / (6**0.5 + 0.1 * norm)
    torch.testing.assert_close(layer.weight.detach(), start[1] - 0.5 * ratio * (1 + 0.1 * start[1]))


def test_accuracies_against_a_naive_loop() -> None:
    test = shuffled(squares(7, 1))
    task = make_task(MOCO, squares(2, 0), test, backbone=Pixels().eval())
    model = Classifier(task, CLASSES, seed=3, frozen=True)
    (found,) = measure_accuracy(task, model, test)
    first = fifth = 0
    assert test.labels is not None
    with torch.no_grad():
        for image, label in zip(normalised(test), test.labels.tolist(), strict=True):
            ranks = model.heads[0](image.flatten().float()).argsort(descending=True).tolist()
            first += ranks[0] == label
            fifth += label in ranks[:5]
    assert found == (first / 42, fifth / 42)
    assert 0 < first < fifth < 42


def test_heads_together_learn_what_each_learns_alone() -> None:
    train = squares(6, 0)
    rates = (3.0, 0.1)

    def weights(*lrs: float) -> list[torch.Tensor]:
        changes = {"epochs": 2, "batch_size": 16, "optimizer": {"lr": lrs[0], "weight_decay": 0.01}}
        task = make_task(MOCO, train, train, **changes)
        model = Classifier(task, CLASSES, 5, heads=len(lrs), frozen=True)
        multipliers = [(head, lr / lrs[0]) for head, lr in zip(model.heads, lrs, strict=True)]
        train_classifier(Recipe(task, task.settings, len(train)), model, train, 5, multipliers=multipliers)
        return [head.weight.detach() for head in model.heads]  # type: ignore[union-attr]

    for together, rate in zip(weights(*rates), rates, strict=True):
        torch.testing.assert_close(together, weights(rate)[0])


def test_the_loss_of_the_first_batch_and_the_initial_weights() -> None:
    train = squares(6, 0)
    task = make_task(MOCO, train, train, backbone=Pixels().eval(), epochs=1, **WHOLE)
    model = Classifier(task, CLASSES, 5, frozen=True)
    head = model.heads[0]
    assert isinstance(head, torch.nn.Linear)
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert not head.bias.any()
    weight = head.weight.detach().double()
    fitted = train_classifier(Recipe(task, task.settings, len(train)), model, train, 5)
    assert train.labels is not None
    expected = cross_entropy(normalised(train).flatten(1) @ weight.T, train.labels).item()
    assert fitted.losses[0][0] == pytest.approx(expected, rel=1e-5)


def test_logits_that_are_no_numbers_have_no_accuracy() -> None:
    test = squares(2, 1)
    task = make_task(MOCO, test, test, backbone=Pixels().eval())
    model = Classifier(task, CLASSES, 0, heads=2, frozen=True)
    with torch.no_grad():
        model.heads[1].weight[2, 5] = float("nan")  # type: ignore[index, operator]
    first, second = measure_accuracy(task, model, test)
    assert first.top1 is not None
    assert second == (None, None)


def test_a_loss_that_was_no_number_once_is_a_divergence() -> None:
    fitted = TrainingLosses([[1.0, 2.0], [0.5, float("inf")], [0.4, 0.3]])
    assert [fitted.diverged(0), fitted.diverged(1)] == [False, True]
    assert fitted.first_and_last == (1.0, 0.4)


def test_nothing_else_notices_a_training() -> None:
    train = squares(6, 0)
    task = make_task(protocol("finetune"), train, train, precision="bf16", epochs=1)
    before = {name: value.clone() for name, value in task.subject.backbone.state_dict().items()}
    kinds = [type(module) for module in task.subject.backbone.modules()]
    torch.manual_seed(11)
    state = torch.get_rng_state()
    train_classifier(
        Recipe(task, task.settings, len(train)), Classifier(task, CLASSES, 0, frozen=False), train, 0
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in task.subject.backbone.state_dict().items())
    assert kinds == [type(module) for module in task.subject.backbone.modules()]
    assert not any(module.training for module in task.subject.backbone.modules())
    assert all(parameter.requires_grad for parameter in task.subject.backbone.parameters())


def test_files_are_trained_on_as_images_in_memory_are(tmp_path: Path) -> None:
    train = squares(4, 0)
    names = tuple(f"{i}.png" for i in range(len(train)))
    for name, image in zip(names, train.images, strict=True):
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name)
    files = FileSplit(tmp_path, names, train.labels, channels=3, workers=0)
    heads = []
    for split in (train, files):
        task = make_task(MOCO, split, split, epochs=2, **WHOLE)
        model = Classifier(task, CLASSES, 0, frozen=True)
        train_classifier(Recipe(task, task.settings, len(train)), model, split, 0)
        heads.append(model.heads[0].weight)
    torch.testing.assert_close(heads[0], heads[1])


def test_views_are_the_papers_unless_the_run_never_mirrors() -> None:
    train = squares(2, 0)
    view, overrides = Recipe(make_task(MOCO, train, train), LinearConfig(), 12).view
    assert (view.size, view.crop.scale, view.flip) == (SIZE, (0.08, 1.0), 0.5)
    assert (view.jitter.p, view.grayscale, view.blur.p, view.solarize.p, view.affine.p) == (0, 0, 0, 0, 0)
    assert overrides == "crops of 8 to 100 % of the area, 50 % mirrored"

    digits = compose(["data=digits"]).views
    view, overrides = Recipe(make_task(MOCO, train, train, views=digits), LinearConfig(), 12).view
    assert (view.crop.scale, view.flip) == ((0.6, 1.0), 0.0)
    assert "never mirrored" in overrides
    view, overrides = Recipe(make_task(MOCO, train, train, views=digits), LinearConfig(flip=0.5), 12).view
    assert (view.crop.scale, view.flip) == ((0.6, 1.0), 0.5)
