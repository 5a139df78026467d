"""Likely cause of a verdict other than healthy, and one thing to try.

A cause is a small function of configuration and facts, which returns None where it does not apply. The first in the
table that applies is named: what the data prove, then what the configuration proves, then what its proportions and the
run's figures suggest. A healthy run is asked nothing. A cause reads keys of a method only where they are: of a method
that another package brings, what is not on the grid stays unsaid.

To add a cause, write one function in the file of its kind and put its name into the table.
"""

from __future__ import annotations

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.remedy import contrast, images, objective, optimization, theory
from ssl_zoo.monitors.remedy.facts import Cause, Facts, Remedy

__all__ = ["CAUSES", "UNKNOWN", "Facts", "Remedy", "remedy"]

UNKNOWN = "unknown"
CAUSES: tuple[Cause, ...] = (
    # proved by the data
    images.constant_images,
    images.unreadable_images,
    images.wrong_normalisation,
    # proved by the configuration
    objective.no_predictor,
    theory.gradient_parts_left_out,
    theory.decorrelation_alone,
    theory.misplaced_predictor,
    objective.symmetric_predictor,
    theory.cut_spectrum,
    theory.nearly_identity,
    objective.no_stop_gradient,
    images.identical_views,
    contrast.few_prototypes,
    contrast.no_sharpening,
    objective.narrow_head,
    objective.fixed_predictor,
    objective.frozen_head,
    objective.frozen_momentum_encoder,
    objective.targets_without_momentum,
    optimization.statistics_of_few,
    contrast.few_negatives,
    contrast.stale_queue,
    contrast.temperature_far_off,
    optimization.tight_clipping,
    optimization.long_warmup,
    # suggested by proportions and figures
    optimization.rate_too_high,
    optimization.weight_decay_too_high,
    optimization.rate_too_low,
    contrast.codes_are_uniform,
    images.tiny_crops,
    images.destroyed_views,
    images.single_pixel_maps,
    optimization.few_steps,
    theory.least_squares_predictor,
    objective.unstable_predictor,
    objective.no_bn,
    images.weak_views,
    optimization.low_precision,
)


def remedy(config: RunConfig, facts: Facts) -> Remedy | None:
    """Returns the likely cause with one thing to try; None for a healthy run."""
    if facts.verdict == "healthy":
        return None
    return next((named for cause in CAUSES if (named := cause(config, facts)) is not None), _unknown(facts))


def _unknown(facts: Facts) -> Remedy:
    """Names what to look at where no cause is known."""
    look = {
        "diverged": "the loss in curves.png before it broke; then a lower optimizer.lr",
        "not learning": "the views in ssl-zoo report RUN_DIR; then more epochs",
    }.get(facts.verdict, "the curves and the spectrum in ssl-zoo report RUN_DIR; then another seed")
    return Remedy(UNKNOWN, "nothing in configuration and figures is known to do this", f"look at {look}")
