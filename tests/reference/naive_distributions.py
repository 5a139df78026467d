"""DINO and ReSSL as their papers and codes write them: loops over images and pairs, nothing of ssl_zoo.

A list holds one tensor of shape (N, D) or (N, K) per view; row n of every view comes from image n. A step is plain
gradient descent on an encoder that the caller gives as a function of its weights.

- [0] DINO, 2021, https://arxiv.org/abs/2104.14294 (Algorithm 1, Eq. 4). Code: facebookresearch/dino, main_dino.py,
  `DINOLoss` and `train_one_epoch`; vision_transformer.py, `DINOHead`
- [1] ReSSL, 2021, https://arxiv.org/abs/2107.09282 (Eq. 3-6). Code: KyleZheng1997/ReSSL, ressl.py and
  network/ressl.py
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Encode = Callable[[Weights, Tensor], Tensor]


class DinoStep(NamedTuple):
    """What a step of DINO leaves: loss, gradients, the student's and the teacher's weights, the centre (K,)."""

    loss: Tensor
    gradients: Weights
    student: Weights
    teacher: Weights
    center: Tensor


class ResslStep(NamedTuple):
    """What a step of ReSSL leaves: loss, gradients, both encoders' weights, the queue (K, D) and where it goes on."""

    loss: Tensor
    gradients: Weights
    query: Weights
    key: Weights
    queue: Tensor
    pointer: int


def gelu(x: Tensor) -> Tensor:
    """x Phi(x), Phi the distribution function of a normal variable."""
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def last_layer(z: Tensor, v: Tensor) -> Tensor:
    """DINOHead's end: z/|z| through a layer without bias whose k-th weight is g v_k / |v_k|, g = 1; (N, K)."""
    rows = []
    for row in z:
        unit = row / row.pow(2).sum().sqrt()
        rows.append(torch.stack([unit @ (v_k / v_k.pow(2).sum().sqrt()) for v_k in v]))
    return torch.stack(rows)


def dino(student: list[Tensor], teacher: list[Tensor], center: Tensor, tau_s: float, tau_t: float) -> Tensor:
    """DINO [0]: scores of all views and of the first views by the teacher; mean over the pairs of two views."""
    terms = []
    for j, scores in enumerate(teacher):
        for i in range(len(student)):
            if i == j:
                continue
            for n in range(len(scores)):
                q = torch.softmax((scores[n] - center) / tau_t, dim=0).detach()
                log_p = torch.log_softmax(student[i][n] / tau_s, dim=0)
                terms.append(-sum(q[k] * log_p[k] for k in range(len(q))))
    return torch.stack(terms).mean()


def teacher_temperature(start: float, end: float, warmup_epochs: int, epoch: int) -> float:
    """The code's schedule: `warmup_epochs` values from start to end, both included, then end."""
    values = torch.linspace(start, end, warmup_epochs, dtype=torch.float64).tolist()
    return values[epoch] if epoch < warmup_epochs else end


def dino_step(
    encode: Encode, student: Weights, teacher: Weights, center: Tensor, views: list[Tensor], *,
    large: int, lr: float, momentum: float, tau_s: float, tau_t: float, center_momentum: float, frozen: bool,
) -> DinoStep:  # fmt: skip
    """One step of Algorithm 1 with plain gradient descent; `prototypes` among the weights are the last layer's v."""
    student = {name: weight.detach().requires_grad_() for name, weight in student.items()}
    scores = [last_layer(encode(student, view), student["prototypes"]) for view in views]
    with torch.no_grad():
        targets = [last_layer(encode(teacher, view), teacher["prototypes"]) for view in views[:large]]
    loss = dino(scores, targets, center, tau_s, tau_t)
    gradients = dict(zip(student, torch.autograd.grad(loss, list(student.values())), strict=True))
    if frozen:
        gradients["prototypes"] = torch.zeros_like(gradients["prototypes"])
    with torch.no_grad():
        moved = {name: weight - lr * gradients[name] for name, weight in student.items()}
        follows = {name: momentum * teacher[name] + (1 - momentum) * moved[name] for name in moved}
        mean = torch.stack([row for view in targets for row in view]).mean(dim=0)
        center = center_momentum * center + (1 - center_momentum) * mean
    return DinoStep(loss.detach(), gradients, moved, follows, center)


def relations(z: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """ReSSL [1], Eq. 3 and 4: how like z (D,) is to each vector of the queue (K, D), as log probabilities (K,)."""
    unit = z / z.pow(2).sum().sqrt()
    logits = torch.stack([unit @ vector for vector in queue]) / temperature
    return logits - torch.log(torch.exp(logits).sum())


def ressl(q: Tensor, k: Tensor, queue: Tensor, tau_s: float, tau_t: float) -> Tensor:
    """ReSSL [1], Eq. 5 and the code: the cross-entropy of the strong view's relations with the weak view's."""
    terms = []
    for n in range(len(q)):
        target = torch.exp(relations(k[n], queue, tau_t)).detach()
        terms.append(-(target * relations(q[n], queue, tau_s)).sum())
    return torch.stack(terms).mean()


def ressl_step(
    encode: Encode, query: Weights, key: Weights, queue: Tensor, pointer: int, strong: Tensor, weak: Tensor, *,
    lr: float, momentum: float, tau_s: float, tau_t: float,
) -> ResslStep:  # fmt: skip
    """One step with plain gradient descent; the key encoder follows after it, the code's before the next."""
    query = {name: weight.detach().requires_grad_() for name, weight in query.items()}
    with torch.no_grad():
        k = encode(key, weak)
    loss = ressl(encode(query, strong), k, queue, tau_s, tau_t)
    gradients = dict(zip(query, torch.autograd.grad(loss, list(query.values())), strict=True))
    queue = queue.clone()
    for vector in k:
        queue[pointer] = vector / vector.pow(2).sum().sqrt()
        pointer = (pointer + 1) % len(queue)
    with torch.no_grad():
        moved = {name: weight - lr * gradients[name] for name, weight in query.items()}
        follows = {name: momentum * key[name] + (1 - momentum) * moved[name] for name in moved}
    return ResslStep(loss.detach(), gradients, moved, follows, queue, pointer)
