"""SimCLR: the two views of an image attract, all other images of the batch repel.

    z_i = g(f(x_i)),  2N views of N images
    l(i, j) = - log  exp(cos(z_i, z_j) / tau) / sum over k != i of exp(cos(z_i, z_k) / tau)
    L = mean of l(i, j) over both orders of all positive pairs            (NT-Xent)

In the grid's terms: InfoNCE with the batch as negatives, no predictor, no stop-gradient. With a predictor
and stop-gradient (SimSiam paper, Sec. 6.2) the anchor is h(z_i), and its keys are sg(z_j) of the other view
for all images and sg(z_i) of its own view for all other images; with h = identity and sg off that is
NT-Xent to the last digit.

The mean is the paper's. The official code adds up the means of the two directions: `loss_scale: 2`, as in the
experiment imagenet/simclr. With LARS both move the weights alike, as it divides by the gradient's norm; biases and
BN, which it does not adapt, move half as far with the mean.

Contrast, saturation and the blur's borders are torchvision's, as in the paper's PyTorch sketch (Appendix A). The
official code's are `augment.jitter.operations: simclr` and `augment.blur.padding: zeros`, as in imagenet/simclr.

As in the official code both views pass the encoder as one batch (`joint_batch`), so that BN normalises them
together, and the projector's output BN scales and does not shift (`projector.bn_output_center: false`).

- [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709 (Algorithm 1, Eq. 1)
- [1] official code, https://github.com/google-research/simclr
"""

from ssl_zoo.config.registries import register
from ssl_zoo.equation import GridPoint, Siamese


@register("simclr")
class SimCLR(Siamese):
    """SimCLR (Chen et al., 2020): contrasts with the other images of the batch."""

    paper = GridPoint(
        stop_gradient=False,
        predictor="identity",
        momentum_encoder=False,
        similarity="info_nce",
        negatives="batch",
        assignment="identity",
        symmetric=True,
    )
