"""MoCo v3: queries against the keys of a momentum encoder, negatives are the other keys of the batch.

    q_i = h(f_q(x_i)),  k_j = f_k(x_j)                 h the predictor, f_k the moving average of f_q
    ctr(q, k) = - 2 tau log  exp(q.k+ / tau) / sum over the batch's keys k of exp(q.k / tau)
    L = ctr(q_1, k_2) + ctr(q_2, k_1)
    theta_k <- m theta_k + (1 - m) theta_q;            m rises from its base to 1 along a cosine

In the grid's terms: BYOL with InfoNCE for the cosine, negatives from the other view's keys in all processes (SimCLR
takes those of the anchor's view as well). The sum of two terms, each times 2 tau, is 4 tau times the grid's mean:
`loss_scale: 4` at the temperature of 1; another temperature wants another scale.

Where paper and code differ: the paper moves f_k after the step, and so do we; the code moves it before the next forward
pass, by that step's m. On transformers the code has a projector of three layers, BN without scale and shift on the
predictor's output and a frozen patch embedding: experiment=imagenet/mocov3_vit.

- [0] MoCo v3, 2021, https://arxiv.org/abs/2104.02057 (Algorithm 1)
- [1] official code, https://github.com/facebookresearch/moco-v3
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("mocov3")
class MoCoV3(Siamese):
    """MoCo v3 (Chen et al., 2021): contrasts predictions with the batch's keys of a momentum encoder."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="mlp",
        momentum_encoder=True,
        similarity="info_nce",
        negatives="keys",
        assignment="identity",
        symmetric=True,
    )
