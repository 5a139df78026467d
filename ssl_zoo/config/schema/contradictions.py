"""The contradictions between the settings of a Siamese method: what is refused when a configuration is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssl_zoo.config.schema.target_contradictions import of_distributions
from ssl_zoo.config.schema.theory_contradictions import of_decorrelation, of_extra_gradient, of_predictor

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
    target_count = config.pairs_per_image * (
        2 if config.symmetric else 1
    )  # of an image, but for multi-crop's
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
            config.similarity not in ("info_nce", "gradient", "relational") and config.negatives != "none",
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
            config.assignment in ("moving_average", "memory", "nearest_neighbor")
            and config.similarity == "cross_entropy",
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
            config.assignment == "expectation" and config.negatives == "batch",
            "negatives=batch takes a key from each view of an image, and assignment=expectation has one for all views, "
            "which would count twice; set assignment=identity, or negatives=none with similarity=cosine",
        ),
        (
            config.assignment == "expectation" and config.negatives == "queue" and target_count > 1,
            f"negatives=queue takes a key of each target, and assignment=expectation has one for all views, which "
            f"would enter {target_count} times (symmetric={str(config.symmetric).lower()}, pairs_per_image="
            f"{config.pairs_per_image}); set symmetric=false and pairs_per_image=1, or assignment=identity",
        ),
        (
            config.assignment == "nearest_neighbor" and not config.stop_gradient,
            "stop_gradient=false contradicts assignment=nearest_neighbor, whose targets are stored embeddings and pass "
            "no gradient; set stop_gradient=true",
        ),
        (
            config.assignment == "nearest_neighbor" and config.negatives == "queue",
            "assignment=nearest_neighbor takes its targets from the queue, and negatives=queue would push away from "
            "the same vectors; set negatives=predictions, or assignment=identity",
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
        (
            config.predictor.kind == "bias" and not config.predictor.trainable,
            "predictor.trainable=false contradicts predictor.kind=bias, whose bias would stay 0; set "
            "predictor.kind=identity, mlp or linear",
        ),
        *of_distributions(config),
        *of_predictor(config),
        *of_extra_gradient(config),
        *of_decorrelation(config),
    )
