"""method=supervised: its loss and steps against the formula, and whom the labels reach."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.methods import build_supervised, index, make_views
from helpers.runs import TINY
from ssl_zoo.methods.supervised import Supervised
from torch import Tensor

import ssl_zoo
from ssl_zoo.build import build
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, MemorySplit, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.device import choose_hardware
from ssl_zoo.method import Method
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.testing.train_steps import Batch, train_steps
from ssl_zoo.training.labels import labels_for
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.prepare import prepare

LABELS = torch.tensor([2, 0, 1, 1, 2, 0, 2, 1])
CLASSES = 3


def naive_loss(method: Any, views: list[Tensor], labels: list[int], smoothing: float) -> Tensor:
    """The formula, view by view and image by image: -sum_c t_c log softmax_c, t smoothed towards 1 / classes."""
    linear, (weight, bias) = method.encoder.backbone.linear, method.classifier.parameters()
    terms = []
    for view in views:
        for image, label in zip(view, labels, strict=True):
            logits = weight.to(image) @ (linear.weight @ image.flatten() + linear.bias) + bias.to(image)
            logs = logits - logits.exp().sum().log()
            target = torch.full((CLASSES,), smoothing / CLASSES, dtype=image.dtype)
            target[label] += 1 - smoothing
            terms.append(-(target * logs).sum())
    return torch.stack(terms).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("views", [1, 3])
def test_the_loss_is_the_cross_entropy_of_the_images_own_labels(views: int, smoothing: float) -> None:
    method = build_supervised(f"method.label_smoothing={smoothing}").double()
    method.take_labels(LABELS, CLASSES)
    seen = torch.tensor([5, 0, 7, 2, 4, 1])
    images = [view.double() for view in make_views(views)]
    loss = method.loss(images, seen).loss
    expected = naive_loss(method, images, LABELS[seen].tolist(), smoothing)
    assert abs(loss - expected) < 1e-6  # it is computed in float32
    ours = torch.autograd.grad(loss, [*method.parameters()])
    theirs = torch.autograd.grad(expected, [*method.parameters()])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_three_steps_are_those_of_plain_sgd() -> None:
    batches = [
        Batch(make_views(1, seed=step), torch.randperm(8, generator=torch.Generator().manual_seed(step))[:6])
        for step in range(3)
    ]
    method, plain = build_supervised(), build_supervised()
    for each in (method, plain):
        torch.manual_seed(3)
        each.take_labels(LABELS, CLASSES)
    found = train_steps(method, batches, lr=0.1)
    velocity = [torch.zeros_like(p) for p in plain.parameters()]
    for step, batch in enumerate(batches):
        loss = naive_loss(plain, list(batch.views), LABELS[batch.index].tolist(), 0.0)
        torch.testing.assert_close(found.losses[step], loss)
        gradients = torch.autograd.grad(loss, [*plain.parameters()])
        with torch.no_grad():
            for p, v, gradient in zip(plain.parameters(), velocity, gradients, strict=True):
                v.mul_(0.9).add_(gradient + 1e-4 * p)
                p.sub_(0.1 * v)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(found.state[name], value, rtol=1e-5, atol=1e-6)


def test_without_labels_there_is_no_classifier() -> None:
    with pytest.raises(RuntimeError, match="take_labels"):
        build_supervised().loss(make_views(1), index())


def test_labels_reach_the_method_that_asks_for_them_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Those of the images that are left after the holdout, at their positions."""
    taken: list[tuple[Tensor, int]] = []
    monkeypatch.setattr(Method, "take_labels", lambda self, *labels: taken.append(labels))
    prepare(compose(["method=simsiam", *TINY, "data.holdout=0.2"]), tmp_path)
    assert not taken
    ready = prepare(compose(["method=supervised", *TINY, "data.holdout=0.2"]), tmp_path)
    assert not taken
    assert isinstance(ready.method, Supervised)
    assert ready.data.train.labels is not None
    assert torch.equal(ready.method.labels, ready.data.train.labels)
    assert len(ready.method.labels) == 160
    assert ready.method.classifier is not None
    assert ready.method.classifier.weight.shape == (10, ready.method.embedding_dim)
    assert "labels" not in ready.method.state_dict()


def some_data(labels: Tensor | None, labelled: int, classes: tuple[str, ...] | None) -> Data:
    images = torch.zeros(8, 1, 8, 8, dtype=torch.uint8)
    train = MemorySplit(images, labels)
    first = MemorySplit(images[:labelled], LABELS[:labelled]) if labelled else None
    return Data(train, train if labels is not None and labelled == 8 else first, None, classes, 1)


@pytest.mark.parametrize(
    ("labels", "labelled", "classes", "message"),
    [
        (None, 0, None, "needs the label of each training image; data=digits has none; choose data whose"),
        (None, 3, ("a", "b", "c"), "of data=digits 3 of 8 have one; .*fine-tune on those with labels"),
        (LABELS - 1, 8, ("a", "b"), "of data=digits 6 of 8 have one"),
        (LABELS * 0, 8, ("a",), "of two classes or more; data=digits has one"),
    ],
)
def test_images_without_labels_are_refused(
    labels: Tensor | None, labelled: int, classes: tuple[str, ...] | None, message: str
) -> None:
    data = some_data(labels, labelled, classes)
    with pytest.raises(UserError, match=f"^method=supervised .*{message}"):
        labels_for(compose(["method=supervised", "data=digits"]), data)
    assert labels_for(compose(["method=simsiam", "data=digits"]), data) is None


def test_one_view_is_made_unless_more_are_named() -> None:
    def count(*overrides: str) -> int:
        return len(compose(["data=digits", *overrides]).augment.flat)

    assert count("method=supervised") == 1
    assert count("method=supervised", "augment.views={one: {}, two: {flip: 0.1}}") == 2
    assert count("method=simsiam") == 2
    with pytest.raises(UserError, match="at least 1 view"):
        count("method=supervised", "augment.views={}")


def test_two_draws_of_its_one_view_are_measured() -> None:
    config: RunConfig = compose(["method=supervised", *TINY])
    hardware = choose_hardware("cpu", "fp32", strider=None, size=8, compiles=False)
    evaluator = Evaluator(config, load_data(config.data), hardware)
    method, _ = build(config, 1)
    row = evaluator.measure(method, knn=False, probe=False).row
    assert row["alignment"] is not None
    assert row["alignment"] > 1e-4  # the two are apart


@pytest.mark.slow
def test_a_run_trains_and_is_opened_with_its_classifier(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ssl_zoo.train(["method=supervised", *TINY, "monitor.baselines=false", f"run_dir={folder}"], silent=True)
    run = open_run(folder)
    assert run.classes == 10
    method = run.method()
    assert isinstance(method, Supervised)
    assert method.classifier is not None
    assert torch.equal(method.classifier.weight, run.weights["classifier.weight"])
    with pytest.raises(UserError, match=r"every weight must be found.*classifier"):
        dataclasses.replace(run, classes=9).method()
    exported = ssl_zoo.export([f"run={folder}", "format=safetensors"], silent=True)
    assert "Trained with labels by supervised." in (exported / "MODEL_CARD.md").read_text()


def swap(folder: Path, one: str, other: str) -> None:
    (folder / one).rename(folder / "aside")
    (folder / other).rename(folder / one)
    (folder / "aside").rename(folder / other)


def merge(folder: Path, one: str, other: str) -> None:
    for file in sorted((folder / one).iterdir()):
        file.rename(folder / other / file.name)
    (folder / one).rmdir()


@pytest.mark.slow
def test_a_run_continues_with_its_own_labels_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a folder whose classes were renamed, exchanged or merged since, with as many images as before."""
    images = np.random.default_rng(0).integers(0, 256, (12, 12, 12, 3), np.uint8)
    folder, run = tmp_path / "images", tmp_path / "run"
    for number, image in enumerate(images):
        (folder / "abc"[number // 4]).mkdir(parents=True, exist_ok=True)
        np.save(folder / "abc"[number // 4] / f"{number:02d}.npy", image)
    given = [f"data.train={folder}", "data=imagefolder", "method=supervised", *TINY[2:], "data.workers=0"]
    given = [*given, "batch_size=4", "monitor.baselines=false", "monitor.knn.k=1", f"run_dir={run}"]
    ssl_zoo.train([*given, "epochs=1"], silent=True)
    again = [*given, "epochs=2", "resume=auto"]
    prepare(compose(again), run)  # nothing has changed

    changes: list[tuple[Callable[[], object], Callable[[], object], str]] = [
        (
            lambda: (folder / "a").rename(folder / "z"),
            lambda: (folder / "z").rename(folder / "a"),
            "was trained with 'a' as class 0, and .* now has 'b' as class 0",
        ),
        (
            lambda: swap(folder, "a", "b"),
            lambda: swap(folder, "a", "b"),
            "was trained with labels of digest [0-9a-f]{12}, and ",
        ),
        (
            lambda: merge(folder, "c", "b"),
            lambda: None,
            "was trained with 3 classes, and .* now has 2 classes; give the images the labels that they had, or start",
        ),
    ]
    for change, undo, said in changes:
        change()
        with pytest.raises(UserError, match=f"^resume continues with the same labels; .*{said}"):
            prepare(compose(again), run)
        undo()
    assert main(["train", f"run_dir={run}", "resume=auto", "epochs=2"]) == 2
    assert "resume continues with the same labels" in " ".join(capsys.readouterr().err.split())
