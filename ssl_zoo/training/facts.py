"""Gathers what the causes of a bad verdict read; nothing of it is measured for a healthy run."""

from __future__ import annotations

import contextlib

from ssl_zoo.augment import normalize
from ssl_zoo.backbone import fit_small, single_pixel_fraction
from ssl_zoo.config.compose import compose
from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import skipping
from ssl_zoo.data.sampling import random_subset
from ssl_zoo.errors import UserError
from ssl_zoo.monitors.remedy import Facts
from ssl_zoo.monitors.verdict import VerdictName
from ssl_zoo.training.loggers import LoggedRow
from ssl_zoo.training.measurement import Measurement
from ssl_zoo.training.optim import peak_lr
from ssl_zoo.training.prepare import Prepared

__all__ = ["gather_facts", "reference_of"]

PIXEL_IMAGES = 256  # images of which the pixels' statistics are


def gather_facts(ready: Prepared, rows: list[LoggedRow], verdict: VerdictName, initial: Measurement) -> Facts:
    """Gathers the facts about a run that is not healthy.

    Args:
        ready: the run.
        rows: of its epochs, that of the untrained encoder first.
        verdict: its word.
        initial: measured of the untrained encoder.
    """
    config, data = ready.config, ready.data
    reference = reference_of(config)
    spread, mean = _pixels(ready)
    fit = fit_small(config.backbone.name, config.augment.size)
    skipped = len({*data.skipped, *data.unreadable})
    return Facts(
        verdict=verdict,
        epochs=int(rows[-1]["epoch"] or 0),
        steps=int(rows[-1]["step"] or 0),
        images=len(data.train),
        peak_lr=_peak_lr(config),
        losses=tuple(loss for row in rows if (loss := row.get("loss")) is not None),
        classes=None if data.classes is None else len(data.classes),
        precision=ready.hardware.precision,
        initial=initial.diagnostics,
        pixel_spread=spread,
        pixel_mean=mean,
        single_pixels=single_pixel_fraction(
            ready.method.encoder.backbone, data.channels, config.augment.size
        ),
        small_stem=fit is not None and fit.stem == "small",
        unreadable=skipped / (len(data.train) + skipped),
        reference=reference,
        reference_peak_lr=None if reference is None else _peak_lr(reference),
    )


def reference_of(config: RunConfig) -> RunConfig | None:
    """Returns the run's method, data, recipe and experiment without further overrides; None where not known."""
    choices = {"method": config.method.name, "recipe": config.recipe, "experiment": config.experiment}
    chosen = [f"{group}={name}" for group, name in choices.items() if name is not None]
    # The size of the views follows from the images.
    named = {key: getattr(config.data, key) for key in config.data.NAMED_BY if key != "test"}
    chosen += [write_override(f"data.{key}", value) for key, value in named.items() if value is not None]
    for data in (config.data.name, config.data.source):  # a name may be the user's own
        with contextlib.suppress(UserError):
            return compose([*chosen, write_override("data", data)])
    return None


def _peak_lr(config: RunConfig) -> float:
    return peak_lr(config.optimizer, config.batch_size * config.trainer.accumulate)


def _pixels(ready: Prepared) -> tuple[float, float]:
    """Returns the standard deviation of a normalised pixel over the images, mean over pixels, and the pixels' mean."""
    config = ready.config
    sample = skipping(random_subset(ready.data.train, PIXEL_IMAGES, seed=0))
    batch = next(sample.plain_batches(config.augment.size, PIXEL_IMAGES))  # (n, C, H, W)
    readable = [row for row in range(len(batch)) if row not in sample.faults]
    x = normalize(batch[readable], config.data.mean, config.data.std).double()
    return float(x.std(dim=0, correction=0).mean()), float(x.mean())
