"""Embeddings on the unit sphere, and their measurement by all metrics that are declared.

Z = z / ||z|| are the embeddings of N images, o their mean, r = Z - o the residuals.

A zero vector has no direction. It gets a fixed one (all channels equal), so that images whose output is zero
count as equal and the identities below hold without exception. Constant outputs have standard deviation 0,
m_o = 1, m_r = 0 and uniformity 0; their ranks are 1 by definition, the entropy of nothing being 0.

Computed in float64, since a collapsed network's figures are differences of nearly equal numbers. Where the
embeddings come from bf16 arithmetic, the residuals of a collapsed network are its rounding errors, and those
point everywhere: read the ranks only where the standard deviation is not near 0.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from .declaration import computed

__all__ = ["Embeddings", "measure_embeddings"]


class Embeddings:
    """Embeddings of one view of N images: `z` as encoded, `unit` on the unit sphere.

    Args:
        z: (N, D) of any float type and device; finite, where a metric is computed of it.
        predictions: (N, D), those of the predictor; None where there is none.
        predictor_weight: (D, D), that of a linear predictor; None: of another, or there is none.
        recovered: (N, D), what an inverse predictor makes of the predictions; None where there is none.
    """

    def __init__(
        self,
        z: Tensor,
        predictions: Tensor | None = None,
        predictor_weight: Tensor | None = None,
        recovered: Tensor | None = None,
    ) -> None:
        self.z = z
        self.recovered = recovered
        self.predictions = None if predictions is None else Embeddings(predictions)
        self.predictor_weight = predictor_weight

    def has(self, what: str) -> bool:
        """Returns whether there is what a metric needs, by the name of the attribute; nothing is always there."""
        return not what or getattr(self, what) is not None

    @property
    def is_finite(self) -> bool:
        """Whether all embeddings, and all outputs of the predictors that are there, are finite."""
        predicted = () if self.predictions is None else (self.predictions.z,)
        recovered = () if self.recovered is None else (self.recovered,)
        return all(bool(outputs.isfinite().all()) for outputs in (self.z, *predicted, *recovered))

    @cached_property
    def unit(self) -> Tensor:
        """(N, D) unit vectors in float64; a zero vector becomes the one with equal channels."""
        z = self.z.to(
            "cpu" if self.z.device.type == "mps" else self.z.device, torch.float64
        )  # MPS has no float64
        norm = torch.linalg.vector_norm(z, dim=1, keepdim=True)  # (N, 1)
        return torch.where(norm > 0, z / norm, z.shape[1] ** -0.5)

    @cached_property
    def center(self) -> Tensor:
        """(D,) mean o of the unit vectors."""
        return self.unit.mean(dim=0)

    @cached_property
    def residuals(self) -> Tensor:
        """(N, D) unit vectors less their mean."""
        return self.unit - self.center

    @cached_property
    def energies(self) -> Tensor:
        """(min(N, D),) squared singular values of the residuals, ascending, 0 where they are rounding."""
        r = self.residuals
        if r.square().sum(dim=1).mean().sqrt() <= torch.finfo(self.z.dtype).eps:
            return r.new_zeros(min(r.shape))
        # Singular values from the smaller Gram matrix: 4 times as fast as svdvals at (1024, 2048).
        gram = r @ r.T if r.shape[0] <= r.shape[1] else r.T @ r
        energies = torch.linalg.eigvalsh(gram)
        # The square root would raise rounding errors of 1e-16 to singular values of 1e-8, hundreds of them.
        floor = energies[-1] * len(energies) * torch.finfo(energies.dtype).eps
        return torch.where(energies > floor, energies, 0.0)


@torch.no_grad()
def measure_embeddings(a: Tensor | Embeddings, b: Tensor | Embeddings) -> dict[str, float]:
    """Measures the embeddings of two views of the same N images by all metrics that are declared for it.

    Args:
        a: (N, D) embeddings of the first view, N >= 2, any float type and device, normalised here; or with the
            predictor's outputs, as `Embeddings`.
        b: those of the second view, row by row of the same images.

    Returns:
        The values by key, without those of a predictor that is not there; all nan if an embedding or a prediction is
        not finite.

    Raises:
        ValueError: the shapes differ, are not (N, D), or N < 2.
    """
    views = [view if isinstance(view, Embeddings) else Embeddings(view) for view in (a, b)]
    z_a, z_b = (view.z for view in views)
    if z_a.shape != z_b.shape or z_a.ndim != 2 or len(z_a) < 2:
        raise ValueError(
            f"the embeddings of two views must have one shape (N, D) with N >= 2; received "
            f"{tuple(z_a.shape)} and {tuple(z_b.shape)}; pass the same images in both, at least two"
        )
    measured = {key: known for key, known in computed().items() if views[0].has(known.needs)}
    if not all(view.is_finite for view in views):
        return dict.fromkeys(measured, float("nan"))
    values = {}
    for key, known in measured.items():
        compute = known.load()
        values[key] = compute(*views) if known.views == 2 else sum(map(compute, views)) / 2
    return values
