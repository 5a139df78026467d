"""The losses as the papers write them: loops over samples and pairs, no matrix tricks, nothing of ssl_zoo.

A list holds one tensor of shape (N, D) per view; row n of every view comes from image n. Each loss returns
a scalar tensor of the input's dtype that autograd can differentiate. sg is stop-gradient. Inputs are
trusted: nothing is validated, and a zero vector, which has no direction, gives NaN.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733
- [2] SimCLR, 2020, https://arxiv.org/abs/2002.05709
- [3] MoCo, 2019, https://arxiv.org/abs/1911.05722
- [4] SwAV, 2020, https://arxiv.org/abs/2006.09882
- [5] LARS, 2017, https://arxiv.org/abs/1708.03888
"""

import math

import torch
from torch import Tensor


def simsiam(p: list[Tensor], z: list[Tensor], stop_gradient: bool, symmetric: bool = True) -> Tensor:
    """SimSiam [0], eq. 1-4 and Algorithm 1: L = D(p1, sg z2)/2 + D(p2, sg z1)/2, D = -cos, batch mean.

    Asymmetric (Sec. 4.6): only D(p1, sg z2). More than two views: the mean over all ordered pairs.
    """
    pairs = _ordered_pairs(len(p)) if symmetric else [(0, 1)]
    terms = []
    for i, j in pairs:
        terms += [-_cosine(p[i][n], _stop(z[j][n], stop_gradient)) for n in range(len(p[i]))]
    return _mean(terms)


def byol(q: list[Tensor], z_target: list[Tensor]) -> Tensor:
    """BYOL [1], eq. 2: ||q/|q| - z'/|z'|||^2 = 2 - 2 cos, batch mean, summed over both orders; sg on z'."""
    total = q[0].new_zeros(())
    for i, j in _ordered_pairs(len(q)):
        terms = []
        for n in range(len(q[i])):
            difference = _unit(q[i][n]) - _unit(z_target[j][n].detach())  # (D,)
            terms.append((difference * difference).sum())
        total = total + _mean(terms)
    return total


def nt_xent(z: list[Tensor], temperature: float) -> Tensor:
    """SimCLR [2], eq. 1 and Algorithm 1, over the 2N views x_1 .. x_2N where x_2k-1 and x_2k are a pair.

    l(i, j) = -log exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau),
    L = 1/(2N) sum_k [l(2k-1, 2k) + l(2k, 2k-1)], s the cosine.
    """
    x = []
    for n in range(len(z[0])):
        x += [z[0][n], z[1][n]]
    terms = []
    for i in range(len(x)):
        j = i + 1 if i % 2 == 0 else i - 1
        others = [k for k in range(len(x)) if k != i]
        logits = [_cosine(x[i], x[k]) / temperature for k in others]
        terms.append(_cross_entropy(logits, others.index(j)))
    return _mean(terms)


def simclr_code(z: list[Tensor], temperature: float) -> Tensor:
    """SimCLR's official code, objective.py of https://github.com/google-research/simclr: loss_a + loss_b.

    loss_a is the mean over the images n of the cross-entropy of z1_n with z2_n among all z2 (ab) and all other
    z1 (aa); loss_b the same with the views swapped.
    """
    total = z[0].new_zeros(())
    for a, b in ((z[0], z[1]), (z[1], z[0])):
        terms = []
        for n in range(len(a)):
            ab = [_cosine(a[n], b[m]) / temperature for m in range(len(b))]
            aa = [_cosine(a[n], a[m]) / temperature for m in range(len(a)) if m != n]
            terms.append(_cross_entropy(ab + aa, n))
        total = total + _mean(terms)
    return total


def simclr_predictor(p: list[Tensor], z: list[Tensor], temperature: float, stop_gradient: bool) -> Tensor:
    """SimCLR with predictor and stop-gradient, SimSiam [0] Sec. 6.2, on the loss of SimCLR [2] eq. 1.

    The anchor is p_i = h(z_i) of image n. Its keys are sg(z_j) of the other view for all images (image n is
    the positive) and sg(z_i) of the same view for all other images. Mean over images and ordered pairs.
    With p = z and no stop-gradient this is `nt_xent`.
    """
    terms = []
    for i, j in _ordered_pairs(len(p)):
        for n in range(len(p[i])):
            keys = [z[j][m] for m in range(len(z[j]))] + [z[i][m] for m in range(len(z[i])) if m != n]
            logits = [_cosine(p[i][n], _stop(key, stop_gradient)) / temperature for key in keys]
            terms.append(_cross_entropy(logits, n))
    return _mean(terms)


def info_nce_queue(
    q: list[Tensor], k: list[Tensor], queue: Tensor, temperature: float, symmetric: bool
) -> Tensor:
    """MoCo [3], eq. 1 and Algorithm 1: -log exp(q.k+/tau) / [exp(q.k+/tau) + sum_{queue} exp(q.k-/tau)].

    q and k are l2-normalised here (Sec. 3.3); the queue, shape (K, D), holds normalised keys already and is
    read as it is. Keys and queue get no gradient. Asymmetric: (q1, k2) only; symmetric: the mean of both
    orders, both against this same queue.
    """
    pairs = _ordered_pairs(len(q)) if symmetric else [(0, 1)]
    terms = []
    for i, j in pairs:
        for n in range(len(q[i])):
            anchor = _unit(q[i][n])
            keys = [_unit(k[j][n].detach())] + [queue[m].detach() for m in range(len(queue))]
            logits = [torch.dot(anchor, key) / temperature for key in keys]
            terms.append(_cross_entropy(logits, 0))
    return _mean(terms)


def moco_code(q: list[Tensor], k: list[Tensor], queue: Tensor, temperature: float) -> Tensor:
    """FAIR's symmetric MoCo, colab/moco_cifar10_demo.ipynb of its repository: loss = loss_12 + loss_21."""
    loss_12 = info_nce_queue([q[0], q[1]], [k[0], k[1]], queue, temperature, symmetric=False)
    loss_21 = info_nce_queue([q[1], q[0]], [k[1], k[0]], queue, temperature, symmetric=False)
    return loss_12 + loss_21


def enqueue(queue: Tensor, pointer: int, keys: Tensor) -> tuple[Tensor, int]:
    """MoCo [3], Sec. 3.2: each key, stored as it is, replaces the oldest entry. Returns copies.

    A batch that passes the end goes on at row 0 (FAIR's code refuses it, lightly's drops the rest).
    """
    queue = queue.detach().clone()  # (K, D)
    for n in range(len(keys)):
        queue[pointer] = keys[n].detach()
        pointer = (pointer + 1) % len(queue)
    return queue, pointer


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """SwAV [4], eq. 3-5 and the official `distributed_sinkhorn`: codes (N, K), each sample's row sums to 1.

    Q = exp(scores / epsilon)^T, shape (K, N), scaled to sum 1; then `iterations` times: every prototype's
    row to sum 1/K, every sample's column to sum 1/N; at last every column to sum 1.
    """
    N, K = scores.shape
    Q = [[torch.exp(scores[n, k] / epsilon) for n in range(N)] for k in range(K)]  # K lists of N
    total = _sum([entry for row in Q for entry in row])
    Q = [[entry / total for entry in row] for row in Q]
    for _ in range(iterations):
        Q = [[entry / (K * _sum(row)) for entry in row] for row in Q]
        columns = [_sum([Q[k][n] for k in range(K)]) for n in range(N)]
        Q = [[Q[k][n] / (N * columns[n]) for n in range(N)] for k in range(K)]
    columns = [_sum([Q[k][n] for k in range(K)]) for n in range(N)]
    return torch.stack([torch.stack([Q[k][n] / columns[n] for k in range(K)]) for n in range(N)])


def swapped_prediction(
    scores: list[Tensor],
    temperature: float,
    epsilon: float,
    iterations: int,
    target_views: int = 2,
    stop_gradient: bool = True,
) -> Tensor:
    """SwAV [4], eq. 1-2, with multi-crop as in eq. 6 and the official code; scores are z.C, (N, K) per view.

    The first `target_views` views give codes q; every other view s predicts them:
    l(s, q) = -sum_k q_k log softmax(scores_s / tau)_k. Mean over samples and (code view, other view) pairs.
    The paper's sums differ from this mean by the number of pairs; the official code takes the mean.
    """
    terms = []
    for t in range(target_views):
        q = sinkhorn(_stop(scores[t], stop_gradient), epsilon, iterations)  # (N, K)
        for s in range(len(scores)):
            if s == t:
                continue
            for n in range(len(q)):
                log_p = torch.log_softmax(scores[s][n] / temperature, dim=0)  # (K,)
                terms.append(-_sum([q[n, k] * log_p[k] for k in range(len(log_p))]))
    return _mean(terms)


def cross_entropy_channels(p: list[Tensor], z: list[Tensor]) -> Tensor:
    """SimSiam [0], Sec. 4.5: D(p, z) = -softmax(z) . log softmax(p) over channels, symmetrised; sg on z."""
    terms = []
    for i, j in _ordered_pairs(len(p)):
        for n in range(len(p[i])):
            target = torch.softmax(z[j][n].detach(), dim=0)  # (D,)
            terms.append(-torch.dot(target, torch.log_softmax(p[i][n], dim=0)))
    return _mean(terms)


def ema(online: list[Tensor], target: list[Tensor], decay: float) -> list[Tensor]:
    """BYOL [1], eq. 1 and MoCo [3], eq. 2: xi <- tau xi + (1 - tau) theta. Returns new tensors."""
    return [
        decay * xi.detach() + (1 - decay) * theta.detach() for theta, xi in zip(online, target, strict=True)
    ]


def byol_decay(base: float, step: int, total: int) -> float:
    """BYOL [1], "Implementation details", optimization: tau = 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2."""
    return 1 - (1 - base) * (math.cos(math.pi * step / total) + 1) / 2


def lars_step(
    weight: Tensor,
    grad: Tensor,
    momentum_buffer: Tensor,
    lr: float,
    momentum: float,
    weight_decay: float,
    trust: float,
    clip: bool = False,
) -> tuple[Tensor, Tensor]:
    """LARS [5], eq. 6, for one parameter, as apex's LARC does it. Returns (weight, buffer).

    ratio = trust |w| / (|g| + wd |w|),  v = m v + ratio (g + wd w),  w = w - lr v;  clip: ratio = min(ratio / lr, 1).

    Where a norm is zero, apex leaves g untouched, without ratio and without decay. Its eps of 1e-8 in the
    denominator is left out here. The official SimCLR and BYOL code take |g + wd w| as the denominator
    instead, and SimCLR's and [5]'s v includes lr.
    """
    w_norm, g_norm = float(weight.norm()), float(grad.norm())
    update = grad
    if w_norm > 0 and g_norm > 0:
        ratio = trust * w_norm / (g_norm + weight_decay * w_norm)
        if clip:
            ratio = min(ratio / lr, 1.0)
        update = ratio * (grad + weight_decay * weight)
    v = momentum * momentum_buffer + update
    return weight - lr * v, v


def _ordered_pairs(views: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(views) for j in range(views) if i != j]


def _stop(x: Tensor, stop_gradient: bool) -> Tensor:
    return x.detach() if stop_gradient else x


def _unit(x: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).sum())


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(_unit(a), _unit(b))


def _cross_entropy(logits: list[Tensor], positive: int) -> Tensor:
    return torch.logsumexp(torch.stack(logits), dim=0) - logits[positive]


def _sum(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()


def _mean(terms: list[Tensor]) -> Tensor:
    return _sum(terms) / len(terms)
