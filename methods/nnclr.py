"""NNCLR: the positive is not the other view itself but its nearest neighbour among earlier embeddings.

    z_i = f(x_i),  p_i = h(z_i),  n_i = NN(z_i, Q)         Q a queue of embeddings, n_i the one with the largest cosine
    L(n, p+) = - log  exp(n.p+ / tau) / sum over the batch's predictions p of exp(n.p / tau)
    L = L(n_1, p_2)/2 + L(n_2, p_1)/2;                     then z_1 enters Q, the oldest leave it

In the grid's terms: InfoNCE with the nearest neighbour as assignment. The neighbour n_j is the target of p_i and a
constant. It seeks its prediction among those of all images, `negatives: predictions`; the paper's other direction, p_i
seeking its neighbour among the others' neighbours, is `negatives: keys`. No momentum encoder
(`momentum_encoder.enabled=true` has one).

Q holds unit vectors, random at first, and takes the first view's embeddings once per optimizer step, of all processes.

- [0] NNCLR, 2021, https://arxiv.org/abs/2104.14548
- [1] solo-learn, https://github.com/vturrisi/solo-learn (losses/nnclr.py, methods/nnclr.py), by which we check a step
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("nnclr")
class NNCLR(Siamese):
    """NNCLR (Dwibedi et al., 2021): the nearest neighbour in a queue of embeddings is the positive."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="mlp",
        momentum_encoder=False,
        similarity="info_nce",
        negatives="predictions",
        assignment="nearest_neighbor",
        symmetric=True,
    )
