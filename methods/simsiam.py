"""SimSiam: two views, one encoder, a predictor, and a stop-gradient.

    z1, z2 = f(x1), f(x2)              f: backbone and projection MLP
    p1, p2 = h(z1), h(z2)              h: prediction MLP
    L = D(p1, sg(z2)) / 2 + D(p2, sg(z1)) / 2
    D(p, z) = - p/|p| . z/|z|

In the grid's terms: stop-gradient and a predictor, no momentum encoder, no negatives. Without either of the
two it collapses (Fig. 2; Table 1).

Where paper and code differ: the projector's output BN has an affine transform in the paper's default
(Table 3c compares with its removal) and none in the official code; this follows the paper.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Algorithm 1)
- [1] official code, https://github.com/facebookresearch/simsiam
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("simsiam")
class SimSiam(Siamese):
    """SimSiam (Chen & He, 2020): a predictor and stop-gradient, nothing else."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="mlp",
        momentum_encoder=False,
        similarity="cosine",
        negatives="none",
        assignment="identity",
        symmetric=True,
    )
