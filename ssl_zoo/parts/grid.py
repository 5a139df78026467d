"""The grid of Siamese methods: the point where a method stands on it, and the pairs of views that it compares."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_zoo.config.schema import PredictorConfig, SiameseConfig

__all__ = ["GridPoint", "ordered_pairs"]


@dataclass(frozen=True)
class GridPoint:
    """Values of the axes that make a method; a run that differs from its paper's point is named by the difference."""

    stop_gradient: bool
    predictor: str
    momentum_encoder: bool
    similarity: str
    negatives: str
    assignment: str
    symmetric: bool
    pairs_per_image: int = 1
    alternation_steps: int | str = 1
    extra_gradient: str = "none"
    predictor_on: str = "anchor"
    inverse_predictor: bool = False
    decorrelation: str = "none"
    expectation_views: int = 0
    momentum_prototypes: bool = False

    @classmethod
    def of(cls, config: SiameseConfig) -> GridPoint:
        """Returns the grid point of a configuration."""
        return cls(
            stop_gradient=config.stop_gradient,
            predictor=_named(config.predictor),
            momentum_encoder=config.momentum_encoder.enabled,
            similarity=config.similarity,
            negatives=config.negatives,
            assignment=config.assignment,
            symmetric=config.symmetric,
            pairs_per_image=config.pairs_per_image,
            alternation_steps=config.alternation_steps,
            extra_gradient=config.extra_gradient.title,
            predictor_on=config.predictor.on,
            inverse_predictor=config.predictor.inverse,
            decorrelation=config.decorrelation.title,
            expectation_views=config.expectation_views,
            momentum_prototypes=config.momentum_encoder.prototypes,
        )


def _named(config: PredictorConfig) -> str:
    trained = config.trainable or config.kind in ("direct", "optimal")
    return "symmetric " * config.symmetric + (config.kind if trained else "fixed random")


def ordered_pairs(
    views: int, target_views: int, symmetric: bool, pairs_per_image: int = 1
) -> list[tuple[int, int]]:
    """Returns the pairs (i, j) of anchor and target view; only the first `target_views` views are targets.

    Asymmetric: the first view predicts the second, and small crops predict the second as well. Several pairs per
    image: the views form as many groups of equal size, and pairs lie within a group.
    """
    group = views // pairs_per_image
    pairs = [(i, j) for j in range(min(group, target_views)) for i in range(group) if i != j]
    pairs = pairs if symmetric else [(i, j) for i, j in pairs if j == 1]
    return [(start + i, start + j) for start in range(0, views, group) for i, j in pairs]
