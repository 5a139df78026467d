"""Reads from a loss's graph which embeddings get a gradient, and by what way: stop-gradient as it is, not as named.

Autograd keeps, until the backward pass, the operations that led to a loss. From the loss back to the embeddings they
are few. Whether a way leads to the embeddings that is not through the predictor tells whether a stop-gradient is there,
wherever the script hides it (`detach`, `no_grad`, a momentum encoder).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

__all__ = ["LossGraph", "read_graph"]

# Operations by which the images of a batch are compared: products of matrices, softmax, statistics over the batch.
COUPLING = (
    "Mm", "Bmm", "Addmm", "Baddbmm", "Cdist", "Pdist", "EuclideanDist", "LogSoftmax", "Softmax", "Logsumexp", "NllLoss",
    "Std", "Var", "NativeBatchNorm", "CudnnBatchNorm", "Linalg", "Cholesky",
)  # fmt: skip
NORMS = "LinalgVectorNorm"  # of single vectors


@dataclass(frozen=True)
class LossGraph:
    """What a loss has a gradient through."""

    reaches_embeddings: bool  # through embeddings, by a way that is not through their predictions
    has_predictor: bool  # through predictions that are not the embeddings themselves
    reaches_targets: bool  # through a target encoder's outputs
    couples_images: bool  # whether images are compared between the loss and these


def read_graph(
    loss: Tensor, embeddings: Sequence[Tensor], predictions: Sequence[Tensor], targets: Sequence[Tensor]
) -> LossGraph | None:
    """Follows the graph of a loss to the outputs that were seen in the same step; None where it has no graph.

    Args:
        loss: a scalar, before its backward pass.
        embeddings: the projector's outputs, of each view.
        predictions: the predictor's.
        targets: the target encoder's.
    """
    if loss.grad_fn is None:
        return None
    ends = {
        role: {output.grad_fn for output in outputs if output.grad_fn is not None}
        for role, outputs in (("embeddings", embeddings), ("predictions", predictions), ("targets", targets))
    }
    stops = set().union(*ends.values())
    parents: dict[Any, list[Any]] = {}  # of each operation, those that it leads to on the way to the loss
    seen, waiting = {loss.grad_fn}, [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node in stops:
            continue
        for child, _ in node.next_functions:
            if child is None:
                continue
            parents.setdefault(child, []).append(node)
            if child not in seen:
                seen.add(child)
                waiting.append(child)
    between = _ancestors(stops & seen, parents)
    return LossGraph(
        reaches_embeddings=bool(ends["embeddings"] & seen),
        has_predictor=bool((ends["predictions"] - ends["embeddings"]) & seen),
        reaches_targets=bool(ends["targets"] & seen),
        couples_images=any(_couples(node.name()) for node in between),
    )


def _ancestors(nodes: set[Any], parents: dict[Any, list[Any]]) -> set[Any]:
    """Returns the operations between the loss and some of its inputs: other terms of the loss are left out."""
    between: set[Any] = set()
    waiting = list(nodes)
    while waiting:
        for parent in parents.get(waiting.pop(), ()):
            if parent not in between:
                between.add(parent)
                waiting.append(parent)
    return between


def _couples(name: str) -> bool:
    return name.startswith(COUPLING) and not name.startswith(NORMS)
