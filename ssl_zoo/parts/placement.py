"""Where the predictor h stands: on the anchor, on the target (the mirror of SimSiam), or on both sides.

    anchor             D( h(z_i), sg z_j )
    target             D( z_i, h(sg z_j) )       h is trained, and the target gives the encoder no gradient
    both               D( h(z_i), sg h(z_j) )    the target's h is a constant too

- [0] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (Fig. 1 c, Fig. 2, Table 2)
"""

from __future__ import annotations

from torch import Tensor, nn

from ssl_zoo.config.schema import PredictorConfig

__all__ = ["OnAnchor", "OnBoth", "OnTarget", "build_placement"]


class OnAnchor(nn.Module):
    """h on the anchor, and the interface of the other places: each maps (N, D) to (N, D).

    Args:
        predictor: h, the method's.
    """

    predictor: nn.Module

    def __init__(self, predictor: nn.Module) -> None:
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


def build_placement(config: PredictorConfig, predictor: nn.Module) -> OnAnchor:
    """Builds the place that `method.predictor.on` names."""
    return {"anchor": OnAnchor, "target": OnTarget, "both": OnBoth}[config.on](predictor)
