"""The contradictions between the switches of the theory papers; rows of the table in `contradictions.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_zoo.config.schema.method import SiameseConfig

__all__ = ["of_decorrelation", "of_extra_gradient", "of_predictor"]


def of_predictor(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    """Contradictions of a predictor that the data set, that is symmetric, or that is a bias."""
    predictor = config.predictor
    every = {"direct": predictor.direct.every, "optimal": predictor.optimal.every}.get(predictor.kind)
    return (
        (
            predictor.symmetric and predictor.kind not in ("linear", "mlp"),
            f"predictor.symmetric=true is of predictor.kind=linear and mlp alone, and predictor.kind="
            f"{predictor.kind}; set predictor.symmetric=false or predictor.kind=linear",
        ),
        (
            predictor.bn_output and predictor.kind in ("direct", "optimal"),
            f"predictor.kind={predictor.kind} is a matrix that the data set, and predictor.bn_output=true; "
            "set predictor.bn_output=false",
        ),
        (
            not predictor.bn_output and not predictor.bn_output_affine,
            "predictor.bn_output_affine=false is of an output BN, and predictor.bn_output=false; set "
            "predictor.bn_output=true",
        ),
        (
            predictor.bn_output and predictor.kind == "bias",
            "predictor.kind=bias adds a vector to z/|z|, and predictor.bn_output=true would take it away again; set "
            "predictor.bn_output=false",
        ),
        (
            predictor.kind == "optimal" and (config.similarity != "cosine" or not config.stop_gradient),
            f"predictor.kind=optimal is the least-squares solution for constant targets in z's own space, and "
            f"similarity={config.similarity}, stop_gradient={str(config.stop_gradient).lower()}; set "
            "similarity=cosine and stop_gradient=true",
        ),
        (
            predictor.kind == "direct" and predictor.on == "target",
            "predictor.kind=direct is set by the correlation of the anchors' embeddings, and predictor.on=target maps "
            "the targets; set predictor.on=anchor or both",
        ),
        (
            predictor.kind == "optimal" and predictor.on != "anchor",
            f"predictor.kind=optimal is solved for the anchors' embeddings and their targets, and predictor.on="
            f"{predictor.on}; set predictor.on=anchor",
        ),
        (
            predictor.weight_decay is not None and every == 1,
            f"predictor.weight_decay={predictor.weight_decay} decays weights that predictor.kind={predictor.kind} sets "
            f"anew after each step; set predictor.weight_decay=null or predictor.{predictor.kind}.every above 1",
        ),
        (
            predictor.weight_decay is not None and (predictor.kind == "identity" or not predictor.trainable),
            f"predictor.weight_decay={predictor.weight_decay} decays weights that are trained, and "
            f"predictor.kind={predictor.kind}, predictor.trainable="
            f"{str(predictor.trainable).lower()}; set predictor.weight_decay=null",
        ),
    )


def of_extra_gradient(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    """Contradictions of the plain dot product and the gradient's parts."""
    extra = config.extra_gradient
    parts = ", ".join(f"{name}={str(kept).lower()}" for name, kept in extra.parts.items())
    received, fix = _unread(
        {
            "momentum_encoder.enabled": (config.momentum_encoder.enabled, False),
            "alternation_steps": (config.alternation_steps, 1),
            "assignment": (config.assignment, "identity"),
        }
    )
    return (
        (
            config.similarity == "dot" and not config.stop_gradient,
            "similarity=dot contradicts stop_gradient=false: the loss would fall without end as the target grows; set "
            "similarity=cosine",
        ),
        (
            extra.of == "none" and not all(extra.parts.values()),
            f"extra_gradient.of=none takes nothing apart, and never reads {parts}; set extra_gradient.of",
        ),
        (
            extra.of != "none" and config.similarity != "dot",
            f"extra_gradient.of={extra.of} needs targets that are not renormalised, and similarity="
            f"{config.similarity}; set similarity=dot",
        ),
        (
            extra.of != "none" and not any(extra.parts.values()),
            f"extra_gradient.of={extra.of} needs a part that is kept, and {parts}; set one of them to true",
        ),
        (
            extra.of == "anchor" and extra.basic,
            "extra_gradient.of=anchor has no basic gradient, and extra_gradient.basic=true; set "
            "extra_gradient.basic=false",
        ),
        (
            extra.of == "anchor" and bool(received),
            f"extra_gradient.of=anchor never reads the other view's target, for which alone there is {received}; set "
            f"{fix}",
        ),
        (
            extra.of == "predictor" and config.predictor.kind == "identity",
            "extra_gradient.of=predictor takes Z - P apart, which predictor.kind=identity makes zero; set "
            "predictor.kind=mlp",
        ),
        (
            extra.of == "predictor" and not config.symmetric,
            "extra_gradient.of=predictor needs the prediction of both views, and symmetric=false; set symmetric=true",
        ),
    )


def of_decorrelation(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    """Contradictions of the decorrelation."""
    regularizer = config.decorrelation
    received, fix = _unread(
        {
            "predictor.kind": (config.predictor.kind, "identity"),
            "momentum_encoder.enabled": (config.momentum_encoder.enabled, False),
            "alternation_steps": (config.alternation_steps, 1),
            "negatives": (config.negatives, "none"),
            "assignment": (config.assignment, "identity"),
            "prototypes.number": (config.prototypes.number, 0),
            "extra_gradient.of": (config.extra_gradient.of, "none"),
        }
    )
    return (
        (
            regularizer.weight == 0 and (regularizer.standardized or regularizer.alone),
            "decorrelation.weight=0 never reads decorrelation.standardized and decorrelation.alone; set "
            "decorrelation.weight",
        ),
        (
            regularizer.alone and bool(received),
            f"decorrelation.alone=true leaves out the similarity, for which alone there is {received}; set {fix}",
        ),
        (
            regularizer.alone and config.similarity == "dot",
            "decorrelation.alone=true leaves out the similarity, and similarity=dot chooses one; set similarity=cosine",
        ),
    )


def _unread(settings: Mapping[str, tuple[object, object]]) -> tuple[str, str]:
    """Returns the overrides that are set though nothing reads them, and those that mend it; both empty for none.

    Args:
        settings: by key the value received and the only one that is allowed.
    """
    wrong = {key: values for key, values in settings.items() if values[0] != values[1]}
    received = ", ".join(f"{key}={str(value).lower()}" for key, (value, _) in wrong.items())
    return received, ", ".join(f"{key}={str(value).lower()}" for key, (_, value) in wrong.items())
