"""Likely cause of a bad verdict in a training script whose configuration nobody wrote down, and one thing to try.

The causes of `ssl_zoo.monitors.remedy` read a run's configuration. Here there is none, so these read what the script
shows by itself: how the first loss hangs together with the embeddings (`graph`), which parameters the optimizer has,
and the figures of the first step. Nothing is guessed from names or rates. A cause returns None where it does not apply
or where what it needs was not seen; the first in the table is named.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ssl_zoo.monitors.evidence import residual_energy
from ssl_zoo.monitors.remedy import UNKNOWN, Remedy
from ssl_zoo.monitors.verdict import VerdictName
from ssl_zoo.standalone.graph import LossGraph

__all__ = ["ScriptFacts", "likely_cause"]


@dataclass(frozen=True, kw_only=True)
class ScriptFacts:
    """What is known of a training script; None or empty is what was not seen."""

    graph: LossGraph | None = None  # of the first loss
    predictor: str | None = None  # name of the predictor
    targets: str | None = None  # name of the target encoder's head
    untrained_parts: tuple[str, ...] = ()  # modules with parameters, none of which the optimizer changes
    targets_moved: bool | None = None  # whether the target encoder's weights have changed
    initial: Mapping[str, float] | None = None  # metrics of the first step
    identical_views: bool = False  # whether both views of each image have the same embedding, others another
    precision: str = ""  # of the training, where it is reduced

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the first loss shows of predictor, stop-gradient and negatives; nothing where it was not seen."""
        graph, name = self.graph, self.predictor
        if graph is None:
            return ()
        if graph.reaches_nothing:
            return ("the loss has no gradient through the embeddings: are they those that it compares?",)
        beside = "through the embeddings beside it: no stop-gradient"
        way = beside if graph.reaches_embeddings else "through it alone: stop-gradient"
        named = "" if name in (None, "the predictor") else f", {name}"
        found = (
            "no predictor was found"
            if not graph.has_predictor
            else f"the loss has a predictor{named}, and a gradient {way}"
        )
        if graph.unread:
            return found, f"{graph.unread} stand between the embeddings and the loss"
        compares = "the images of a batch" if graph.couples_images else "no images"
        return found, f"the loss compares {compares}"


Cause = Callable[[ScriptFacts], Remedy | None]


def likely_cause(verdict: VerdictName, facts: ScriptFacts) -> Remedy | None:
    """Returns the likely cause of a verdict with one thing to try; None for a healthy training."""
    if verdict == "healthy":
        return None
    if verdict == "diverged":
        return _diverged(facts)
    for cause in CAUSES:
        named = cause(facts)
        if named is not None:
            return named
    look = "more epochs, then stronger or weaker views" if verdict == "not learning" else "another seed"
    return Remedy(UNKNOWN, "nothing that the script shows is known to do this", f"try {look}")


def _diverged(facts: ScriptFacts) -> Remedy:
    low = f"; without {facts.precision}, if it still does" if facts.precision else ""
    return Remedy(
        "diverged",
        "loss, weights or embeddings are not finite, most often from a learning rate that is too high",
        f"try a tenth of the learning rate{low}",
    )


def _constant_inputs(facts: ScriptFacts) -> Remedy | None:
    if facts.initial is None or residual_energy(facts.initial) > torch.finfo(torch.float32).eps:
        return None
    return Remedy(
        "equal images",
        "all embeddings were equal in the first step already, before any training",
        "look at a batch: images that are constant, or normalised twice",
    )


def _identical_views(facts: ScriptFacts) -> Remedy | None:
    eps = torch.finfo(torch.float32).eps
    at_start = facts.initial is not None and facts.initial.get("alignment", 1.0) <= eps
    if not (at_start or facts.identical_views):
        return None
    return Remedy(
        "identical views",
        f"both views of each image {'had' if at_start else 'have'} the same embedding"
        f"{' in the first step' if at_start else ''}",
        "draw the augmentation for each view by itself, and pass view 1 where view 0 was passed twice",
    )


def _untrained_parts(facts: ScriptFacts) -> Remedy | None:
    if not facts.untrained_parts:
        return None
    names = " and ".join(facts.untrained_parts)
    return Remedy(
        "parts are not trained",
        f"the optimizer changes no parameter of {names}",
        f"give the parameters of {names} to the optimizer, with requires_grad",
    )


def _target_gradient(facts: ScriptFacts) -> Remedy | None:
    if facts.graph is None or not facts.graph.reaches_targets:
        return None
    return Remedy(
        "gradient through the target encoder",
        f"the loss has a gradient through {facts.targets or 'the targets'}",
        "compute the targets under torch.no_grad(), or detach() them",
    )


def _only_draws_together(graph: LossGraph) -> bool:
    return graph.reaches_embeddings and not graph.couples_images and not graph.unread


def _no_stop_gradient(facts: ScriptFacts) -> Remedy | None:
    graph = facts.graph
    if graph is None or not graph.has_predictor or not _only_draws_together(graph):
        return None
    return Remedy(
        "no stop-gradient",
        f"the loss has a gradient through the embeddings that {facts.predictor} should predict",
        "detach the targets: criterion(p0, z1.detach()), or return z.detach() beside p",
    )


def _nothing_keeps_apart(facts: ScriptFacts) -> Remedy | None:
    graph = facts.graph
    if graph is None or graph.has_predictor or not _only_draws_together(graph):
        return None
    return Remedy(
        "nothing keeps images apart",
        "the loss draws the views of an image together; it compares no images, and no predictor was found",
        "add a prediction head on one side and detach() the other (SimSiam, BYOL), or take a loss that compares images "
        "(NTXentLoss, BarlowTwinsLoss, VICRegLoss); a predictor by another name: predictions='NAME'",
    )


def _frozen_targets(facts: ScriptFacts) -> Remedy | None:
    if facts.targets_moved is not False:
        return None
    return Remedy(
        "target encoder never moves",
        f"the weights of {facts.targets} are those of the first step",
        "call update_momentum(...) for backbone and head before each step",
    )


CAUSES: tuple[Cause, ...] = (
    _constant_inputs,
    _identical_views,
    _target_gradient,
    _no_stop_gradient,
    _nothing_keeps_apart,
    _untrained_parts,
    _frozen_targets,
)
