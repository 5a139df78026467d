"""Rows with figures made by hand, for claims."""

from __future__ import annotations

from typing import Any

from ssl_zoo.suites.record import RowRecord, RunRecord


def row(
    name: Any,
    values: Any = (),
    verdicts: Any = None,
    metric: str = "top1",
    errors: Any = (),
    same_as: Any = None,
    hashes: Any = None,
    images: Any = None,
    seconds: Any = None,
) -> Any:
    """A row with a run for each value (None: not measured) and one for each error."""
    further = {"test_images": images, "seconds": seconds}
    known = {key: value for key, value in further.items() if value is not None}
    verdicts = verdicts or ["healthy"] * len(values)
    runs = [
        RunRecord(
            seed=seed,
            folder=f"{name}-{seed}",
            config_hash=hashes[seed] if hashes else f"{name}-{seed}",
            command="",
            values=known if value is None else {metric: value, **known},
            verdict=verdict,
        )
        for seed, (value, verdict) in enumerate(zip(values, verdicts, strict=True))
    ]
    runs += [
        RunRecord(len(runs) + i, "", f"{name}-error-{i}", "", error=error) for i, error in enumerate(errors)
    ]
    return RowRecord(name, (), tuple(runs), same_as=same_as)
