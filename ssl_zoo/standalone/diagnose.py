"""Diagnosis of the embeddings of two views, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ssl_zoo.errors import UserError, shown
from ssl_zoo.metrics import Embeddings
from ssl_zoo.monitors.evidence import Evidence, is_finite, relative_alignment, residual_energy
from ssl_zoo.monitors.learning import Distances
from ssl_zoo.monitors.verdict import SETTLED_STEPS, Verdict, is_collapsed, judge
from ssl_zoo.standalone.causes import ScriptFacts, likely_cause
from ssl_zoo.standalone.diagnosis import Diagnosis
from ssl_zoo.standalone.graph import read_graph
from ssl_zoo.standalone.measure import Measured, measure_views

__all__ = ["diagnose", "judged"]

LEAST = 16  # images: fewer tell a collapse from chance badly
# Relative alignments of an untrained network: of views that are one, and of views too near for training to show.
IDENTICAL, WEAK_VIEWS = torch.finfo(torch.float32).eps, 1 / 16


def diagnose(
    z1: Tensor,
    z2: Tensor,
    *,
    predictions: Tensor | tuple[Tensor, Tensor] | None = None,
    targets: Tensor | tuple[Tensor, Tensor] | None = None,
    loss: Tensor | float | Sequence[float] | None = None,
    before: Diagnosis | None = None,
    epochs: int | None = None,
) -> Diagnosis:
    """Diagnoses the embeddings of two views of the same images; nothing is changed, nor drawn at random.

        z0, z1 = model(x0), model(x1)
        print(ssl_zoo.diagnose(z0, z1))

    Called before `loss.backward()` with the loss and the embeddings as they entered it, it also reads from the graph
    whether the stop-gradient is where it should be, and names the cause of a collapse.

    Args:
        z1: (N, D) the projector's outputs for the first view, of any float type and device; normalised here.
        z2: (N, D) those for the second view, row by row of the same images.
        predictions: (N, D) outputs of the predictor, of one view or of both.
        targets: (N, D) outputs of a target (momentum) encoder, of one view or of both.
        loss: of this step, or of all steps so far, the last of which counts; with its graph where it has one.
        before: the diagnosis of the same network before its training, which shows whether it has learned anything.
        epochs: trained so far, for the sentence.

    Returns:
        The diagnosis, diverged where embeddings are not finite.

    Raises:
        UserError: the shapes are not (N, D) or differ, or N is below 16.
    """
    _check(z1, z2)
    if before is not None and not isinstance(before, Diagnosis):
        raise UserError(f"before must be what diagnose returned earlier; received {_kind(before)}")
    predicted = _both("predictions", predictions, z1)
    target = _both("targets", targets, z1)
    with_p = predicted if len(predicted) == 2 else (None, None)
    views = [
        Embeddings(z.detach(), None if p is None else p.detach())
        for z, p in zip((z1, z2), with_p, strict=True)
    ]
    graph = None
    if isinstance(loss, Tensor):
        graph = read_graph(loss, (z1, z2), predicted, target)
    metrics = measure_views(views)
    initial = None if before is None else before.metrics
    facts = ScriptFacts(
        graph=graph,
        predictor="the predictor" if predicted else None,
        targets="the target encoder" if target else None,
        initial=initial,
    )
    measured = Measured(
        metrics=metrics,
        distances=Distances.between(z1.detach(), z2.detach()) if is_finite(metrics) else None,
        images=len(z1),
        width=z1.shape[1],
        loss=_last(loss),
    )
    highest = None if initial is None else residual_energy(initial)
    return judged(facts, measured, before, epochs=epochs, start="diagnosis before", highest=highest)


def judged(
    facts: ScriptFacts,
    measured: Measured,
    before: Diagnosis | None,
    *,
    epochs: int | None,
    start: str,
    highest: float | None,
    paired: bool = False,
    steps: int | None = None,
) -> Diagnosis:
    """Judges figures as those of a run are judged, and names a cause.

    Args:
        facts: for the cause.
        measured: the figures.
        before: the diagnosis of the start.
        epochs: trained; None: not known.
        start: what `before` was measured of, for the sentence.
        highest: residual energy that the training has had; None: not known.
        paired: whether that was on the same images and views.
        steps: of the optimizer, where embeddings are those of evaluation mode; None: it does not matter.
    """
    metrics, distances = measured.metrics, measured.distances
    compared = before is not None and "alignment" in metrics and _tells_learning(before.metrics)
    earlier = before.distances if before is not None and compared else None
    alike = distances is not None and earlier is not None and len(distances.views) == len(earlier.views)
    evidence = Evidence(
        epochs=epochs,
        loss=measured.loss,
        weights_finite=measured.weights_finite,
        diagnostics=metrics,
        initial=before.metrics if before is not None and compared else None,
        distances=distances,
        initial_distances=earlier,
        width=measured.width,
        images=measured.images,
        paired=paired and alike,
        highest=highest,
        start=start,
    )
    verdict = judge(evidence)
    if steps is not None and steps < SETTLED_STEPS and verdict.name in ("collapsed", "partially collapsed"):
        why = f"only {steps} steps, after which BN's running statistics are still those of its start: {verdict.reason}"
        verdict = Verdict("not learning", why)
    if (
        is_finite(metrics)
        and not is_collapsed(metrics)
        and "alignment" in metrics
        and relative_alignment(metrics) <= IDENTICAL
    ):
        facts = replace(facts, identical_views=True)
        if verdict.name == "healthy":
            verdict = Verdict(
                "not learning", f"views of an image are not told apart, they are one: {verdict.reason}"
            )
    remedy = likely_cause(verdict.name, facts)
    return Diagnosis(
        verdict=verdict.name,
        reason=verdict.reason,
        metrics=metrics,
        initial=None if before is None else before.metrics,
        cause=None if remedy is None else f"{remedy.name}: {remedy.cause}",
        remedy=None if remedy is None else remedy.action,
        evidence=facts.sentences,
        images=measured.images,
        width=measured.width,
        epochs=epochs,
        loss=measured.loss,
        distances=distances,
    )


def _tells_learning(initial: Mapping[str, float]) -> bool:
    """Whether views were far enough apart at the start for training to draw them nearer, or are one."""
    if "alignment" not in initial or not is_finite(initial):
        return False
    return not IDENTICAL < relative_alignment(initial) < WEAK_VIEWS


def _check(z1: Tensor, z2: Tensor) -> None:
    for z in (z1, z2):
        if not isinstance(z, Tensor) or not z.is_floating_point() or z.ndim != 2 or z.shape != z1.shape:
            got = [_kind(each) for each in (z1, z2)]
            raise UserError(
                f"z1 and z2 must be floats of one shape (N, D), a vector per image; received {got[0]} and {got[1]}; "
                "pass the projector's outputs, flatten(1) of pooled maps, torch.as_tensor(…) of arrays"
            )
    if len(z1) < LEAST or z1.shape[1] < 2:
        raise UserError(
            f"a diagnosis needs at least {LEAST} images and 2 channels; received {tuple(z1.shape)}; join the "
            "embeddings of several batches with torch.cat"
        )


def _both(name: str, given: Tensor | tuple[Tensor, Tensor] | None, z: Tensor) -> tuple[Tensor, ...]:
    """Returns the tensors that were given, one or two of (N, D)."""
    tensors = () if given is None else tuple(given) if isinstance(given, (tuple, list)) else (given,)
    for tensor in tensors:
        if not isinstance(tensor, Tensor) or tensor.shape != z.shape or len(tensors) > 2:
            got = ", ".join(map(_kind, tensors))
            raise UserError(
                f"{name} must be one tensor, or two, of z1's shape {tuple(z.shape)}; received {got}"
            )
    return tensors


def _last(loss: Tensor | float | Sequence[float] | None) -> float | None:
    if loss is None:
        return None
    last: Any = loss[-1] if isinstance(loss, (list, tuple)) and loss else loss
    try:
        return float(last.detach() if isinstance(last, Tensor) else last)
    except (TypeError, ValueError, RuntimeError):
        raise UserError(f"loss must be a number or a history of numbers; received {shown(loss)}") from None


def _kind(value: object) -> str:
    """Returns a received value for a message, arrays by type and shape."""
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    shape = getattr(value, "shape", None)
    return shown(value) if shape is None else f"{type(value).__name__} {shape}"
