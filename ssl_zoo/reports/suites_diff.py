"""Suites beside one another: what their rows, verdicts, claims and settings have in common and where they differ."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_zoo.metrics import SUITE, declared
from ssl_zoo.suites.aggregate import aggregate_of, heading
from ssl_zoo.suites.record import RowRecord, SuiteRecord

__all__ = [
    "NONE",
    "ComparedSuite",
    "changed_claims",
    "changed_verdicts",
    "differences",
    "labels",
    "shared_rows",
]

NONE = "–"  # the suite has no such row, claim or setting


@dataclass(frozen=True)
class ComparedSuite:
    """A suite that was named, and what it is called in the comparison."""

    label: str
    folder: Path
    record: SuiteRecord

    def row(self, name: str) -> RowRecord | None:
        """The row of that name, where the suite has one."""
        return next((row for row in self.record.rows if row.name == name), None)

    def verdicts(self, row: str) -> Mapping[str, int]:
        """How many finished seeds of the row have each verdict."""
        there = self.row(row)
        return Counter(sorted(there.verdicts)) if there else {}

    def state(self, claim: str) -> str | None:
        """What the runs say of a claim, by its text; None: the suite doesn't make it."""
        return next((one.state for one in self.record.claims if one.text == claim), None)


def labels(folders: Sequence[Path]) -> list[str]:
    """Names of folders, with as much of their paths as tells them apart."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([folder.parent for folder in folders])
    return [os.path.relpath(folder, root) for folder in folders]


def shared_rows(suites: Sequence[ComparedSuite]) -> list[str]:
    """Names of rows that are in two suites at least, in the order of the suites."""
    counts = Counter(row.name for suite in suites for row in suite.record.rows)
    return [name for name, count in counts.items() if count > 1]


def changed_verdicts(suites: Sequence[ComparedSuite]) -> dict[str, bool]:
    """By shared row: whether its verdicts differ between the suites that have finished runs of it."""
    found = {}
    for name in shared_rows(suites):
        known = [verdicts for suite in suites if (verdicts := suite.verdicts(name))]
        alike = (
            len({sum(one.values()) for one in known}) == 1
        )  # as many seeds: then their numbers count as well
        kinds = {tuple(sorted(one.items() if alike else one)) for one in known}
        found[name] = len(kinds) > 1
    return found


def changed_claims(suites: Sequence[ComparedSuite]) -> dict[str, bool]:
    """By claim: whether its state differs between the suites that make it."""
    texts = dict.fromkeys(claim.text for suite in suites for claim in suite.record.claims)
    return {text: len({state for suite in suites if (state := suite.state(text))}) > 1 for text in texts}


def differences(suites: Sequence[ComparedSuite]) -> dict[str, list[str]]:
    """The settings that differ: by setting, the overrides of each suite."""
    flat = []
    for suite in suites:
        record = suite.record
        values = {
            "suite": record.name, "data": record.data, "images": record.data_in_words, "budget": record.budget,
            "your overrides": " ".join(record.overrides), "base": " ".join(record.base),
            "seeds": ", ".join(map(str, record.seeds)), "commit": ", ".join(record.commits),
            "what top-1 is": record.top1,
        }  # fmt: skip
        values |= {f"protocol of {heading(key)}": text for key, text in record.protocols.items()}
        values |= {f"version of {name}": version for name, version in record.versions.items()}
        values |= {"machine": record.machine, "date": record.date}
        for row in record.rows:
            if row.name in shared_rows(suites):
                values[f"overrides of row {row.name}"] = " ".join(row.overrides)
                for key in (key for key, known in declared(SUITE).items() if known.unit == "setting"):
                    values[f"row {row.name} {heading(key)}"] = str(aggregate_of(row, key))
        flat.append(values)
    told = {key: [values.get(key, "") or NONE for values in flat] for values in flat for key in values}
    return {key: overrides for key, overrides in told.items() if len(set(overrides)) > 1}
