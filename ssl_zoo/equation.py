"""The equation of all Siamese methods; stop-gradient is one visible line here, and nowhere else.

    L = mean over ordered view pairs (i, j) of  D( h(z_i), sg( T(z'_j) ) )

z = encoder(x), the encoder being backbone and projector; z' comes from the same encoder or from a copy of it
(its moving average, or itself some steps ago); h is the predictor; T assigns the target (the identity, Sinkhorn
codes or centred scores over prototypes, a memory of earlier targets, the nearest of them, or the mean over further
views); D is the similarity, with or without negatives; sg is stop-gradient. h may also stand on the target, behind
sg, or on both sides, there with an inverse (`parts/placement.py`); of the target only some parts may be kept
(`parts/extra_gradient.py`); and a decorrelation of z may join the loss.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 3 and 6: the methods as variants of one form)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import SiameseConfig
from ssl_zoo.distributed import gather, random_order, reordered, world_size
from ssl_zoo.from_lightly import deactivate_requires_grad
from ssl_zoo.method import LossOutput, Method
from ssl_zoo.parts.assignment import build_assignment
from ssl_zoo.parts.decorrelation import Decorrelation
from ssl_zoo.parts.extra_gradient import build_target
from ssl_zoo.parts.grid import GridPoint, ordered_pairs
from ssl_zoo.parts.heads import build_predictor
from ssl_zoo.parts.memory import Memory
from ssl_zoo.parts.momentum import update_momentum
from ssl_zoo.parts.negatives import build_negatives
from ssl_zoo.parts.placement import build_placement
from ssl_zoo.parts.prototypes import Prototypes
from ssl_zoo.parts.schedule import Progress, momentum_decay
from ssl_zoo.parts.similarity import build_similarity

__all__ = ["GridPoint", "Siamese", "ordered_pairs"]


class Siamese(Method):
    """Method on the grid: its configuration names the parts, and the equation is inherited."""

    paper: GridPoint

    def __init__(self, config: SiameseConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.config = config
        dim = self.embedding_dim
        self.predictor = build_predictor(config.predictor, dim)
        self.h = build_placement(config.predictor, self.predictor, dim)
        self.prototypes = Prototypes(dim, config.prototypes)
        # Shared by both sides, as in SwAV, or the targets' own, which follow with the momentum encoder.
        own = config.momentum_encoder.prototypes
        self.target_prototypes = copy.deepcopy(self.prototypes) if own else None
        averages = config.assignment == "moving_average"
        with_memory = averages or config.assignment == "memory" or config.negatives == "memory_bank"
        self.memory = Memory(dim, config.memory.decay, unit=not averages) if with_memory else None
        self.assign = build_assignment(config, self.target_prototypes or self.prototypes, self.memory, dim)
        self.negatives = build_negatives(config, dim, self.memory)
        self.similarity = build_similarity(config)
        self.target = build_target(config.extra_gradient)
        self.decorrelate = Decorrelation(config.decorrelation)
        has_copy = config.momentum_encoder.enabled or config.alternation_steps != 1
        self.target_encoder = copy.deepcopy(self.encoder) if has_copy else None
        if self.target_encoder is not None:
            deactivate_requires_grad(self.target_encoder)
        if self.target_prototypes is not None:
            deactivate_requires_grad(self.target_prototypes)

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """Computes the equation, in its own order. See `Method.loss` for the arguments."""
        config = self.config
        paired = len(views) - config.expectation_views
        pairs = ordered_pairs(paired, config.target_views, config.symmetric, config.pairs_per_image)
        anchors, positives = {i for i, _ in pairs}, {j for _, j in pairs}
        contrasted = self.negatives.views_used(pairs)
        targets = positives | contrasted
        sources = self.assign.sources(targets, len(views))

        # z = encoder(x); z' in the same pass, or apart: from the encoder's copy, or of further views        (N, D)
        apart = self.target_encoder is not None or config.expectation_views > 0
        z = self._encode(self.encoder, views, anchors if apart else anchors | sources)
        z_target = self._encode(self._encode_target, views, sources) if apart else z
        p = {i: self.h.anchor(z[i]) for i in anchors}
        z_target = {j: self.h.target(z_target[j]).float() for j in sources}

        with torch.autocast(views[0].device.type, enabled=False):  # losses in float32, always
            inverse_loss = self.h.inverse_loss(z, p, self.sg)  # of the inverse predictor, else 0
            p = {i: self.prototypes(p[i].float()) for i in p}
            t = {j: self.assign(z_target, j, index) for j in targets}
            t = {j: self.sg(t[j]) for j in t}
            # Keys are of all processes, with gradient where there is one.
            read = self.negatives.read(p, {j: t[j] for j in contrasted})
            keys = self.negatives.shared({j: gather(read[j]) for j in read})
            target = {(i, j): self.sg(self.target(p, t, i, j)) for i, j in pairs}  # t[j], or its parts
            target = {pair: self.h.stopped(target[pair]) for pair in pairs}  # where h stands behind sg
            terms = [self.similarity(p[i], target[i, j], self.negatives(keys, index, i, j)) for i, j in pairs]
            loss = config.loss_scale * (torch.stack(terms).mean() + inverse_loss)
            loss = self.decorrelate(loss, z.values())

        self.predictor.remember([(z[i].detach(), t[j].detach()) for i, j in pairs])
        stored = sorted(self.assign.sources(positives, len(views)))
        z_stored = {j: z_target[j].detach() for j in stored}
        self._remember([t[j].detach() for j in sorted(positives)], z_stored, index)
        return LossOutput(loss=loss)

    def sg(self, target: Tensor) -> Tensor:
        """Stop-gradient: makes the target a constant."""
        return target.detach() if self.config.stop_gradient else target

    def _encode(
        self, encode: Callable[..., Tensor], views: Sequence[Tensor], which: set[int]
    ) -> dict[int, Tensor]:
        """Returns z (N, D) of some views, encoded separately or, with `joint_batch`, as one batch per image size."""
        if not self.config.joint_batch:
            return {i: encode(views[i]) for i in which}
        order = sorted(which, key=lambda i: (-views[i].shape[-1], i))
        sizes = [list(group) for _, group in groupby(order, key=lambda i: views[i].shape[-1])]
        z = encode([torch.cat([views[i] for i in group]) for group in sizes])
        return dict(zip(order, z.chunk(len(order)), strict=True))

    @torch.no_grad()
    def _encode_target(self, x: Tensor) -> Tensor:
        """Returns the target's output without gradient; a copy's BN uses its own batch statistics, as in BYOL."""
        encoder = self.encoder if self.target_encoder is None else self.target_encoder
        if not (self.config.momentum_encoder.shuffle_bn and world_size() > 1):
            z: Tensor = encoder(x)
            return z
        # Shuffled over the processes, so that batch statistics carry no information from keys to their queries.
        order = random_order(world_size() * len(x), x.device)
        return reordered(encoder(reordered(x, order)), order.argsort())

    def _remember(self, targets: Sequence[Tensor], z: Mapping[int, Tensor], index: Tensor) -> None:
        """Stores a batch for the queue, Sinkhorn's queue and the memory, after all terms are computed."""
        self.negatives.remember(targets)
        self.assign.remember(z)
        if self.memory is not None:
            self.memory.remember(index, list(z.values()))

    def allocate(self, images: int) -> None:
        """Allocates the memory: one vector per training image."""
        if self.memory is not None:
            self.memory.allocate(images)

    def predict(self, z: Tensor) -> Tensor | None:
        """Maps embeddings (N, D) to predictions (N, D); None without a predictor."""
        return None if self.config.predictor.kind == "identity" else self.predictor(z)

    def recover(self, p: Tensor) -> Tensor | None:
        """Maps predictions (N, D) back to embeddings (N, D); None without an inverse predictor."""
        return self.h.recover(p)

    def predictor_weight(self) -> Tensor | None:
        """Returns the weight (D, D) of a predictor that is a single linear layer; None of another."""
        layers = [layer for layer in self.predictor.modules() if list(layer.parameters(recurse=False))]
        return layers[0].weight if len(layers) == 1 and isinstance(layers[0], nn.Linear) else None

    def constant_lr_parameters(self) -> Iterable[nn.Parameter]:
        """Returns the parameters of the predictor and of its inverse, with `predictor.lr: constant`."""
        constant = self.config.predictor.lr == "constant"
        return (*self.predictor.parameters(), *self.h.parameters()) if constant else ()

    def weight_decays(self) -> Iterable[tuple[nn.Module, float]]:
        """Returns predictor and inverse with their weight decay, where `predictor.weight_decay` gives them one."""
        decay = self.config.predictor.weight_decay
        return () if decay is None else ((self.predictor, decay), (self.h, decay))

    def lr_multipliers(self) -> Iterable[tuple[nn.Module, float]]:
        """Returns projector, predictor and inverse with their multipliers."""
        factor = self.config.predictor.lr_multiplier
        return (*super().lr_multipliers(), (self.predictor, factor), (self.h, factor))

    def before_step(self, progress: Progress) -> None:
        """Normalises the prototypes to unit length, and sets what follows a schedule."""
        self.prototypes.renormalize()
        if self.target_prototypes is not None:
            self.target_prototypes.renormalize()
        self.assign.before_step(progress)
        self.similarity.before_step(progress)

    def after_backward(self, progress: Progress) -> None:
        """Drops the prototypes' gradient for the first `prototypes.frozen_epochs`.

        Set to zero, not to None as in SwAV's code: weight decay then changes their length, which `before_step`
        restores, and fused optimizers accept no parameter that gets its first gradient late.
        """
        if progress.step < self.config.prototypes.frozen_epochs * progress.steps_per_epoch:
            self.prototypes.zero_grad(set_to_none=False)

    def after_step(self, progress: Progress) -> None:
        """Moves the queues, the memory, a predictor that the data set, and the target encoder.

        The target encoder's parameters alone, as in BYOL's and MoCo's code.
        """
        self.negatives.update()
        self.assign.update()
        if self.memory is not None:
            self.memory.update()
        self.predictor.update(progress)
        self.h.update(progress)
        if self.target_encoder is not None:
            decay = self._decay(progress)
            if decay < 1:
                update_momentum(self.encoder, self.target_encoder, decay)
                if self.target_prototypes is not None:
                    update_momentum(self.prototypes, self.target_prototypes, decay)

    def _decay(self, progress: Progress) -> float:
        """Returns the fraction of its weights that the target encoder keeps: 1 within an alternation."""
        steps = self.config.alternation_steps
        if steps == 1:
            return momentum_decay(self.config.momentum_encoder, progress)
        alternation = progress.steps_per_epoch if steps == "epoch" else steps
        return 0.0 if (progress.step + 1) % alternation == 0 else 1.0
