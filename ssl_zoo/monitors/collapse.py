"""How the embeddings lie on the unit sphere: six numbers that show every kind of collapse.

Z = z / ||z|| are the embeddings of N images, o their mean. What each number says:

output_std_ratio   mean over channels of the standard deviation of Z, times sqrt(D). 1 for an isotropic
                   Gaussian, 0 when all outputs are one vector [0, Fig. 2].
center_ratio       m_o = ||o||, the part of a unit vector that all images share. 0 centred, 1 collapsed [1].
residual_ratio     m_r = mean over images of ||Z - o||, the part that tells images apart. For unit vectors
                   mean(||Z - o||^2) = 1 - m_o^2 exactly. 0 collapsed [1].
effective_rank     exp(H(p)), p the singular values of the centred Z divided by their sum [2]: how many
                   directions the residuals use, from 1 to min(D, N - 1). Low while the standard deviation is
                   high: dimensional collapse. RankMe [3] takes the uncentred matrix, where the shared
                   direction o counts as well; the two agree where m_o is small.
alignment          mean ||Z_a - Z_b||^2 over the two views of an image, in [0, 4]; lower: more invariant [4].
uniformity         log mean_{i<j} exp(-2 ||Z_i - Z_j||^2) over different images, in [-8, 0]; lower is more
                   evenly spread, 0 is collapsed, -4 is the limit for an isotropic Gaussian of high D [4].

All but the alignment belong to one batch. They are computed for each view by itself and averaged: stacked,
the 2N vectors would hold N pairs of near twins, which raise the uniformity and are not different images.

A zero vector has no direction. It gets a fixed one (all channels equal), so that images whose output is zero
count as equal and the identities above hold without exception. Constant outputs have standard deviation 0,
m_o = 1, m_r = 0 and uniformity 0; their effective rank is 1 by definition, the entropy of nothing being 0.

Computed in float64, since a collapsed network's figures are differences of nearly equal numbers. Where the
embeddings come from bf16 arithmetic, the residuals of a collapsed network are its rounding errors, and those
point everywhere: read the effective rank only where the standard deviation is not near 0.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566
- [1] Zhang et al., 2022, https://arxiv.org/abs/2203.16262
- [2] Roy and Vetterli, 2007, The effective rank: a measure of effective dimensionality (EUSIPCO)
- [3] RankMe, 2022, https://arxiv.org/abs/2210.02885
- [4] Wang and Isola, 2020, https://arxiv.org/abs/2005.10242
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Diagnostics", "diagnose"]

NAN = float("nan")


@dataclass(frozen=True)
class Diagnostics:
    """The six numbers; their meaning and range stand at the top of this file."""

    output_std_ratio: float
    center_ratio: float
    residual_ratio: float
    effective_rank: float
    alignment: float
    uniformity: float

    @property
    def residual_energy(self) -> float:
        """1 - m_o^2: the share of a unit vector's squared length that tells images apart, in [0, 1].

        It is also 1 minus the mean cosine similarity over all pairs of images (each with itself included).
        """
        return max(0.0, 1.0 - self.center_ratio**2)

    @property
    def relative_alignment(self) -> float:
        """Squared distance between views of an image over that between images, 2 (1 - m_o^2).

        0: the views coincide. 1: they are as far apart as any two images, which is also said of embeddings
        that are all equal. It does not fall when a network just shrinks all distances, as the alignment does.
        """
        if self.residual_energy < torch.finfo(torch.float32).eps ** 2:  # equal up to rounding
            return 1.0
        return self.alignment / (2.0 * self.residual_energy)


@torch.no_grad()
def diagnose(z_a: Tensor, z_b: Tensor) -> Diagnostics:
    """Measures the embeddings of two views of the same N images.

    Args:
        z_a: (N, D) embeddings of the first view, N >= 2, any float type and device; normalised here.
        z_b: (N, D) embeddings of the second view, row by row of the same images.

    Returns:
        The six numbers; all nan if an embedding is not finite.

    Raises:
        ValueError: the shapes differ, are not (N, D), or N < 2.
    """
    if z_a.shape != z_b.shape or z_a.ndim != 2 or len(z_a) < 2:
        raise ValueError(
            f"the embeddings of two views must have one shape (N, D) with N >= 2; received "
            f"{tuple(z_a.shape)} and {tuple(z_b.shape)}; pass the same images in both, at least two"
        )
    if not (z_a.isfinite().all() and z_b.isfinite().all()):
        return Diagnostics(NAN, NAN, NAN, NAN, NAN, NAN)
    Z_a, Z_b = _unit(z_a), _unit(z_b)  # (N, D)
    resolution = torch.finfo(z_a.dtype).eps
    one_batch = torch.stack([_one_batch(Z_a, resolution), _one_batch(Z_b, resolution)]).mean(dim=0)  # (5,)
    std_ratio, m_o, m_r, rank, uniformity = one_batch.tolist()
    alignment = (Z_a - Z_b).square().sum(dim=1).mean().item()
    return Diagnostics(std_ratio, m_o, m_r, rank, alignment, uniformity)


def _unit(z: Tensor) -> Tensor:
    """(N, D) unit vectors in float64; a zero vector becomes the one with equal channels."""
    z = z.to("cpu" if z.device.type == "mps" else z.device, torch.float64)  # MPS has no float64
    norm = torch.linalg.vector_norm(z, dim=1, keepdim=True)  # (N, 1)
    return torch.where(norm > 0, z / norm, z.shape[1] ** -0.5)


def _one_batch(Z: Tensor, resolution: float) -> Tensor:
    """(5,) standard deviation ratio, m_o, m_r, effective rank and uniformity of (N, D) unit vectors."""
    o = Z.mean(dim=0)  # (D,)
    r = Z - o  # (N, D)
    return torch.stack(
        [
            Z.std(dim=0).mean() * Z.shape[1] ** 0.5,
            torch.linalg.vector_norm(o),
            torch.linalg.vector_norm(r, dim=1).mean(),
            _effective_rank(r, resolution),
            _uniformity(Z),
        ]
    )


def _effective_rank(r: Tensor, resolution: float) -> Tensor:
    """exp(entropy) of the singular values of the residuals (N, D); 1 where there are none but rounding.

    `resolution` is the relative rounding error of the numbers that the unit vectors were made from.
    """
    if r.square().sum(dim=1).mean().sqrt() <= resolution:
        return r.new_ones(())
    # Singular values from the smaller Gram matrix: 4 times as fast as svdvals at (1024, 2048).
    gram = r @ r.T if r.shape[0] <= r.shape[1] else r.T @ r
    energy = torch.linalg.eigvalsh(gram)  # (min(N, D),), ascending
    # The square root would raise rounding errors of 1e-16 to singular values of 1e-8, hundreds of them.
    floor = energy[-1] * len(energy) * torch.finfo(energy.dtype).eps
    sigma = torch.where(energy > floor, energy, 0.0).sqrt()
    p = sigma / sigma.sum()
    entropy: Tensor = torch.special.entr(p).sum()
    return entropy.exp()


def _uniformity(Z: Tensor, chunk: int = 1024) -> Tensor:
    """log mean_{i<j} exp(-2 ||Z_i - Z_j||^2) of (N, D) unit vectors, memory chunk * N."""
    N = len(Z)
    # ||Z_i - Z_j||^2 = 2 - 2 cos. Over all ordered pairs every unordered one counts twice, and i = j adds 1.
    total = torch.stack([(4.0 * (block @ Z.T) - 4.0).exp().sum() for block in torch.split(Z, chunk)]).sum()
    return ((total - N) / (N * (N - 1))).log()
