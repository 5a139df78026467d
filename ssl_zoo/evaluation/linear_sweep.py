"""Many linear classifiers at once: every (rate, weight decay) of a grid, on the same minibatches.

    min_{W, b}  mean_i cross_entropy(x_i W + b, y_i) + wd / 2 |W|^2,    x = (features - mean) / std

by SGD with momentum 0.9 and a cosine schedule, from zero. One step of S pairs is two matrix products with S * C
columns: a sweep takes the time of one classifier with S times the classes, where one pair at a time would spend
it on small products. The gradient of softmax and cross-entropy is written out, so nothing but W, its gradient's
running mean and a batch is held.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import one_hot

__all__ = ["Classifiers", "Pair", "PairScore", "Scale", "scale_of", "score_pairs", "sweep", "train_pairs"]

MOMENTUM = 0.9
WEIGHTS = 2**26  # weights of classifiers trained at a time; a group takes twice that many floats
CHUNK = 4096  # images whose features are summed at a time
LOGITS = 2**24  # logits that are computed at a time


class Pair(NamedTuple):
    """A learning rate and a weight decay, which are chosen together."""

    lr: float
    weight_decay: float


class Scale(NamedTuple):
    """Mean and standard deviation that standardise features batch by batch, without a copy of them all."""

    mean: Tensor  # (F,)
    std: Tensor  # (F,), 1 where a feature is constant

    def __call__(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Classifiers(NamedTuple):
    """S linear classifiers on standardised features."""

    W: Tensor  # (F, S, C)
    b: Tensor  # (S, C)

    def logits(self, x: Tensor) -> Tensor:
        """Returns (N, S, C) of standardised features (N, F)."""
        return (x @ self.W.flatten(1)).view(len(x), *self.b.shape) + self.b


class PairScore(NamedTuple):
    """A classifier on images it wasn't trained on; both nan where its weights are not finite."""

    top1: float
    loss: float  # mean cross-entropy


def scale_of(x: Tensor) -> Scale:
    """Mean and standard deviation of (M, F) features, summed in float64 where the device has it."""
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    parts = torch.split(x, CHUNK)
    mean = torch.stack([part.to(dtype).sum(0) for part in parts]).sum(0) / len(x)  # (F,)
    squares = [(part.to(dtype) - mean).square().sum(0) for part in parts]
    std = (torch.stack(squares).sum(0) / len(x)).sqrt()
    constant = std <= torch.finfo(torch.float32).eps * mean.abs()  # up to rounding
    return Scale(mean.float(), torch.where(constant, 1.0, std).float())


def sweep(
    x: Tensor,
    y: Tensor,
    kept: Tensor,
    held: Tensor,
    pairs: Sequence[Pair],
    scale: Scale,
    classes: int,
    epochs: int,
    batch: int,
    seed: int,
) -> list[PairScore]:
    """Trains each pair on the positions `kept` and scores it on those `held`; the rest as in `fit`.

    Groups of pairs are trained one after another where all would take too much memory.
    """
    group = max(1, WEIGHTS // (x.shape[1] * classes))
    scores: list[PairScore] = []
    for start in range(0, len(pairs), group):
        models = train_pairs(x, y, kept, pairs[start : start + group], scale, classes, epochs, batch, seed)
        scores += score_pairs(models, scale, x[held], y[held])
    return scores


@torch.no_grad()
def train_pairs(
    x: Tensor,
    y: Tensor,
    positions: Tensor,
    pairs: Sequence[Pair],
    scale: Scale,
    classes: int,
    epochs: int,
    batch: int,
    seed: int,
) -> Classifiers:
    """Trains one classifier per pair, all on the same minibatches.

    Args:
        x: (M, F) features, as extracted.
        y: (M,) classes from 0 on.
        positions: (m,) of the images to train on.
        pairs: S rates and weight decays; the bias does not decay.
        scale: standardises the features.
        classes: C.
        epochs: passes over the images.
        batch: images per step; the last of an epoch may have fewer.
        seed: of the order, which is the same on every device.
    """
    S, steps = len(pairs), epochs * math.ceil(len(positions) / batch)
    columns = zip(*pairs, strict=True)
    lr, decay = (x.new_tensor(values).repeat_interleave(classes) for values in columns)  # (S * C,)
    W, b = x.new_zeros(x.shape[1], S * classes), x.new_zeros(S * classes)
    speed_W, speed_b = torch.zeros_like(W), torch.zeros_like(b)
    generator, step = torch.Generator().manual_seed(seed), 0
    with torch.autocast(x.device.type, enabled=False):
        for _ in range(epochs):
            order = torch.randperm(len(positions), generator=generator).to(x.device)
            for index in torch.split(positions[order], batch):
                rate = lr * (0.5 * (1 + math.cos(math.pi * step / steps)))
                inputs = scale(x[index])  # (B, F)
                error = _softmax(torch.addmm(b, inputs, W).view(-1, S, classes))  # (B, S, C)
                error = error.sub_(one_hot(y[index], classes)[:, None]).div_(len(index)).flatten(1)
                speed_W.addmm_(inputs.T, error, beta=MOMENTUM).addcmul_(W, decay)
                speed_b.mul_(MOMENTUM).add_(error.sum(0))
                W.addcmul_(speed_W, rate, value=-1)
                b.addcmul_(speed_b, rate, value=-1)
                step += 1
    return Classifiers(W.view(-1, S, classes), b.view(S, classes))


@torch.no_grad()
def score_pairs(models: Classifiers, scale: Scale, x: Tensor, y: Tensor) -> list[PairScore]:
    """Scores each classifier on features (N, F) with classes (N,); -1 is a class that none of them knows."""
    right = x.new_zeros(len(models.b))
    loss = x.new_zeros(len(models.b))
    chunk = max(1, LOGITS // models.b.numel())  # images
    for features, labels in zip(torch.split(x, chunk), torch.split(y, chunk), strict=True):
        logits = models.logits(scale(features))  # (n, S, C)
        right += (logits.argmax(-1) == labels[:, None]).sum(0)
        true = logits.gather(-1, labels.clamp(min=0)[:, None, None].expand(-1, len(loss), 1)).squeeze(-1)
        loss += (logits.logsumexp(-1) - true).sum(0)
    finite = loss.isfinite() & models.W.isfinite().all(-1).all(0)
    return [
        PairScore(hits / len(x), total / len(x)) if good else PairScore(math.nan, math.nan)
        for hits, total, good in zip(right.tolist(), loss.tolist(), finite.tolist(), strict=True)
    ]


def _softmax(logits: Tensor) -> Tensor:
    """Softmax over the last dimension, four times as fast on a CPU where it is as short as ten classes.

    Differences of logits stop at -60: smaller probabilities end as denormal numbers, with which a CPU takes several
    times as long.
    """
    powers = (logits - logits.amax(-1, keepdim=True)).clamp_(min=-60).exp_()
    return powers.div_(powers.sum(-1, keepdim=True))
