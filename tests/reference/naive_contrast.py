"""MoCo v3 and NNCLR as their codes have them: losses by loops over images, and one training step of each.

As in naive_steps, of which this takes layers, BN and optimizers: plain torch, nothing of ssl_zoo.

- [0] MoCo v3, 2021, https://arxiv.org/abs/2104.02057. Code: facebookresearch/moco-v3, moco/builder.py
- [1] NNCLR, 2021, https://arxiv.org/abs/2104.14548. Code: vturrisi/solo-learn, losses/nnclr.py, methods/nnclr.py
"""

import math

import torch
from reference.naive_steps import (
    Step,
    Weights,
    _gradients,
    _lars_without_norm_and_bias,
    _leaves,
    batch_norm,
    linear,
    moving_average,
    simsiam_encoder,
    simsiam_predictor,
    unit,
)
from torch import Tensor


def mocov3(q: list[Tensor], k: list[Tensor], temperature: float) -> Tensor:
    """MoCo v3 [0], `contrastive_loss`: CE of q_n with the other view's keys, of which n is right; 2 T times the sum."""
    total = q[0].new_zeros(())
    for a, b in ((0, 1), (1, 0)):
        for n in range(len(q[a])):
            logits = [_cosine(q[a][n], k[b][m].detach()) / temperature for m in range(len(k[b]))]
            total = total + 2 * temperature * _cross_entropy(logits, n) / len(q[a])
    return total


def nnclr(z: list[Tensor], p: list[Tensor], queue: Tensor, temperature: float) -> Tensor:
    """NNCLR [1], `nnclr_loss_func`: CE of z1_n's neighbour with all p2, of which n is right; mean of both orders."""
    total = z[0].new_zeros(())
    for a, b in ((0, 1), (1, 0)):
        for n in range(len(z[a])):
            neighbour = nearest(z[a][n], queue)
            logits = [_cosine(neighbour, p[b][m]) / temperature for m in range(len(p[b]))]
            total = total + _cross_entropy(logits, n) / len(z[a]) / 2
    return total


def nnclr_other_direction(z: list[Tensor], p: list[Tensor], queue: Tensor, temperature: float) -> Tensor:
    """NNCLR with the sum over the images' neighbours in place of their predictions; the mean of both orders."""
    total = z[0].new_zeros(())
    for a, b in ((0, 1), (1, 0)):
        for n in range(len(z[a])):
            neighbours = [nearest(z[a][m], queue) for m in range(len(z[a]))]
            logits = [_cosine(p[b][n], neighbour) / temperature for neighbour in neighbours]
            total = total + _cross_entropy(logits, n) / len(z[a]) / 2
    return total


def nearest(z: Tensor, queue: Tensor) -> Tensor:
    """The row (D,) of the queue (K, D) with the largest cosine to z (D,), as a constant."""
    best = queue[0]
    for row in queue:
        if _cosine(z, row) > _cosine(z, best):
            best = row
    return best.detach()


def mocov3_step(
    weights: Weights,
    target: Weights,
    buffers: Weights,
    views: list[Tensor],
    lr: float,
    temperature: float,
    step: int,
    total_steps: int,
    m_base: float,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 1e-3,
) -> Step:
    """MoCo v3 [0], Algorithm 1 with the heads of the code's ResNet: f_k moves after the step, by the m of that step."""
    w = _leaves(weights)
    q1, q2 = (
        simsiam_predictor(w, _mocov3_encoder(w, views[0])),
        simsiam_predictor(w, _mocov3_encoder(w, views[1])),
    )
    k1, k2 = _mocov3_encoder(target, views[0]), _mocov3_encoder(target, views[1])  # (N, D)
    loss = _contrastive_loss(q1, k2, temperature) + _contrastive_loss(q2, k1, temperature)
    g = _gradients(loss, w)
    new, v = _lars_without_norm_and_bias(weights, g, buffers, lr, momentum, weight_decay, trust)
    m = 1 - 0.5 * (1 + math.cos(math.pi * step / total_steps)) * (1 - m_base)
    return Step(loss.detach(), g, new, v, moving_average(target, new, m), torch.empty(0), 0)


def _contrastive_loss(q: Tensor, k: Tensor, temperature: float) -> Tensor:
    logits = unit(q) @ unit(k.detach()).T / temperature  # (N, N)
    return (torch.log(torch.exp(logits).sum(dim=1)) - logits.diagonal()).mean() * (2 * temperature)


def _mocov3_encoder(w: Weights, x: Tensor) -> Tensor:
    """Projector of two layers without bias; the output's BN has neither scale nor shift."""
    y = linear(w, "backbone", x.flatten(1))
    y = torch.relu(batch_norm(linear(w, "projector1", y), w["bn1.gamma"], w["bn1.beta"]))
    return batch_norm(linear(w, "projector2", y))


def nnclr_step(
    weights: Weights,
    buffers: Weights,
    queue: Tensor,
    pointer: int,
    views: list[Tensor],
    lr: float,
    temperature: float,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 1e-3,
) -> Step:
    """NNCLR [1]: L(NN(z1), p2)/2 + L(NN(z2), p1)/2, then z1/|z1| replaces the oldest of the queue (K, D).

    Its heads are SimSiam's but for their widths.
    """
    w = _leaves(weights)
    z = [simsiam_encoder(w, view) for view in views]  # (N, D) each
    p = [simsiam_predictor(w, z_i) for z_i in z]
    loss = torch.zeros((), dtype=z[0].dtype)
    for a, b in ((0, 1), (1, 0)):
        neighbours = queue[(unit(z[a]) @ queue.T).max(dim=1)[1]]  # (N, D)
        logits = unit(neighbours) @ unit(p[b]).T / temperature  # (N, N)
        loss = loss + torch.nn.functional.cross_entropy(logits, torch.arange(len(logits))) / 2
    g = _gradients(loss, w)
    new, v = _lars_without_norm_and_bias(weights, g, buffers, lr, momentum, weight_decay, trust)
    queue = queue.clone()
    for row in unit(z[0].detach()):
        queue[pointer] = row
        pointer = (pointer + 1) % len(queue)
    return Step(loss.detach(), g, new, v, {}, queue, pointer)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a, b) / torch.sqrt(torch.dot(a, a) * torch.dot(b, b))


def _cross_entropy(logits: list[Tensor], right: int) -> Tensor:
    return torch.log(sum(torch.exp(logit) for logit in logits)) - logits[right]
