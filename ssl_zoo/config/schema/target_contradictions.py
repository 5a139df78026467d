"""The contradictions of targets that are distributions; rows of the table in `contradictions.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ssl_zoo.config.schema.method import SiameseConfig

__all__ = ["of_distributions"]


def of_distributions(config: SiameseConfig) -> tuple[tuple[bool, str], ...]:
    """Contradictions of relations to a queue, of centring, of sharpening, and of prototypes of the targets' own."""
    sharpening, momentum = config.sharpening, config.momentum_encoder
    softened = config.similarity in ("cross_entropy", "relational") and config.assignment != "sinkhorn"
    warms = sharpening.warmup_temperature is not None
    return (
        (
            config.similarity == "relational" and config.negatives != "queue",
            f"similarity=relational compares both sides with the vectors of a queue, and negatives={config.negatives}; "
            "set negatives=queue",
        ),
        (
            config.assignment == "centering" and config.similarity != "cross_entropy",
            f"assignment=centering makes scores for a softmax, which similarity={config.similarity} does not take; set "
            "similarity=cross_entropy",
        ),
        (
            sharpening.temperature is not None and not softened,
            f"sharpening.temperature={sharpening.temperature} is of the targets' softmax, and similarity="
            f"{config.similarity}, assignment={config.assignment} take none; set sharpening.temperature=null",
        ),
        (
            warms and (sharpening.temperature is None or sharpening.warmup_epochs == 0),
            f"sharpening.warmup_temperature={sharpening.warmup_temperature} is where a warmup to "
            "sharpening.temperature starts, and sharpening.temperature="
            f"{'null' if sharpening.temperature is None else sharpening.temperature}, sharpening.warmup_epochs="
            f"{sharpening.warmup_epochs}; set both, or sharpening.warmup_temperature=null",
        ),
        (
            sharpening.warmup_epochs > 0 and not warms,
            f"sharpening.warmup_epochs={sharpening.warmup_epochs} needs a temperature to start from, and "
            "sharpening.warmup_temperature=null; set it, or sharpening.warmup_epochs=0",
        ),
        (
            momentum.prototypes and not (momentum.enabled and config.prototypes.number),
            "momentum_encoder.prototypes=true is a moving average of the prototypes beside that of the encoder, and "
            f"momentum_encoder.enabled={str(momentum.enabled).lower()}, prototypes.number={config.prototypes.number}; "
            "set momentum_encoder.prototypes=false, or both of them",
        ),
    )
