"""MoCo v2: queries against the keys of a momentum encoder, negatives from a queue of earlier keys.

    q = f_q(x_q),  k = f_k(x_k)
    L = - log  exp(q.k / tau) / (exp(q.k / tau) + sum over queue k' of exp(q.k' / tau))
    theta_k <- m theta_k + (1 - m) theta_q;   then k enters the queue, the oldest leave it

In the grid's terms: InfoNCE with a queue and a momentum encoder, asymmetric (the first view is the query).
`method.symmetric=true` is the SimSiam paper's "+": both orders against the same queue, which both views'
keys enter only after both terms. Its loss is the mean over both orders; FAIR's code for it [3] adds them up, a
step twice as long with SGD: `loss_scale: 2`, as in the experiment imagenet/moco_plus.

BN statistics are those of each process, and the momentum encoder's batches are shuffled over the processes
(`batch_norm: local`, `momentum_encoder.shuffle_bn: true`); with one process that changes nothing.

- [0] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Algorithm 1, Eq. 1 and 2)
- [1] MoCo v2, 2020, https://arxiv.org/abs/2003.04297 (MLP head, stronger augmentation, cosine schedule)
- [2] official code, https://github.com/facebookresearch/moco
- [3] colab/moco_cifar10_demo.ipynb in [2]
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("moco")
class MoCo(Siamese):
    """MoCo v2 (Chen et al., 2020): contrasts with a queue of a momentum encoder's keys."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="identity",
        momentum_encoder=True,
        similarity="info_nce",
        negatives="queue",
        assignment="identity",
        symmetric=False,
    )
