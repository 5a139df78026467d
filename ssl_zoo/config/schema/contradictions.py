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
            config.similarity != "info_nce" and config.negatives != "none",
            f"similarity={config.similarity} never reads negatives, and negatives={config.negatives}; set "
            "negatives=none or similarity=info_nce",
        ),
        (
            config.assignment in ("moving_average", "memory") and config.similarity == "cross_entropy",
            f"assignment={config.assignment} keeps unit vectors, which similarity=cross_entropy does not compare; "
            "set similarity=cosine or info_nce",
        ),
        (
            config.joint_batch and config.momentum_encoder.shuffle_bn,
            "joint_batch=true contradicts momentum_encoder.shuffle_bn=true, which keeps the statistics of queries "
            "and keys apart; set one of them to false",
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
    )
