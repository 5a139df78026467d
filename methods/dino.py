"""DINO: a student predicts the centred and sharpened distribution of a teacher that is its moving average.

    s_i = C^T z_i / |z_i|                              the student's scores, C: K unit prototypes
    q_j = softmax( (s'_j - c) / tau_t )                the teacher's, centred and sharpened; s' from moving averages
    L = mean over pairs i != j of  - q_j . log softmax(s_i / tau_s)
    c <- m c + (1 - m) mean of s';   theta_t <- l theta_t + (1 - l) theta_s, prototypes too, l rising to 1

In the grid's terms: SwAV with a momentum encoder, whose average covers the prototypes (`momentum_encoder.prototypes`),
and with centring in Sinkhorn's place. Centring alone spreads the outputs over all prototypes, sharpening
(`sharpening.temperature` below `temperature`) alone gathers them on one; together they collapse to neither
(`centering.decay=1` and `sharpening.temperature=null` switch them off). Only the large views are targets.

The head is the code's: three layers with GELU and without BN, then the unit prototypes, whose length the gradient does
not see (weight normalisation with its scale fixed at 1). What differs from the code: it draws the head's weights from a
normal distribution of std 0.02, drops paths of the student's ViT (0.1), clips each parameter's gradient by itself where
`optimizer.clip_grad_norm` clips all as one vector, and leaves the frozen prototypes out of Adam's count of steps.

- [0] DINO, 2021, https://arxiv.org/abs/2104.14294 (Sec. 3, Eq. 1-4, Algorithm 1; Appendix C)
- [1] official code, https://github.com/facebookresearch/dino
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("dino")
class DINO(Siamese):
    """DINO (Caron et al., 2021): predicts the centred, sharpened output of a momentum encoder."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="identity",
        momentum_encoder=True,
        similarity="cross_entropy",
        negatives="none",
        assignment="centering",
        symmetric=True,
        momentum_prototypes=True,
    )
