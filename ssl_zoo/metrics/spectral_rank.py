"""Spectral rank: in how many directions do the embeddings of different images differ?

Neither of the usual ranks answers that. The effective rank is 47 for a healthy spectrum of 128 directions that decays
like 1 / k^2, and 48 for three directions with a thousandth of the energy as noise in 1,000 others. A numerical rank
counts noise as directions.

So a direction counts as long as the spectrum, from the strongest direction on, has kept above a power law. With
lambda_1 >= lambda_2 >= ... the energies in the principal directions and s(k) the fraction of energy beyond the k
strongest,

    s(k) = sum_{j > k} lambda_j / sum_j lambda_j,      rank = least k >= 1 with  s(k) < (k+1)^-4 / sum_{j <= k+1} j^-4

the right side being what is left to the last of k + 1 directions whose energies decay like j^-4. That is the spectrum
of integrated Brownian motion, the roughest random line that has a tangent (its covariance inverts d^4/dt^4 [0];
Brownian motion itself, without tangents, has j^-2). Likewise responses that vary smoothly over a d-dimensional set of
images decay faster than j^-(1 + 2/d) [1], over a line faster than j^-3. So from where a spectrum falls below j^-4 on,
the images do not differ in further directions by more than a smooth line would that they lie along.

- k directions of equal energy have the rank k, C balanced classes at equal angles have C - 1.
- A power law with an exponent up to 4 has the rank of all its directions.
- Noise beyond k directions adds none while it is below the law: 3 directions with a thousandth of the energy as noise
  have the rank 3, wherever the noise lies.
- Energy moved from a direction to a stronger one never raises the rank.

On CIFAR images SimSiam has four strong directions and s(4) = 0.009 in the fifth to 64th, above the law's 0.0015, and
gains 8 points of kNN accuracy over the untrained encoder (seed 0): the threshold is not one that healthy runs are near.

- [0] Nazarov, 2007, https://arxiv.org/abs/0710.1408
- [1] Stringer et al., 2019, https://doi.org/10.1038/s41586-019-1346-5
"""

from __future__ import annotations

import torch
from torch import Tensor

from .declaration import metric
from .embeddings import Embeddings

__all__ = ["rank_of", "spectral_rank"]

EXPONENT = 4.0
ROUNDING = 1e-9  # of the sums over a spectrum, relative to what is compared


@metric(
    "spectral_rank",
    title="spectral rank",
    reading="1 to min(D, N − 1)",
    meaning="Number of strongest directions of the centred z/|z| before their energies fall below a power law of "
    "exponent 4, that of images along one smooth line. Noise adds none. Fewer than the classes need, at most C − 1: "
    "dimensional collapse.",
    better="higher",
    source="`ssl_zoo/metrics/spectral_rank.py`",
)
def spectral_rank(view: Embeddings) -> float:
    return float(rank_of(view.energies.flip(0)))


def rank_of(energies: Tensor) -> int:
    """Returns the spectral rank of energies (K,), descending; 1 where all are 0."""
    total = energies.sum()
    if total == 0:
        return 1
    k = torch.arange(1, len(energies), dtype=energies.dtype, device=energies.device)  # (K - 1,)
    beyond = energies.flip(0).cumsum(0).flip(0)[1:] / total  # s(k)
    law = (k + 1) ** -EXPONENT
    below = (beyond < (1 - ROUNDING) * law / (1 + law.cumsum(0))).nonzero()
    return int(below[0]) + 1 if len(below) else len(energies)
