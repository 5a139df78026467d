"""Methods with a planted fault each; test_check_method.py names the clause that catches it.

Right but for the fault: the sound method is that of `Planted.loss`, which pulls an image's two embeddings together and
pushes the batch's apart.

- [0] VICReg, 2021, https://arxiv.org/abs/2105.04906 (Sec. 4.1: invariance and variance)
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from ssl_zoo import LossOutput, Method, MethodConfig, Progress, gather, register


class Planted(Method):
    """Similarity of the views, and variance over the batch."""

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        return LossOutput(loss=self.of(*(self.encoder(view) for view in views)))

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        """The loss of embeddings (N, D) of this process."""
        with torch.autocast(z1.device.type, enabled=False):
            return _loss(gather(z1.float()), gather(z2.float()))


def _loss(z1: Tensor, z2: Tensor) -> Tensor:
    spread = torch.stack([(z.var(dim=0) + 1e-4).sqrt() for z in (z1, z2)])
    return (z1 - z2).square().mean() + (1 - spread).relu().mean()


@register("planted_sound", config=MethodConfig)
class Sound(Planted):
    pass


@register("planted_no_gather", config=MethodConfig)
class NoGather(Planted):
    """Variance over the images of each process."""

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        with torch.autocast(z1.device.type, enabled=False):
            return _loss(z1.float(), z2.float())


class Queued(Planted):
    """Pushes from earlier embeddings."""

    queue: Tensor

    def __init__(self, config: MethodConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.hold(torch.zeros(16, self.embedding_dim))
        self.noted: list[Tensor] = []

    def hold(self, queue: Tensor) -> None:
        self.register_buffer("queue", queue)

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        self.noted.append(gather(z2.detach().float()))
        return super().of(z1, z2) + (normalize(z1.float(), dim=1) @ self.queue.T).exp().mean()

    def after_step(self, progress: Progress) -> None:
        self.queue = torch.cat([*self.noted, self.queue])[: len(self.queue)].detach()
        self.noted.clear()


@register("planted_queue", config=MethodConfig)
class SoundQueue(Queued):
    pass


@register("planted_queue_outside", config=MethodConfig)
class QueueOutside(Queued):
    """The queue is a plain attribute."""

    def hold(self, queue: Tensor) -> None:
        self.queue = queue


@register("planted_queue_in_loss", config=MethodConfig)
class QueueInLoss(Queued):
    """The queue moves with each batch."""

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        loss = super().of(z1, z2)
        super().after_step(Progress(0, 1, 1))
        return loss

    def after_step(self, progress: Progress) -> None:
        pass


@register("planted_never_emptied", config=MethodConfig)
class NeverEmptied(Queued):
    """What loss notes is stored again in each step."""

    def after_step(self, progress: Progress) -> None:
        self.queue = torch.cat([*self.noted, self.queue])[: len(self.queue)].detach()


@register("planted_detach", config=MethodConfig)
class Detach(Planted):
    """A detach between backbone and projector."""

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        return LossOutput(
            loss=self.of(*(self.encoder.projector(self.encoder.backbone(v).detach()) for v in views))
        )


@register("planted_counter", config=MethodConfig)
class Counter(Planted):
    """Its loss grows with a count that no checkpoint holds."""

    done = 0

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        return super().of(z1, z2) * (1 + self.done)

    def after_step(self, progress: Progress) -> None:
        self.done += 1


@register("planted_bf16", config=MethodConfig)
class NoBf16(Planted):
    """A variance as the difference of two means, which bf16 rounds to less than zero."""

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        z = gather(z1) + 4
        return super().of(z1, z2) + 0.1 * (z.square().mean(dim=0) - z.mean(dim=0).square()).sqrt().mean()


@register("planted_generator", config=MethodConfig)
class UnseededGenerator(Planted):
    """Draws from a generator of its own."""

    def __init__(self, config: MethodConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.generator = torch.Generator()
        self.generator.seed()

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        noise = torch.rand(len(z1), 1, generator=self.generator).to(z1.device)
        return super().of(z1 * (1 + gather(noise)[: len(z1)]), z2)


@register("planted_target", config=MethodConfig)
class TrainedTarget(Planted):
    """A gradient reaches the moving average."""

    def __init__(self, config: MethodConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.target = copy.deepcopy(self.encoder)

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        return LossOutput(loss=self.of(self.encoder(views[0]), self.target(views[1])))

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        for theirs, ours in zip(self.target.parameters(), self.encoder.parameters(), strict=True):
            theirs.lerp_(ours, 0.1)


@register("planted_unfrozen", config=MethodConfig)
class Unfrozen(TrainedTarget):
    """The moving average gets no gradient, though it still requires one."""

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        with torch.no_grad():
            z2 = self.target(views[1])
        return LossOutput(loss=self.of(self.encoder(views[0]), z2))


@register("planted_device", config=MethodConfig)
class LeftBehind(Planted):
    """A tensor stays on the CPU."""

    def __init__(self, config: MethodConfig, backbone: nn.Module, num_features: int) -> None:
        super().__init__(config, backbone, num_features)
        self.scale = torch.ones(self.embedding_dim)

    def of(self, z1: Tensor, z2: Tensor) -> Tensor:
        return super().of(z1 * self.scale, z2)


@register("planted_sizes", config=MethodConfig)
class OneSize(Planted):
    """Takes any number of views, and of smaller ones makes nothing."""

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        z = [self.encoder(view) for view in views]
        size = views[0].shape[-1]
        terms = [self.of(z[0], z[j]) / float(views[j].shape[-1] == size) for j in range(1, len(z))]
        return LossOutput(loss=torch.stack(terms).mean())


@register("planted_labels", config=MethodConfig)
class Labels(Planted):
    """Weighs images by labels that it reads by their place in the batch, and not by their index."""

    needs_labels = True
    labels: Tensor

    def take_labels(self, labels: Tensor, classes: int) -> None:
        self.register_buffer("labels", labels / classes, persistent=False)

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        z = [self.encoder(view).float() for view in views]
        weight = self.labels[: len(index), None]
        return LossOutput(loss=super().of(*z) + (weight * (z[0] - z[1])).square().mean())
