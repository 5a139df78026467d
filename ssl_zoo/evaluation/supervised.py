"""Training of classifiers on labelled, augmented images: what `linear` and `finetune` have in common.

    loss = sum over heads of mean cross-entropy(W_k h(view) + b_k, y),  W_k ~ N(0, 0.01^2), b_k = 0

A plain PyTorch loop. Lightning would bring checkpoints, loggers and several processes, none of which an evaluation
has, and cost the view of what is trained, in which mode and in which precision: all that there is to get wrong here.
All randomness follows from the seed; on the same CPU, with the same number of threads, a training is repeatable to the
bit.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ssl_zoo.augment import Augment
from ssl_zoo.data import Split
from ssl_zoo.data.rng import stream
from ssl_zoo.data.train_loader import move_images
from ssl_zoo.evaluation.recipe import Recipe, rate_factor
from ssl_zoo.evaluation.task import Task
from ssl_zoo.features import BATCH, extract
from ssl_zoo.parts.matmul_conv import use_matmul_convolutions
from ssl_zoo.training.optim import optimizer_over

__all__ = [
    "Accuracy",
    "Classifier",
    "TrainingLosses",
    "draw_seed",
    "measure_accuracy",
    "train_classifier",
]


class Classifier(nn.Module):
    """A copy of the evaluated backbone, and linear classifiers on its features that don't touch one another.

    Several on a frozen backbone cost one forward pass; each learns what it would learn alone.

    Args:
        task: of the evaluation; its own backbone is left as it is.
        classes: C.
        seed: of the initial weights, which all heads share.
        heads: K.
        frozen: whether the backbone stays as it is, BN statistics included.
    """

    def __init__(self, task: Task, classes: int, seed: int, *, heads: int = 1, frozen: bool) -> None:
        super().__init__()
        self.plan, self.frozen = task.training, frozen
        self.backbone = copy.deepcopy(task.subject.backbone).requires_grad_(not frozen)
        weight = torch.randn(
            classes, task.subject.num_features, generator=torch.Generator().manual_seed(seed)
        )
        self.heads = nn.ModuleList()
        for _ in range(heads):
            head = torch.nn.utils.skip_init(nn.Linear, task.subject.num_features, classes)  # type: ignore[no-untyped-call]
            nn.init.zeros_(head.bias)
            with torch.no_grad():
                head.weight.copy_(0.01 * weight)
            self.heads.append(head)
        if self.plan.device.type == "cpu" and self.plan.precision == "bf16":
            use_matmul_convolutions(self.backbone)
        self.to(self.plan.device)
        self.backbone.to(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> Classifier:
        """Sets the mode as `Module.train` does, but leaves a frozen backbone in evaluation mode."""
        super().train(mode)
        self.backbone.train(mode and not self.frozen)
        return self

    def forward(self, x: Tensor) -> list[Tensor]:
        """Images (N, C, H, W) to the logits of each head, (N, classes) float32."""
        dtype = self.plan.dtype
        learns = torch.is_grad_enabled() and not self.frozen
        with torch.set_grad_enabled(learns), torch.autocast(x.device.type, dtype, enabled=dtype is not None):
            # Frozen, no image's features depend on another image: parts bound the memory of a batch of thousands.
            parts = torch.split(x, BATCH) if self.frozen else (x,)
            features = [self.backbone(part.contiguous(memory_format=torch.channels_last)) for part in parts]
        h = torch.cat(features).float()  # (N, F)
        return [head(h) for head in self.heads]


def draw_seed(seed: int, draw: int) -> int:
    """Returns the seed of a draw, below 2**32; no seed's draws are those of its neighbour."""
    return int(stream(seed, "classify", draw).integers(2**32))


class TrainingLosses(NamedTuple):
    """Losses of a training."""

    losses: list[list[float]]  # per epoch the mean loss of each head; fewer epochs where all diverged

    def diverged(self, head: int = 0) -> bool:
        """Whether a head's loss became infinite or no number."""
        return not all(math.isfinite(epoch[head]) for epoch in self.losses)

    @property
    def first_and_last(self) -> tuple[float | None, float | None]:
        """The first head's loss in the first and in the last epoch; None where it is no number."""
        first, last = self.losses[0][0], self.losses[-1][0]
        return first if math.isfinite(first) else None, last if math.isfinite(last) else None


def train_classifier(
    recipe: Recipe,
    model: Classifier,
    train: Split,
    seed: int,
    *,
    multipliers: Sequence[tuple[nn.Module, float]] = (),
    title: str = "",
) -> TrainingLosses:
    """Trains a classifier, in place.

    Args:
        recipe: of as many images as `train` has.
        model: the classifier.
        train: images with labels.
        seed: of order, crops, flips and dropout.
        multipliers: parts of the model, each with the factor by which its rate differs from the recipe's.
        title: what the lines of progress begin with.

    Raises:
        UserError: an image cannot be read.
    """
    assert train.labels is not None
    assert len(train) == recipe.images
    task, config, device = recipe.task, recipe.config.optimizer, model.plan.device
    view, _ = recipe.view
    loader = train.train_loader(recipe.batch, [view], seed)
    loader.device = device
    augment = Augment([view], task.subject.mean, task.subject.std)
    labels = train.labels.to(device)
    optimizer = optimizer_over(
        config,
        model,
        recipe.batch,
        backbone=model.backbone,
        multipliers=multipliers,
        nesterov=config.nesterov,
    )
    scaler = torch.amp.GradScaler(device.type, enabled=model.plan.precision == "fp16" and not model.frozen)
    clipped = list(model.heads) if model.frozen else [model]  # heads that are alone don't share a norm
    generator = torch.Generator(device).manual_seed(seed)
    epochs, step, losses, started = recipe.config.epochs, 0, [], time.perf_counter()
    # Global state, for dropout alone, is as before afterwards.
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        model.train()
        for epoch in range(1, epochs + 1):
            of_epoch = []
            for images, index in loader:
                factor = rate_factor(
                    config, step, batch=recipe.batch, total_steps=recipe.steps, steps_per_epoch=len(loader)
                )
                for group in optimizer.param_groups:
                    group["lr"] = recipe.rate * group["multiplier"] * factor
                (x,) = augment(move_images(images, device), generator)  # (n, C, size, size)
                y = labels[index.to(device)]
                loss = torch.stack([cross_entropy(logits, y) for logits in model(x)])  # (K,)
                optimizer.zero_grad()
                scaler.scale(loss.sum()).backward()  # type: ignore[no-untyped-call]
                if config.clip_grad_norm is not None:
                    scaler.unscale_(optimizer)
                    for part in clipped:
                        nn.utils.clip_grad_norm_(part.parameters(), config.clip_grad_norm)
                scaler.step(optimizer)
                scaler.update()
                of_epoch.append(loss.detach())
                step += 1
            losses.append(torch.stack(of_epoch).mean(dim=0).tolist())
            finite = [loss for loss in losses[-1] if math.isfinite(loss)]
            if not finite:
                task.log(f"{title}epoch {epoch}/{epochs} · the loss is no number any more: diverged")
                break
            if epoch % math.ceil(epochs / 10) == 0 or epoch == epochs:
                left = (time.perf_counter() - started) / epoch * (epochs - epoch)
                task.log(f"{title}epoch {epoch}/{epochs} · loss {min(finite):.3f} · {left:.0f} s left")
    return TrainingLosses(losses)


class Accuracy(NamedTuple):
    """Accuracies, fractions of 1; None where the logits are not finite, or top-5 is certain."""

    top1: float | None
    top5: float | None


@torch.no_grad()
def measure_accuracy(task: Task, model: Classifier, test: Split) -> list[Accuracy]:
    """Measures each head on all images of a split, in evaluation mode and in the evaluation view."""
    assert test.labels is not None
    subject, heads = task.subject, list(model.heads)
    hits = torch.zeros(len(heads), 2, dtype=torch.int64, device=task.hardware.device)
    finite = [True] * len(heads)
    labels, start, classes = test.labels.to(task.hardware.device), 0, 0
    model.eval()
    for features in extract(
        model.backbone, test, task.config.size, subject.mean, subject.std, task.hardware
    ):  # (n, F)
        y = labels[start : start + len(features)]
        start += len(features)
        for number, head in enumerate(heads):
            logits = head(features)  # (n, classes)
            finite[number] &= bool(logits.isfinite().all())
            classes = logits.shape[1]
            right = logits.topk(min(5, classes), dim=1).indices == y.unsqueeze(1)  # (n, 5)
            hits[number] += torch.stack((right[:, 0].sum(), right.sum()))
    return [
        Accuracy(top1 / start, top5 / start if classes > 5 else None) if is_finite else Accuracy(None, None)
        for (top1, top5), is_finite in zip(hits.tolist(), finite, strict=True)
    ]
