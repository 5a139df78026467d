"""Zhang et al., 2022, https://arxiv.org/abs/2203.16262, as loops over pairs and images; nothing of ssl_zoo.

A list holds one tensor of shape (N, D) per view; row n of every view comes from image n. sg is no operation here:
`z_fixed` and `h_fixed` are the same embeddings and the same predictor computed from copies of the weights, of which
nobody asks for a gradient. `h` maps (N, D) to (N, D).
"""

from collections.abc import Callable

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def mirror(z: list[Tensor], z_fixed: list[Tensor], h: Map) -> Tensor:
    """Fig. 1 c: D(z_i, h(sg z_j)), mean over images and ordered pairs; the encoder learns from z_i alone."""
    return _mean_over_pairs(z, [h(view) for view in z_fixed])


def both_sides(z: list[Tensor], z_fixed: list[Tensor], h: Map, h_fixed: Map) -> Tensor:
    """Table 2, symmetric predictor: D(h(z_i), sg h(z_j)), mean over images and ordered pairs."""
    return _mean_over_pairs([h(view) for view in z], [h_fixed(view) for view in z_fixed])


def inverse(
    z: list[Tensor], z_fixed: list[Tensor], h: Map, h_fixed: Map, h_inv: Map, h_inv_fixed: Map
) -> tuple[Tensor, Tensor]:
    """Fig. 3: D(h(z_i), sg h_inv(h(z_j))) over the ordered pairs; and what trains h_inv, D(h_inv(sg h(z_i)), sg z_i).

    The first is of all ordered pairs of views, the second of all views; both are means over images.
    """
    main = _mean_over_pairs([h(view) for view in z], [h_inv_fixed(h_fixed(view)) for view in z_fixed])
    terms = []
    for view in z_fixed:
        recovered = h_inv(h_fixed(view).detach())
        terms += [negative_cosine(recovered[n], view[n]) for n in range(len(view))]
    return main, torch.stack(terms).mean()


def expectation(p: list[Tensor], z_further: list[Tensor]) -> Tensor:
    """Table 1: D(p_i, sg E), E = mean over further views k of z_k/|z_k|, mean over images and anchors."""
    terms = []
    for n in range(len(p[0])):
        mean = torch.zeros_like(z_further[0][n])
        for z in z_further:
            mean = mean + z[n] / torch.sqrt((z[n] * z[n]).sum()) / len(z_further)
        terms += [negative_cosine(view[n], mean) for view in p]
    return torch.stack(terms).mean()


def negative_cosine(a: Tensor, b: Tensor) -> Tensor:
    """- a/|a| . b/|b| of two vectors (D,)."""
    return -(a * b).sum() / torch.sqrt((a * a).sum()) / torch.sqrt((b * b).sum())


def _mean_over_pairs(p: list[Tensor], t: list[Tensor]) -> Tensor:
    pairs = [(i, j) for i in range(len(p)) for j in range(len(t)) if i != j]
    terms = [negative_cosine(p[i][n], t[j][n]) for i, j in pairs for n in range(len(p[i]))]
    return torch.stack(terms).mean()
