"""The contradictions between the settings of a Siamese method: what is refused when a configuration is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_zoo.config.schema.method import SiameseConfig

__all__ = ["check_contradictions"]


def check_contradictions(config: SiameseConfig) -> None:
    """Raises ValueError for the first contradiction in the table, with its reason and a fix."""
    for refused, reason in _table(config):
        if refused:
            raise ValueError(reason)


def _table(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    """Returns a row for each contradiction: whether the configuration has it, and the message."""
    return (
        (
            not config.stop_gradient and config.momentum_encoder.enabled,
            "stop_gradient=false contradicts momentum_encoder.enabled=true: no gradient may reach the "
            "weights of a momentum encoder; set momentum_encoder.enabled=false as well",
        ),
        (
            config.similarity == "info_nce" and config.negatives == "none",
            "similarity=info_nce needs negatives, and negatives=none; set negatives=batch or queue, or "
            "similarity=cosine",
        ),
        (
            config.similarity not in ("info_nce", "gradient") and config.negatives != "none",
            f"similarity={config.similarity} never reads negatives, and negatives={config.negatives}; set "
            "negatives=none or similarity=info_nce",
        ),
        (
            (config.similarity == "gradient") != (config.negatives == "correlation"),
            "similarity=gradient and negatives=correlation go together, and they are "
            f"{config.similarity} and {config.negatives}; set both of them or neither",
        ),
        (
            config.similarity == "gradient" and not config.stop_gradient,
            "similarity=gradient states the anchor's gradient and gives the target none, and stop_gradient=false; set "
            "stop_gradient=true",
        ),
        (
            config.assignment in ("moving_average", "memory") and config.similarity == "cross_entropy",
            f"assignment={config.assignment} keeps unit vectors, which similarity=cross_entropy does not compare; "
            "set similarity=cosine or info_nce",
        ),
        (
            config.predictor.on != "anchor" and config.predictor.kind == "identity",
            f"predictor.on={config.predictor.on} contradicts predictor.kind=identity, which computes nothing on either "
            "side; set predictor.on=anchor or predictor.kind=mlp",
        ),
        (
            config.predictor.on == "target" and config.prototypes.number > 0,
            f"predictor.on=target maps embeddings, and prototypes.number={config.prototypes.number} makes targets of "
            "scores; set predictor.on=anchor or both, or prototypes.number=0",
        ),
        (
            config.predictor.on == "target" and config.negatives != "none",
            f"predictor.on=target maps the positives alone, and negatives={config.negatives} would stay as they are; "
            "set predictor.on=anchor or both, or negatives=none with similarity=cosine",
        ),
        (
            config.predictor.on == "target" and config.similarity == "dot",
            "similarity=dot takes targets as constants, and predictor.on=target trains h on the target: the loss would "
            "fall without end as it grows; set similarity=cosine",
        ),
        (
            config.predictor.on != "anchor" and config.extra_gradient.of != "none",
            f"extra_gradient.of={config.extra_gradient.of} is defined with the predictor on the anchor, and "
            f"predictor.on={config.predictor.on}; set predictor.on=anchor or extra_gradient.of=none",
        ),
        (
            config.predictor.inverse and config.predictor.on != "both",
            f"predictor.inverse=true undoes h on the target, and predictor.on={config.predictor.on} has none before it "
            "there; set predictor.on=both",
        ),
        (
            config.predictor.inverse and not config.stop_gradient,
            "stop_gradient=false contradicts predictor.inverse=true, whose inverse learns from its own loss alone; set "
            "stop_gradient=true",
        ),
        (
            config.predictor.inverse and config.predictor.kind in ("direct", "optimal"),
            f"predictor.inverse=true learns by gradient, and predictor.kind={config.predictor.kind} is set by the "
            "data; set predictor.kind=mlp or linear",
        ),
        (
            config.joint_batch and config.momentum_encoder.shuffle_bn,
            "joint_batch=true contradicts momentum_encoder.shuffle_bn=true, which keeps the statistics of queries "
            "and keys apart; set one of them to false",
        ),
        (
            config.assignment == "expectation" and config.expectation_views == 0,
            "assignment=expectation is a mean over further views, and expectation_views=0; set expectation_views",
        ),
        (
            config.assignment != "expectation" and config.expectation_views > 0,
            f"assignment={config.assignment} never reads further views, and expectation_views="
            f"{config.expectation_views}; set expectation_views=0 or assignment=expectation",
        ),
        (
            config.assignment == "expectation" and config.similarity == "cross_entropy",
            "assignment=expectation is a mean of unit vectors, which similarity=cross_entropy does not compare; set "
            "similarity=cosine or info_nce",
        ),
        (
            config.assignment == "expectation" and not config.stop_gradient,
            "stop_gradient=false contradicts assignment=expectation, whose further views are encoded without gradient; "
            "set stop_gradient=true",
        ),
        (
            config.assignment == "expectation" and config.joint_batch,
            "joint_batch=true contradicts assignment=expectation, whose further views are encoded without gradient, "
            "apart from the pair; set joint_batch=false",
        ),
        (
            config.assignment == "expectation" and config.extra_gradient.of != "none",
            f"extra_gradient.of={config.extra_gradient.of} takes the target of the other view apart, and "
            "assignment=expectation has one of no view; set assignment=identity or extra_gradient.of=none",
        ),
        (
            config.alternation_steps != 1 and config.momentum_encoder.enabled,
            f"alternation_steps={config.alternation_steps} contradicts momentum_encoder.enabled=true: one says that "
            "the targets' weights stand still, the other that they follow; set alternation_steps=1 or "
            "momentum_encoder.enabled=false",
        ),
        (
            config.alternation_steps != 1 and not config.stop_gradient,
            f"alternation_steps={config.alternation_steps} contradicts stop_gradient=false: no gradient may reach "
            "weights that stand still; set alternation_steps=1",
        ),
        (
            config.assignment == "sinkhorn" and config.prototypes.number == 0,
            "assignment=sinkhorn needs prototypes, and prototypes.number=0; set prototypes.number",
        ),
        (
            config.assignment == "sinkhorn" and config.similarity != "cross_entropy",
            f"assignment=sinkhorn makes codes that similarity={config.similarity} cannot compare; set "
            "similarity=cross_entropy",
        ),
        (
            config.prototypes.number > 0 and config.similarity != "cross_entropy",
            f"similarity={config.similarity} never reads prototypes, and prototypes.number="
            f"{config.prototypes.number}; set prototypes.number=0 or similarity=cross_entropy",
        ),
        (
            config.predictor.kind == "identity" and not config.predictor.trainable,
            "predictor.trainable=false contradicts predictor.kind=identity, which has no weights; set "
            "predictor.kind=mlp or linear",
        ),
        *_of_predictor(config),
        *_of_extra_gradient(config),
        *_of_decorrelation(config),
    )


def _of_predictor(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    predictor = config.predictor
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
            predictor.kind == "optimal" and (config.similarity != "cosine" or not config.stop_gradient),
            f"predictor.kind=optimal is the least-squares solution for constant targets in z's own space, and "
            f"similarity={config.similarity}, stop_gradient={str(config.stop_gradient).lower()}; set "
            "similarity=cosine and stop_gradient=true",
        ),
        (
            predictor.kind == "optimal" and predictor.on != "anchor",
            f"predictor.kind=optimal is solved for the anchors' embeddings and their targets, and predictor.on="
            f"{predictor.on}; set predictor.on=anchor",
        ),
        (
            predictor.weight_decay is not None and (predictor.kind == "identity" or not predictor.trainable),
            f"predictor.weight_decay={predictor.weight_decay} decays weights that are trained, and "
            f"predictor.kind={predictor.kind}, predictor.trainable="
            f"{str(predictor.trainable).lower()}; set predictor.weight_decay=null",
        ),
    )


def _of_extra_gradient(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    extra = config.extra_gradient
    parts = ", ".join(f"{name}={str(kept).lower()}" for name, kept in extra.parts.items())
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
            extra.of == "predictor" and config.predictor.kind == "identity",
            "extra_gradient.of=predictor takes Z - P apart, which predictor.kind=identity makes zero; set "
            "predictor.kind=mlp",
        ),
        (
            extra.of == "predictor" and not config.symmetric,
            "extra_gradient.of=predictor needs the prediction of both views, and symmetric=false; set symmetric=true",
        ),
    )


def _of_decorrelation(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    regularizer = config.decorrelation
    unused = {
        "predictor.kind": (config.predictor.kind, "identity"),
        "momentum_encoder.enabled": (config.momentum_encoder.enabled, False),
        "alternation_steps": (config.alternation_steps, 1),
        "negatives": (config.negatives, "none"),
        "assignment": (config.assignment, "identity"),
        "prototypes.number": (config.prototypes.number, 0),
        "extra_gradient.of": (config.extra_gradient.of, "none"),
    }
    wrong = {key: pair for key, pair in unused.items() if pair[0] != pair[1]}
    received = ", ".join(f"{key}={str(value).lower()}" for key, (value, _) in wrong.items())
    fix = ", ".join(f"{key}={str(value).lower()}" for key, (_, value) in wrong.items())
    return (
        (
            regularizer.weight == 0 and (regularizer.standardized or regularizer.alone),
            "decorrelation.weight=0 never reads decorrelation.standardized and decorrelation.alone; set "
            "decorrelation.weight",
        ),
        (
            regularizer.alone and bool(wrong),
            f"decorrelation.alone=true leaves out the similarity, for which alone there is {received}; set {fix}",
        ),
    )
