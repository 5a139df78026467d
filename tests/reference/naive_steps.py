"""One training step of each method as its paper's pseudo-code has it: plain torch, nothing of ssl_zoo.

A step takes named weights, does the forward pass (linear layers and training-mode batch norm by formula),
the loss, the gradients, the optimizer's formula, the momentum encoder and the queue, and returns all of it
as new tensors. The backbone is one linear layer on the flattened view. `Weights` is a flat dict: a linear
layer named n has n.weight (out, in) and perhaps n.bias (out,), a batch norm n.gamma and perhaps n.beta, both
(out,). A name that a method lacks raises KeyError; one that it never reads makes autograd raise. Views are
(N, ...) tensors of the weights' dtype, row n of each from image n. Nothing else is validated. The file is
long so that the five steps can be compared side by side.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733
- [2] SimCLR, 2020, https://arxiv.org/abs/2002.05709
- [3] MoCo, 2019, https://arxiv.org/abs/1911.05722; MoCo v2, 2020, https://arxiv.org/abs/2003.04297
- [4] SwAV, 2020, https://arxiv.org/abs/2006.09882
- [5] LARS, 2017, https://arxiv.org/abs/1708.03888
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Weights = dict[str, Tensor]


class Step(NamedTuple):
    """What a step leaves. `gradients` are the loss's, before any is dropped; `target` and `queue` are empty
    and `pointer` is 0 where the method has none."""

    loss: Tensor
    gradients: Weights
    weights: Weights
    buffers: Weights
    target: Weights
    queue: Tensor
    pointer: int


def simsiam_step(
    weights: Weights,
    buffers: Weights,
    views: list[Tensor],
    lr: float,
    predictor_lr: float,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Step:
    """SimSiam [0], Algorithm 1: L = D(p1, sg z2)/2 + D(p2, sg z1)/2; SGD, decay on every parameter.

    `predictor_lr` is the predictor's own rate, constant in Table 1(c), while `lr` is the scheduled one.
    """
    w = _leaves(weights)
    z1, z2 = simsiam_encoder(w, views[0]), simsiam_encoder(w, views[1])  # (N, D)
    p1, p2 = simsiam_predictor(w, z1), simsiam_predictor(w, z2)  # (N, D)
    loss = negative_cosine(p1, z2.detach()) / 2 + negative_cosine(p2, z1.detach()) / 2
    g = _gradients(loss, w)
    rates = {name: predictor_lr if name.startswith("predictor") else lr for name in w}
    new, v = {}, {}
    for name in w:
        new[name], v[name] = sgd(weights[name], g[name], buffers[name], rates[name], momentum, weight_decay)
    return Step(loss.detach(), g, new, v, {}, torch.empty(0), 0)


def simsiam_encoder(w: Weights, x: Tensor) -> Tensor:
    """f of [0], (N, D): BN on every layer of the 3-layer projector, no ReLU on the output.

    The output's batch norm has no affine parameters where the weights have none: Sec. 4.4 and the official
    code; Table 3(c), the paper's default, has them.
    """
    y = linear(w, "backbone", x.flatten(1))
    y = torch.relu(batch_norm(linear(w, "projector1", y), w["bn1.gamma"], w["bn1.beta"]))
    y = torch.relu(batch_norm(linear(w, "projector2", y), w["bn2.gamma"], w["bn2.beta"]))
    return batch_norm(linear(w, "projector3", y), w.get("bn3.gamma"), w.get("bn3.beta"))


def simsiam_predictor(w: Weights, z: Tensor) -> Tensor:
    """h of [0]: linear, BN, ReLU, linear, nothing on the output (N, D)."""
    hidden = batch_norm(linear(w, "predictor1", z), w["predictor_bn.gamma"], w["predictor_bn.beta"])
    return linear(w, "predictor2", torch.relu(hidden))


def byol_step(
    weights: Weights,
    target: Weights,
    buffers: Weights,
    views: list[Tensor],
    lr: float,
    step: int,
    total_steps: int,
    tau_base: float,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 1e-3,
) -> Step:
    """BYOL [1], eq. 2 and Algorithm 1: L = |q1/|q1| - z2'/|z2'||^2 + the same with the views swapped, then

    xi <- tau xi + (1 - tau) theta with the updated theta, tau = 1 - (1 - tau_base)(cos(pi k / K) + 1)/2, k
    counting from 0. The target has the encoder alone and batch statistics of its own. LARS leaves biases and
    batch norm out of decay and adaptation.
    """
    w = _leaves(weights)
    q1 = _byol_head(w, "predictor", _byol_encoder(w, views[0]))  # (N, D)
    q2 = _byol_head(w, "predictor", _byol_encoder(w, views[1]))  # (N, D)
    z1, z2 = _byol_encoder(target, views[0]).detach(), _byol_encoder(target, views[1]).detach()  # (N, D)
    loss = ((unit(q1) - unit(z2)) ** 2).sum(dim=1).mean() + ((unit(q2) - unit(z1)) ** 2).sum(dim=1).mean()
    g = _gradients(loss, w)
    new, v = _lars_without_norm_and_bias(weights, g, buffers, lr, momentum, weight_decay, trust)
    tau = 1 - (1 - tau_base) * (math.cos(math.pi * step / total_steps) + 1) / 2
    return Step(loss.detach(), g, new, v, moving_average(target, new, tau), torch.empty(0), 0)


def _byol_encoder(w: Weights, x: Tensor) -> Tensor:
    return _byol_head(w, "projector", linear(w, "backbone", x.flatten(1)))


def _byol_head(w: Weights, name: str, x: Tensor) -> Tensor:
    hidden = batch_norm(linear(w, f"{name}1", x), w[f"{name}_bn.gamma"], w[f"{name}_bn.beta"])
    return linear(w, f"{name}2", torch.relu(hidden))


def simclr_step(
    weights: Weights,
    buffers: Weights,
    views: list[Tensor],
    lr: float,
    temperature: float,
    joint_statistics: bool,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 1e-3,
    summed: bool = False,
) -> Step:
    """SimCLR [2], eq. 1 and Algorithm 1 over x_1 .. x_2N, where x_2k-1 and x_2k come from image k.

    l(i, j) = -log exp(s_ij / tau) / sum_{k != i} exp(s_ik / tau), L = sum_k [l(2k-1, 2k) + l(2k, 2k-1)]/2N.
    The output's batch norm scales and does not centre. LARS as in `byol_step`. The official code passes both
    views as one batch: with `joint_statistics` the batch norm's mean and variance are over the 2N. It also adds the
    means of its two directions, l(2k-1, 2k) and l(2k, 2k-1): `summed`.
    """
    w = _leaves(weights)
    z1, z2 = _each_view(lambda x: _simclr_encoder(w, x), views, joint_statistics)  # (N, D)
    z = torch.stack([z1, z2], dim=1).flatten(0, 1)  # (2N, D), rows 2k and 2k + 1 from image k
    s = unit(z) @ unit(z).T / temperature  # (2N, 2N)
    terms = []
    for i in range(len(z)):
        j = i + 1 if i % 2 == 0 else i - 1
        terms.append(torch.log(sum(torch.exp(s[i, k]) for k in range(len(z)) if k != i)) - s[i, j])
    one, other = torch.stack(terms[::2]).mean(), torch.stack(terms[1::2]).mean()
    loss = one + other if summed else torch.stack(terms).mean()
    g = _gradients(loss, w)
    new, v = _lars_without_norm_and_bias(weights, g, buffers, lr, momentum, weight_decay, trust)
    return Step(loss.detach(), g, new, v, {}, torch.empty(0), 0)


def _simclr_encoder(w: Weights, x: Tensor) -> Tensor:
    y = linear(w, "backbone", x.flatten(1))
    y = torch.relu(batch_norm(linear(w, "projector1", y), w["bn1.gamma"], w["bn1.beta"]))
    return batch_norm(linear(w, "projector2", y), w["bn2.gamma"])


def moco_step(
    weights: Weights,
    target: Weights,
    buffers: Weights,
    queue: Tensor,
    pointer: int,
    views: list[Tensor],
    lr: float,
    temperature: float,
    m: float,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> Step:
    """MoCo [3], Algorithm 1 with the head of v2: the query is view 1, the key view 2.

    logits = [q.k, q.queue]/tau with class 0 right; SGD with decay on every parameter; then
    theta_k <- m theta_k + (1 - m) theta_q; then the keys replace the oldest of the queue (K, D), whose next
    row to replace is `pointer`. q and k are unit vectors.
    """
    w = _leaves(weights)
    q = unit(_moco_encoder(w, views[0]))  # (N, D)
    k = unit(_moco_encoder(target, views[1])).detach()  # (N, D)
    l_pos = (q * k).sum(dim=1, keepdim=True)  # (N, 1)
    l_neg = q @ queue.T  # (N, K)
    logits = torch.cat([l_pos, l_neg], dim=1) / temperature  # (N, 1 + K)
    loss = (torch.log(torch.exp(logits).sum(dim=1)) - logits[:, 0]).mean()
    g = _gradients(loss, w)
    new, v = {}, {}
    for name in w:
        new[name], v[name] = sgd(weights[name], g[name], buffers[name], lr, momentum, weight_decay)
    queue = queue.clone()
    for key in k:
        queue[pointer] = key
        pointer = (pointer + 1) % len(queue)
    return Step(loss.detach(), g, new, v, moving_average(target, new, m), queue, pointer)


def _moco_encoder(w: Weights, x: Tensor) -> Tensor:
    hidden = torch.relu(linear(w, "projector1", linear(w, "backbone", x.flatten(1))))
    return linear(w, "projector2", hidden)


def swav_step(
    weights: Weights,
    buffers: Weights,
    views: list[Tensor],
    lr: float,
    temperature: float,
    epsilon: float,
    iterations: int,
    freeze_prototypes: bool,
    joint_statistics: bool,
    momentum: float = 0.9,
    weight_decay: float = 1e-6,
    trust: float = 1e-3,
) -> Step:
    """SwAV [4], the algorithm of its appendix and the official code: views 1 and 2 give codes q, every other
    view predicts them, L = mean over pairs of -sum_k q_k log softmax(scores/tau)_k.

    The prototypes are made unit vectors before the forward pass, in the weights themselves, so the gradient
    is with respect to the unit vectors. While they are frozen, in the first epoch, their gradient is dropped:
    no update, no decay, no momentum. LARS on every parameter, as apex's LARC(clip=False). The official code
    runs the head on all views as one batch: see `joint_statistics` of `simclr_step`.
    """
    weights = dict(weights, prototypes=unit(weights["prototypes"]))
    w = _leaves(weights)
    z = _each_view(lambda x: _swav_encoder(w, x), views, joint_statistics)
    scores = [unit(view) @ w["prototypes"].T for view in z]  # (N, K) each
    terms = []
    for t in range(2):
        q = sinkhorn(scores[t].detach(), epsilon, iterations)  # (N, K)
        for s in range(len(views)):
            if s != t:
                p = torch.softmax(scores[s] / temperature, dim=1)  # (N, K)
                terms.append(-(q * torch.log(p)).sum(dim=1).mean())
    loss = torch.stack(terms).mean()
    g = _gradients(loss, w)
    new, v = dict(weights), dict(buffers)
    for name in w:
        if freeze_prototypes and name == "prototypes":
            continue
        new[name], v[name] = lars(weights[name], g[name], buffers[name], lr, momentum, weight_decay, trust)
    return Step(loss.detach(), g, new, v, {}, torch.empty(0), 0)


def _swav_encoder(w: Weights, x: Tensor) -> Tensor:
    y = linear(w, "backbone", x.flatten(1))
    y = torch.relu(batch_norm(linear(w, "projector1", y), w["bn1.gamma"], w["bn1.beta"]))
    return linear(w, "projector2", y)


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """SwAV [4], `sinkhorn` of the appendix's listing: scores (N, K) to codes (N, K), rows of sum 1."""
    Q = torch.exp(scores / epsilon).T  # (K, N)
    Q = Q / Q.sum()
    K, N = Q.shape
    for _ in range(iterations):
        Q = Q * (1 / K) / Q.sum(dim=1, keepdim=True)
        Q = Q * (1 / N) / Q.sum(dim=0, keepdim=True)
    return (Q / Q.sum(dim=0, keepdim=True)).T


def multi_step(
    encode: Callable[[Weights, Tensor], Tensor],
    predict: Callable[[Weights, Tensor], Tensor],
    weights: Weights,
    buffers: Weights,
    batches: list[tuple[Tensor, Tensor]],
    rates: list[dict[str, float]],
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
) -> list[Step]:
    """SimSiam [0], Sec. 5.2, "Multi-step alternation": one alternation of k = len(batches) SGD steps.

    eq. 9 first: eta = encode(theta, x) of both views of all k batches, theta the weights at the start, kept.
    eq. 8 then, k steps: L = D(p1, eta2)/2 + D(p2, eta1)/2 with p from the weights as they are by then.
    `encode(w, x)` gives z (N, D) and `predict(w, z)` gives p (N, D), both with training-mode batch norm;
    `rates[t]` holds every parameter's learning rate in step t. k = 1 is SimSiam. Returns the k steps.
    """
    eta = [(encode(weights, x1).detach(), encode(weights, x2).detach()) for x1, x2 in batches]
    steps = []
    for (x1, x2), (eta1, eta2), rate in zip(batches, eta, rates, strict=True):
        w = _leaves(weights)
        p1, p2 = predict(w, encode(w, x1)), predict(w, encode(w, x2))  # (N, D)
        loss = negative_cosine(p1, eta2) / 2 + negative_cosine(p2, eta1) / 2
        g = _gradients(loss, w)
        new, v = {}, {}
        for name in w:
            new[name], v[name] = sgd(
                weights[name], g[name], buffers[name], rate[name], momentum, weight_decay
            )
        weights, buffers = new, v
        steps.append(Step(loss.detach(), g, new, v, {}, torch.empty(0), 0))
    return steps


def moving_average_targets(memory: Tensor, index: Tensor, z: Tensor, m: float) -> tuple[Tensor, Tensor]:
    """SimSiam [0], Sec. 5.2, "Expectation over augmentations": eta_x <- m eta_x + (1 - m) z_x/|z_x|.

    `memory` (M, D) holds eta of every image, `index` (N,) the images of `z` (N, D). Returns the targets
    (N, D), each eta_x just after its update and not normalised, and a new memory. An image that comes twice
    is updated twice, in the order of the batch. No gradient passes.
    """
    memory = memory.detach().clone()
    targets = []
    for n, x in enumerate(index.tolist()):
        z_x = z[n].detach()  # (D,)
        memory[x] = m * memory[x] + (1 - m) * z_x / math.sqrt(float((z_x * z_x).sum()))
        targets.append(memory[x].clone())
    return torch.stack(targets), memory


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """y = x W^T + b, (N, out); without b where the weights have none."""
    y = x @ w[f"{name}.weight"].T
    return y + w[f"{name}.bias"] if f"{name}.bias" in w else y


def batch_norm(x: Tensor, gamma: Tensor | None = None, beta: Tensor | None = None) -> Tensor:
    """gamma (x - mean) / sqrt(var + 1e-5) + beta over the batch, (N, C), with the biased variance."""
    mean = x.sum(dim=0) / len(x)  # (C,)
    variance = ((x - mean) ** 2).sum(dim=0) / len(x)  # (C,)
    y = (x - mean) / torch.sqrt(variance + 1e-5)
    y = y if gamma is None else gamma * y
    return y if beta is None else y + beta


def unit(x: Tensor) -> Tensor:
    """Rows over their lengths, (N, D)."""
    return x / torch.sqrt((x * x).sum(dim=1, keepdim=True))


def negative_cosine(p: Tensor, z: Tensor) -> Tensor:
    """D of SimSiam [0], eq. 1, batch mean; z is already stopped."""
    return -(unit(p) * unit(z)).sum(dim=1).mean()


def moving_average(target: Weights, weights: Weights, tau: float) -> Weights:
    """xi <- tau xi + (1 - tau) theta for every name of the target."""
    return {name: tau * xi + (1 - tau) * weights[name] for name, xi in target.items()}


def sgd(
    w: Tensor, g: Tensor, v: Tensor, lr: float, momentum: float, weight_decay: float
) -> tuple[Tensor, Tensor]:
    """v <- momentum v + g + weight_decay w;  w <- w - lr v. Returns (w, v)."""
    v = momentum * v + g + weight_decay * w
    return w - lr * v, v


def lars(
    w: Tensor, g: Tensor, v: Tensor, lr: float, momentum: float, weight_decay: float, trust: float
) -> tuple[Tensor, Tensor]:
    """LARS [5], eq. 6, as apex's LARC(clip=False) has it. Returns (w, v).

    v <- momentum v + trust |w| / (|g| + weight_decay |w| + 1e-8) (g + weight_decay w);  w <- w - lr v.
    Where |w| or |g| is 0 apex takes g as it is. The official SimCLR and BYOL code divide by
    |g + weight_decay w|, and SimCLR's v includes lr; one formula serves all three methods here.
    """
    w_norm, g_norm = math.sqrt(float((w * w).sum())), math.sqrt(float((g * g).sum()))
    if w_norm > 0 and g_norm > 0:
        g = trust * w_norm / (g_norm + weight_decay * w_norm + 1e-8) * (g + weight_decay * w)
    v = momentum * v + g
    return w - lr * v, v


def _lars_without_norm_and_bias(
    weights: Weights,
    g: Weights,
    buffers: Weights,
    lr: float,
    momentum: float,
    weight_decay: float,
    trust: float,
) -> tuple[Weights, Weights]:
    """LARS on the linear layers' weights; plain momentum SGD without decay on gammas, betas and biases."""
    new, v = {}, {}
    for name in weights:
        if name.endswith(".weight"):
            new[name], v[name] = lars(
                weights[name], g[name], buffers[name], lr, momentum, weight_decay, trust
            )
        else:
            new[name], v[name] = sgd(weights[name], g[name], buffers[name], lr, momentum, 0.0)
    return new, v


def _each_view(encode: Callable[[Tensor], Tensor], views: list[Tensor], joint: bool) -> list[Tensor]:
    """Each view's z (N, D); `joint` passes all views through as one batch."""
    if not joint:
        return [encode(x) for x in views]
    return list(encode(torch.cat(views)).split(len(views[0])))


def _leaves(weights: Weights) -> Weights:
    return {name: w.detach().clone().requires_grad_() for name, w in weights.items()}


def _gradients(loss: Tensor, w: Weights) -> Weights:
    return dict(zip(w, torch.autograd.grad(loss, list(w.values())), strict=True))
