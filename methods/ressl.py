"""ReSSL: an image's relations to the images of a queue shall be those that its weakly augmented view has.

    q = f_q(x_strong),  k = f_k(x_weak),  Q = the queue of earlier k, all of unit length
    L = - softmax(Q k / tau_t) . log softmax(Q q / tau_s),   tau_t < tau_s
    theta_k <- m theta_k + (1 - m) theta_q;   then k enters the queue, the oldest leave it

In the grid's terms: MoCo v2 with `similarity: relational` in InfoNCE's place, asymmetric: the first view predicts, and
the second, which is only cropped and mirrored, is the target. Nothing is pushed away: the vectors of the queue are
what both sides are compared with, and no image is a positive or a negative.

As in MoCo, BN statistics are those of each process, and the momentum encoder's batches are shuffled over the processes
(`batch_norm: local`, `momentum_encoder.shuffle_bn: true`); with one process that changes nothing.

- [0] ReSSL, 2021, https://arxiv.org/abs/2107.09282 (Sec. 3, Eq. 3-6, Algorithm 1)
- [1] official code, https://github.com/KyleZheng1997/ReSSL
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("ressl")
class ReSSL(Siamese):
    """ReSSL (Zheng et al., 2021): predicts a weak view's relations to the images of a queue."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="identity",
        momentum_encoder=True,
        similarity="relational",
        negatives="queue",
        assignment="identity",
        symmetric=False,
    )
