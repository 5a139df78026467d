"""Watches the training steps of a script: finds its encoder in the first, keeps images, and measures when asked."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from ssl_zoo.errors import UserError
from ssl_zoo.features import evaluating
from ssl_zoo.metrics import Embeddings
from ssl_zoo.standalone.graph import LossGraph, read_graph
from ssl_zoo.standalone.last_steps import LastSteps, first_views
from ssl_zoo.standalone.outputs import Encoder, Recorder, find_encoder, rows

__all__ = ["Watch"]

ROLES = ("embeddings", "predictions", "targets")
UNCALLED = 32  # batches


class Watch:
    """Takes embeddings from a network in training, without a change of it.

    In evaluation mode, and of the images of the first batches, where the encoder could be put together; else in
    training mode, of the last steps. `mode` says which.

    Args:
        network: the user's.
        modules: by role, with their names; see `modules.find_modules`.
        views_per_call: views that a call holds, one after another.
        images: how many are measured.
        evaluate: whether the encoder may be called: not where its weights are divided among processes.
    """

    def __init__(
        self,
        network: nn.Module,
        modules: dict[str, tuple[str, nn.Module]],
        *,
        views_per_call: int,
        images: int,
        evaluate: bool,
    ) -> None:
        self.views_per_call, self.evaluate = views_per_call, evaluate
        self.name = modules["embeddings"][0]
        children = {f"child {name}": child for name, child in network.named_children() if evaluate}
        self._modules = {**{role: module for role, (_, module) in modules.items()}, **children}
        self._candidates = list(children)
        self.recorder = Recorder(self._modules)
        self.encoder: Encoder | None = None
        self.graph: LossGraph | None = None
        self.images: list[tuple[Tensor, ...]] = []  # of each batch, its views (n, C, H, W)
        self.steps = LastSteps(images)
        self.wanted = images
        self.examined = False
        self._uncalled = 0  # batches in which the module was not called, before the first in which it was

    @property
    def called(self) -> bool:
        """Whether this batch has called the module."""
        return bool(self.recorder.calls["embeddings"])

    @property
    def wants_batches(self) -> bool:
        """Whether further batches must be recorded."""
        return self.encoder is None or self._count() < self.wanted

    @property
    def mode(self) -> str:
        """How the embeddings were made."""
        return "evaluation mode" if self.encoder is not None else "training mode"

    def examine(self, loss: Tensor | None) -> None:
        """Reads the first batch, before its backward pass where the loss is given.

        Raises:
            UserError: the module returned no vectors.
        """
        recorder = self.recorder
        for call in recorder.calls["embeddings"]:
            rows(self.name, call.y)
        if loss is not None:
            roles = (recorder.outputs(role) for role in ("embeddings", "predictions", "targets"))
            self.graph = read_graph(loss, *roles)
        if self.evaluate:
            self.encoder = find_encoder(recorder, self._modules, self._candidates)
            if self.encoder is None:  # what may stand before the head is asked no more
                recorder.modules = {role: self._modules[role] for role in self._modules if role in ROLES}
        self.examined = True
        self._keep_images()

    def skip(self, *, last: bool) -> None:
        """Notes a batch that has not called the module: a step may be skipped, or be that of another part.

        Raises:
            UserError: that was the last batch of an epoch, or the 32nd in a row, and none has called it.
        """
        self._uncalled += not last
        if last or self._uncalled >= UNCALLED:
            raise UserError(
                f"CollapseMonitor listens to '{self.name}', which the training step did not call; name a module that "
                "it calls: outputs='NAME'"
            )

    def end_batch(self, number: int) -> None:
        """Keeps what is needed of a batch of the optimizer step `number`."""
        recorder = self.recorder
        if self.encoder is None:
            z, p = (
                first_views([rows(self.name, y) for y in recorder.outputs(role)], self.views_per_call)
                for role in ("embeddings", "predictions")
            )
            if z:
                self.steps.add(number, z, p)
        recorder.end()

    def keep_images(self) -> None:
        """Keeps the images of a further batch, until there are enough."""
        if self.encoder is not None and self.wants_batches:
            self._keep_images()

    def groups(self) -> list[list[Embeddings]]:
        """Returns embeddings of two views, or of one, of images that are to be measured together."""
        if self.encoder is None:
            return list(self.steps.groups())
        with (
            evaluating(self.encoder.parts),
            _undrawn(self.encoder.device),
            torch.compiler.set_stance("force_eager"),
        ):
            embedded = [
                [self.encoder.embed(view) for view in views] for views in zip(*self.images, strict=True)
            ]
        return [
            [
                Embeddings(
                    torch.cat([z for z, _ in view]),
                    None if view[0][1] is None else torch.cat([p for _, p in view if p is not None]),
                )
                for view in embedded
            ]
        ]

    def new_epoch(self) -> None:
        """Forgets the steps of an epoch that has been measured."""
        self.steps.kept.clear()

    def _count(self) -> int:
        return sum(len(views[0]) for views in self.images)

    def _keep_images(self) -> None:
        if self.encoder is None:
            return
        calls = self.recorder.calls[self.encoder.entry]
        views = first_views([call.x.detach() for call in calls], self.views_per_call)
        kept = self.images[0] if self.images else views
        if len(views) == len(kept) and all(
            a.shape[1:] == b.shape[1:] for a, b in zip(views, kept, strict=True)
        ):
            room = self.wanted - self._count()
            self.images.append(tuple(view[:room].cpu().clone() for view in views))


def _undrawn(device: torch.device) -> AbstractContextManager[None]:
    """Sets random numbers back: some modules draw in evaluation mode too."""
    return torch.random.fork_rng([device] if device.type == "cuda" else [])
