"""Rows that are trained in stages: `start_from: ROW` begins with the weights of that row's run of the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

from ssl_zoo.config.overrides import read_override
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.run_dir.paths import checkpoint_of
from ssl_zoo.run_dir.saved_run import open_run, start_hash
from ssl_zoo.suites.schema import RowConfig, SuiteConfig
from ssl_zoo.suites.trial import Trial

__all__ = ["check_chosen", "check_stages", "hash_of_run", "resolve", "stages_before", "start_override"]

Evaluations = Sequence[Sequence[str]]


def check_stages(config: SuiteConfig, rows: Mapping[str, RowConfig]) -> None:
    """Refuses stages that cannot be trained in any order.

    Raises:
        UserError: a row begins with one that is not there or that begins with it in turn; it is of weights before any
            training, or of a suite that tunes its rows.
    """
    for name, row in rows.items():
        if row.start_from is None:
            continue
        if row.start_from not in rows:
            raise unknown_name("row", row.start_from, rows)
        passed = [name]
        for before in stages_before(name, rows):
            if before in passed:
                circle = " < ".join([*passed, before])
                raise UserError(
                    f"start_from must end at a row that begins with weights of its own seed; received the circle "
                    f"{circle}; take start_from out of one of them"
                )
            passed.append(before)
        if row.weights == "random":
            raise UserError(
                f"weights: random evaluates an encoder before any training; received start_from: {row.start_from} in "
                f"the row '{name}' as well; take one of them out"
            )
        if config.tune is not None:
            raise UserError(
                f"tune tries candidates for rows that begin with weights of their own seed; received start_from: "
                f"{row.start_from} in the row '{name}'; take one of them out"
            )


def check_chosen(rows: Mapping[str, RowConfig]) -> None:
    """Refuses a row whose first stage is left out.

    Args:
        rows: those that are run.

    Raises:
        UserError: a budget or the data leaves out a row that another one begins with.
    """
    for name, row in rows.items():
        if row.start_from is not None and row.start_from not in rows:
            raise UserError(
                f"the row '{name}' begins with the weights of '{row.start_from}', which this budget or this data "
                "leaves out; run both of them or neither"
            )


def start_override(row: RowConfig, overrides: Sequence[str]) -> list[str]:
    """Returns the override by which a row's configuration names the row that it begins with; empty where there is none.

    Raises:
        UserError: an override names a run as well.
    """
    if row.start_from is None:
        return []
    for override in overrides:
        if read_override(override)[0] == "start_from":
            raise UserError(
                f"a row begins with one run; received start_from: {row.start_from}, and the override '{override}' as "
                "well; take one of them out"
            )
    return [f"start_from={row.start_from}"]


def hash_of_run(run: str) -> str | None:
    """Returns what stands for the path of a run, or of a checkpoint, in the hash of those that begin with its weights.

    Raises:
        UserError: there is no such run.
    """
    return _hash_of_run(run, checkpoint_of(run, "start_from").stat().st_mtime_ns)


@lru_cache(maxsize=8)  # a suite opens it once, and not for each row
def _hash_of_run(run: str, changed: int) -> str | None:
    return start_hash(open_run(run, key="start_from").start_record)


def stages_before(name: str, rows: Mapping[str, RowConfig]) -> Iterator[str]:
    """Yields the rows that come before a row, the last first; without end if they go in a circle."""
    before = rows[name].start_from
    while before is not None:
        if before not in rows:
            raise unknown_name("row", before, rows)
        yield before
        before = rows[before].start_from


def resolve(
    rows: Mapping[str, tuple[str | None, Callable[[int, Evaluations, Trial | None], Trial]]],
    seeds: int,
    evaluations: Evaluations,
) -> dict[str, list[Trial]]:
    """Returns the trials of each row, one for each seed, each with the trial that it begins with.

    Args:
        rows: for each the row that it begins with, and what makes its trials, `Row.trial`.
        seeds: of each row, from 0.
        evaluations: of each trial.
    """
    trials = dict[str, list[Trial]]()

    def add(row: str) -> list[Trial]:
        if row not in trials:
            start, trial = rows[row]
            first: Sequence[Trial | None] = [None] * seeds if start is None else add(start)
            trials[row] = [trial(seed, evaluations, first[seed]) for seed in range(seeds)]
        return trials[row]

    return {row: add(row) for row in rows}
