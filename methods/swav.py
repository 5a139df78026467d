"""SwAV: each view predicts the other view's code, a soft assignment to prototypes.

    s_i = C^T z_i / |z_i|                              scores against K unit prototypes C
    q_j = Sinkhorn(s_j)                                codes: over a batch, all prototypes used equally
    L = mean over pairs of  - q_j . log softmax(s_i / tau)

In the grid's terms: cross-entropy over prototypes, Sinkhorn assignment, no predictor. Stop-gradient lies on
the codes; switched off, the gradient flows through Sinkhorn (it diverges in the SimSiam paper, Sec. 6.2).

As in the official code the prototypes are put back on the unit sphere before each step, outside the gradient
(`prototypes.normalization: gradient` is the SimSiam paper's way), and the views pass the encoder as one batch
(`joint_batch`). The first two views are targets; further, smaller ones (multi-crop) only predict.

- [0] SwAV, 2020, https://arxiv.org/abs/2006.09882 (Sec. 3, Eq. 2-6; Listing 1)
- [1] official code, https://github.com/facebookresearch/swav
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("swav")
class SwAV(Siamese):
    """SwAV (Caron et al., 2020): predicts cluster assignments across views."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="identity",
        momentum_encoder=False,
        similarity="cross_entropy",
        negatives="none",
        assignment="sinkhorn",
        symmetric=True,
    )
