"""What `ssl-zoo report` can be told."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from ssl_zoo.errors import UserError
from ssl_zoo.options import read_options
from ssl_zoo.schema import Folder, Seed, section
from ssl_zoo.validation import validate

__all__ = ["ReportConfig", "read_words"]


@section
class ReportConfig:
    """A report of one run or suite, or a comparison of several."""

    run: tuple[Folder, ...]  # run directories or checkpoints; or folders of suites
    out: Folder | None = (
        None  # null: RUN/report[-CHECKPOINT]; of several runs comparison-... in the folder they share
    )
    samples: Annotated[int, Field(ge=10)] = 2000  # images that are read at most
    seed: Seed = 0  # of what is drawn: images, queries, views, t-SNE, clusters, resamples

    def words(self) -> list[str]:
        """What differs from the defaults, the runs left out, as `key=value` words."""
        values = {"samples": self.samples, "seed": self.seed}
        fields = {field.name: field.default for field in dataclasses.fields(self)}
        return [f"{key}={value}" for key, value in values.items() if value != fields[key]]


def read_words(words: Sequence[str]) -> tuple[ReportConfig, list[str]]:
    """The options, and the words about the data.

    Raises:
        UserError: a word cannot be read, a value is wrong, or no run is named.
    """
    values, about_data = read_options(words, several=True)
    runs = values.pop("run", [])
    if not runs:
        raise UserError(
            "report needs a run or a suite; received none; say run=DIR with a folder that ssl-zoo train or "
            "ssl-zoo bench has written, or run=[A,B] to compare"
        )
    return validate(ReportConfig, {**values, "run": runs}, ""), about_data
