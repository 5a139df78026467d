"""The equation of all Siamese methods; stop-gradient is one visible line here, and nowhere else.

    L = mean over ordered view pairs (i, j) of  D( h(z_i), sg( T(z'_j) ) )

z = encoder(x), the encoder being backbone and projector; z' comes from the same encoder or from its
momentum copy; h is the predictor; T assigns the target (identity, or Sinkhorn codes over prototypes);
D is the similarity, with or without negatives; sg is stop-gradient.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 3 and 6: the methods as variants of one form)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

from ssl_zoo.method import LossOutput, Method, Progress
from ssl_zoo.parts.assignment import Prototypes, build_assignment
from ssl_zoo.parts.heads import build_predictor
from ssl_zoo.parts.momentum import decay_at
from ssl_zoo.parts.negatives import build_negatives
from ssl_zoo.parts.similarity import build_similarity
from ssl_zoo.schema import SiameseConfig

__all__ = ["GridPoint", "Siamese", "ordered_pairs"]


@dataclass(frozen=True)
class GridPoint:
    """Where a paper's method stands on the axes; a run that stands elsewhere is named by the difference."""

    stop_gradient: bool
    predictor: str
    momentum_encoder: bool
    similarity: str
    negatives: str
    assignment: str
    symmetric: bool

    @classmethod
    def of(cls, config: SiameseConfig) -> GridPoint:
        """The point that a configuration stands on."""
        return cls(
            stop_gradient=config.stop_gradient,
            predictor=config.predictor.kind if config.predictor.trainable else "fixed random",
            momentum_encoder=config.momentum_encoder.enabled,
            similarity=config.similarity,
            negatives=config.negatives,
            assignment=config.assignment,
            symmetric=config.symmetric,
        )


def ordered_pairs(views: int, target_views: int, symmetric: bool) -> list[tuple[int, int]]:
    """The pairs (i, j) of anchor and target; only the first `target_views` views are targets.

    Asymmetric: the first view predicts the second, and small crops predict the second as well.
    """
    pairs = [(i, j) for j in range(min(views, target_views)) for i in range(views) if i != j]
    return pairs if symmetric else [(i, j) for i, j in pairs if j == 1]


class Siamese(Method):
    """A method on the grid: it declares its parts in its configuration and inherits the equation."""

    paper: GridPoint

    def __init__(self, config: SiameseConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.config = config
        self.predictor = build_predictor(config.predictor, self.embedding_dim)
        self.prototypes = Prototypes(self.embedding_dim, config.prototypes.number)
        self.assign = build_assignment(config)
        self.negatives = build_negatives(config, self.embedding_dim)
        self.similarity = build_similarity(config)
        self.momentum_encoder = copy.deepcopy(self.encoder) if config.momentum_encoder.enabled else None
        if self.momentum_encoder is not None:
            deactivate_requires_grad(self.momentum_encoder)

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """The equation, in its own order. See `Method.loss` for the arguments."""
        pairs = ordered_pairs(len(views), self.config.target_views, self.config.symmetric)
        anchors = {i for i, _ in pairs}
        targets = {j for _, j in pairs} | self.negatives.views_read(pairs)

        # z = encoder(x); z' from the same encoder or from its momentum copy                       (N, D)
        z = {
            i: self.encoder(views[i]) for i in anchors | (targets if self.momentum_encoder is None else set())
        }
        z_target = {j: z[j] if self.momentum_encoder is None else self._momentum(views[j]) for j in targets}
        p = {i: self.predictor(z[i]) for i in anchors}

        with torch.autocast(views[0].device.type, enabled=False):  # losses in float32, always
            p = {i: self.prototypes(p[i].float()) for i in p}
            t = {j: self.assign(self.prototypes(z_target[j].float())) for j in targets}
            t = {j: self.sg(t[j]) for j in t}
            terms = [self.similarity(p[i], t[j], self.negatives(t, i, j)) for i, j in pairs]
            loss = self.config.loss_scale * torch.stack(terms).mean()

        self.negatives.remember([t[j].detach() for j in sorted({j for _, j in pairs})])  # after all terms
        return LossOutput(loss=loss)

    def sg(self, target: Tensor) -> Tensor:
        """Stop-gradient: the target is a constant."""
        return target.detach() if self.config.stop_gradient else target

    @torch.no_grad()
    def _momentum(self, x: Tensor) -> Tensor:
        assert self.momentum_encoder is not None
        z: Tensor = self.momentum_encoder(x)  # BN in training mode: its own batch statistics, as in BYOL
        return z

    def constant_lr_parameters(self) -> Iterable[nn.Parameter]:
        """The predictor's, with `predictor.lr: constant`."""
        return self.predictor.parameters() if self.config.predictor.lr == "constant" else ()

    def before_step(self, progress: Progress) -> None:
        """Puts the prototypes back on the unit sphere."""
        self.prototypes.renormalize()

    def after_backward(self, progress: Progress) -> None:
        """Drops the prototypes' gradient for the first `prototypes.frozen_epochs`.

        Set to zero, not to None as in SwAV's code: weight decay then changes their length, which is put
        back, and fused optimizers take no parameter that joins them late.
        """
        if progress.step < self.config.prototypes.frozen_epochs * progress.steps_per_epoch:
            self.prototypes.zero_grad(set_to_none=False)

    def after_step(self, progress: Progress) -> None:
        """Moves the queue and the momentum encoder (parameters only, as in BYOL's and MoCo's code)."""
        self.negatives.update()
        if self.momentum_encoder is not None:
            update_momentum(
                self.encoder, self.momentum_encoder, decay_at(self.config.momentum_encoder, progress)
            )
