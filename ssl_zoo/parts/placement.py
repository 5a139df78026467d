"""Where the predictor h stands: on the anchor, on the target (the mirror of SimSiam), or on both sides.

With h on both sides the target may pass an inverse predictor h_inv after it.

    anchor             D( h(z_i), sg z_j )
    target             D( z_i, h(sg z_j) )       h is trained, and the target gives the encoder no gradient
    both               D( h(z_i), sg h(z_j) )    the target's h is a constant too
    both and inverse   D( h(z_i), sg h_inv(h(z_j)) ) + D( h_inv(sg h(z_i)), sg z_i )

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Fig. 1 c, Fig. 2, Table 2; Fig. 3: the inverse predictor)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import PredictorConfig
from ssl_zoo.parts.heads import build_predictor
from ssl_zoo.parts.predictors import Predictor
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.parts.similarity import Cosine

__all__ = ["Inverse", "OnAnchor", "OnBoth", "OnTarget", "build_placement"]


class OnAnchor(nn.Module):
    """h on the anchor, and the interface of the other places: each maps (N, D) to (N, D).

    Args:
        predictor: h, the method's.
    """

    predictor: Predictor

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        object.__setattr__(self, "predictor", predictor)  # the method's own child: not registered twice

    def anchor(self, z: Tensor) -> Tensor:
        """Maps an anchor's embeddings to predictions."""
        p: Tensor = self.predictor(z)
        return p

    def target(self, z: Tensor) -> Tensor:
        """Maps a target view's embeddings to what is assigned and stopped."""
        return z

    def stopped(self, t: Tensor) -> Tensor:
        """Maps a target, after stop-gradient, to what the prediction is compared with."""
        return t

    def inverse_loss(
        self, z: Mapping[int, Tensor], p: Mapping[int, Tensor], sg: Callable[[Tensor], Tensor]
    ) -> Tensor | float:
        """Returns the loss that trains the inverse predictor; 0 where there is none.

        Args:
            z: embeddings of the anchors' views at least, (N, D) each.
            p: predictions h(z) of each anchor view, (N, D) each.
            sg: stop-gradient.
        """
        return 0.0

    def recover(self, p: Tensor) -> Tensor | None:
        """Maps predictions back to embeddings, where there is an inverse."""
        return None

    def update(self, progress: Progress) -> None:
        """Called after each optimizer step."""


class OnTarget(OnAnchor):
    """h on the target, behind stop-gradient, in float32 as the loss is."""

    def anchor(self, z: Tensor) -> Tensor:
        return z

    def stopped(self, t: Tensor) -> Tensor:
        p: Tensor = self.predictor(t)
        return p


class OnBoth(OnAnchor):
    """The same h on both sides, on the target before stop-gradient."""

    def target(self, z: Tensor) -> Tensor:
        return self.anchor(z)


class Inverse(OnBoth):
    """h on both sides, and h_inv behind it on the target.

    h_inv is trained at the same time to bring P back to Z, by a loss of its own: its cosine with z over the anchors'
    views, on which neither h nor the encoder learns. The form of that loss is ours, as no stored text has Zhang's.

    Args:
        predictor: h, the method's.
        inverse: h_inv, with a weight of its own for each of h's.
    """

    def __init__(self, predictor: Predictor, inverse: Predictor) -> None:
        super().__init__(predictor)
        self.inverse = inverse
        self.similarity = Cosine()

    def target(self, z: Tensor) -> Tensor:
        return self.recover(super().target(z))

    def inverse_loss(
        self, z: Mapping[int, Tensor], p: Mapping[int, Tensor], sg: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Computes the mean over the anchors' views i of D( h_inv(sg h(z_i)), sg z_i )."""
        terms = [self.similarity(self.recover(sg(p[i].float())), sg(z[i].float()), None) for i in p]
        return torch.stack(terms).mean()

    def recover(self, p: Tensor) -> Tensor:
        recovered: Tensor = self.inverse(p)
        return recovered

    def update(self, progress: Progress) -> None:
        self.inverse.update(progress)


def build_placement(config: PredictorConfig, predictor: Predictor, dim: int) -> OnAnchor:
    """Builds the place that `method.predictor.on` names, and the inverse of h (N, dim) to (N, dim) where it has one."""
    if config.inverse:
        return Inverse(predictor, build_predictor(dataclasses.replace(config, trainable=True), dim))
    return {"anchor": OnAnchor, "target": OnTarget, "both": OnBoth}[config.on](predictor)
