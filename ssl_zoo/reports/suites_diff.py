"""The difference between suites: the rows that they share, and the verdicts, claims and settings that differ."""

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
    "differing_settings",
    "labels",
    "shared_rows",
]

NONE = "–"  # the suite has no such row, claim or setting


@dataclass(frozen=True)
class ComparedSuite:
    """Suite of a comparison, with its label there."""

    label: str
    folder: Path
    record: SuiteRecord

    def row(self, name: str) -> RowRecord | None:
        """Returns the row of that name, where the suite has one."""
        return next((row for row in self.record.rows if row.name == name), None)

    def verdicts(self, row: str) -> Mapping[str, int]:
        """Counts the finished seeds of the row that have each verdict."""
        record = self.row(row)
        return Counter(sorted(record.verdicts)) if record else {}

    def state(self, claim: str) -> str | None:
        """Returns the state of a claim, by its text; None: the suite doesn't make it."""
        return next((record.state for record in self.record.claims if record.text == claim), None)


def labels(folders: Sequence[Path]) -> list[str]:
    """Returns the names of folders, with as much of their paths as tells them apart."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([folder.parent for folder in folders])
    return [os.path.relpath(folder, root) for folder in folders]


def shared_rows(suites: Sequence[ComparedSuite]) -> list[str]:
    """Returns the names of rows that are in two suites at least, in the order of the suites."""
    counts = Counter(row.name for suite in suites for row in suite.record.rows)
    return [name for name, count in counts.items() if count > 1]


def changed_verdicts(suites: Sequence[ComparedSuite]) -> dict[str, bool]:
    """Returns for each shared row whether its verdicts differ between the suites that have finished runs of it."""
    changed = {}
    for name in shared_rows(suites):
        known = [verdicts for suite in suites if (verdicts := suite.verdicts(name))]
        # With as many seeds in each suite the number of each verdict counts as well.
        alike = len({sum(verdicts.values()) for verdicts in known}) == 1
        kinds = {tuple(sorted(verdicts.items() if alike else verdicts)) for verdicts in known}
        changed[name] = len(kinds) > 1
    return changed


def changed_claims(suites: Sequence[ComparedSuite]) -> dict[str, bool]:
    """Returns for each claim whether its outcome differs between the suites that ask it."""
    texts = dict.fromkeys(claim.text for suite in suites for claim in suite.record.claims)
    return {text: len({suite.state(text) for suite in suites} - {None, "not asked"}) > 1 for text in texts}


def differing_settings(suites: Sequence[ComparedSuite]) -> dict[str, list[str]]:
    """Returns the settings that differ, each with its value in every suite."""
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
    settings = {key: [values.get(key, "") or NONE for values in flat] for values in flat for key in values}
    return {key: values for key, values in settings.items() if len(set(values)) > 1}
