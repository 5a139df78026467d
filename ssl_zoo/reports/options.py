"""The keys of `ssl-zoo report`, typed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ssl_zoo.config.options import read_options
from ssl_zoo.config.overrides import write_override
from ssl_zoo.config.schema import Folder, Seed, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError

__all__ = ["ReportConfig", "read_report"]


@section
class ReportConfig:
    """A report of a run or a suite, or a comparison of several."""

    run: tuple[Folder, ...]
    """Run directories or checkpoints; or folders of suites."""
    out: Folder | None = None
    """Folder of the page. null: RUN/report[-CHECKPOINT]; of several runs comparison-... beside them."""
    samples: Annotated[int, Field(ge=10)] = 2000
    """Images that are read, at most."""
    seed: Seed = 0
    """Seed of all that is drawn: images, queries, views, t-SNE, clusters, resamples."""
    reference: Folder | None = None
    """Of the report of one run: the run whose accuracies are the upper line. null: runs of method=supervised beside it,
    with its images, backbone, image size and epochs, if there are any."""

    def overrides(self) -> list[str]:
        """Returns overrides of what differs from the defaults, without the runs."""
        values = {"samples": self.samples, "seed": self.seed}
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        numbers = [f"{key}={value}" for key, value in values.items() if value != fields[key]]
        return (
            numbers
            if self.reference is None
            else [*numbers, write_override("reference", str(self.reference))]
        )


def read_report(overrides: Sequence[str]) -> tuple[ReportConfig, list[str]]:
    """Reads the options and the overrides of the data.

    Raises:
        UserError: an override cannot be read, a value is wrong, or no run is named.
    """
    values, about_data = read_options(overrides, several=True)
    runs = values.pop("run", [])
    if not runs:
        raise UserError(
            "report needs a run or a suite; received none; set run=DIR with a folder that ssl-zoo train or "
            "ssl-zoo bench has written, or run=[A,B] to compare"
        )
    return validate(ReportConfig, {**values, "run": runs}, ""), about_data
