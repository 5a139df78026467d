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
from torch.autograd.function import BackwardCFunction

__all__ = ["LossGraph", "read_graph"]

# Operations by which the images of a batch are compared: products of matrices, softmax, statistics over the batch.
COUPLING = (
    "Mm", "Bmm", "Addmm", "Baddbmm", "Cdist", "Pdist", "EuclideanDist", "LogSoftmax", "Softmax", "Logsumexp", "NllLoss",
    "Std", "Var", "NativeBatchNorm", "CudnnBatchNorm", "Linalg", "Cholesky",
    "ExpBackward",
)  # fmt: skip
NORMS = "LinalgVectorNorm"  # of single vectors
VIEWS = ("TBackward", "Transpose", "Permute", "ToCopy")  # of weights, on their way into an operation


@dataclass(frozen=True)
class LossGraph:
    """What a loss has a gradient through."""

    reaches_embeddings: bool  # through embeddings, by a way that is not through their predictions
    has_predictor: bool  # through predictions that are not the embeddings themselves
    reaches_targets: bool  # through a target encoder's outputs
    couples_images: bool  # whether images are compared between the loss and these
    unread: str = (
        ""  # what stands between the loss and these of which it isn't known whether it compares images
    )

    @property
    def reaches_nothing(self) -> bool:
        """Whether the loss has a gradient through none of the outputs: they belong to something else."""
        return not (self.reaches_embeddings or self.has_predictor or self.reaches_targets)


def read_graph(
    loss: Tensor, embeddings: Sequence[Tensor], predictions: Sequence[Tensor], targets: Sequence[Tensor]
) -> LossGraph | None:
    """Follows the graph of a loss to the outputs that were seen in the same step.

    None where it has no graph, or one operation, of a compiled step, made the loss and the outputs.

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
    if loss.grad_fn in stops:
        return None
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
        unread=_unread(between),
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


def _unread(between: set[Any]) -> str:
    if any(isinstance(node, BackwardCFunction) for node in between):
        return "operations that are compiled, or have a backward pass of their own,"
    return "trained layers" if any(_has_weights(node) for node in between) else ""


def _has_weights(node: Any) -> bool:
    """Whether a parameter enters an operation: a predictor or prototypes of a name that was not given."""
    for child, _ in node.next_functions:
        while child is not None and child.name().startswith(VIEWS):
            child = child.next_functions[0][0]
        if child is not None and "AccumulateGrad" in child.name():
            return True
    return False
