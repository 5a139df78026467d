"""BYOL: the online network predicts the output of its own moving average.

    z  = g(f(t(x)))                    online: encoder f and projector g, weights theta
    z' = g(f(t'(x)))                   target: the same, weights xi
    L  = | q(z)/|q(z)| - sg(z')/|z'| |^2  =  2 - 2 cos(q(z), z'),   summed over both orders of the views
    xi <- tau xi + (1 - tau) theta     after each step; tau rises from tau_base to 1 along a cosine

In the grid's terms: SimSiam with a momentum encoder. The sum over both orders is four times the grid's mean
of - cos, up to a constant, hence `loss_scale: 4`; with LARS this matters to biases and BN alone, which it
does not adapt.

Where paper and code differ: the paper's results are with BN scales of 1; the code starts the last one of each
residual block at 0, `backbone.zero_init_last: true`. This follows the paper (the code's README finds no difference
for ResNet-50).

Likewise colours and the blur's borders: torchvision's here, the code's with `augment.jitter.operations: byol` and
`augment.blur.padding: zeros`, as in the experiments imagenet/byol and its lengths.

The target network normalises by its own batch statistics, and the moving average covers parameters only.

- [0] BYOL, 2020, https://arxiv.org/abs/2006.07733 (Sec. 3, Eq. 2; Appendix J)
- [1] official code, https://github.com/google-deepmind/deepmind-research/tree/master/byol
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("byol")
class BYOL(Siamese):
    """BYOL (Grill et al., 2020): predicts the output of a momentum encoder."""

    paper = GridPoint(
        stop_gradient=True,
        predictor="mlp",
        momentum_encoder=True,
        similarity="cosine",
        negatives="none",
        assignment="identity",
        symmetric=True,
    )
