"""`ssl_zoo.compare()`: the comparison of runs or suites that `ssl-zoo report A B` writes, as an object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssl_zoo.catalog.changes import Changes, changes_between
from ssl_zoo.catalog.names import Names
from ssl_zoo.errors import UserError
from ssl_zoo.files.json_files import load_json
from ssl_zoo.monitors.label_free import ORDER
from ssl_zoo.pages.card import Card, CardTable, card_html
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Badge, Cell
from ssl_zoo.reports.folder import RECORD
from ssl_zoo.reports.options import read_report
from ssl_zoo.reports.ranking import TITLES
from ssl_zoo.reports.report import report
from ssl_zoo.run_dir.find import find_folders
from ssl_zoo.run_dir.listed_run import ListedRun

__all__ = ["Comparison", "compare"]

SUITES = "comparison.json"  # the values of a comparison of suites


@dataclass(frozen=True)
class Comparison:
    """A comparison of runs or of suites, as its page shows it.

    Attributes:
        page: the report.html.
        title: what is compared.
        lead: the answer, in a sentence or two.
        values: of runs what report.json holds, `best` and `runs_scored` among it; of suites, comparison.json.
        differences: the keys in which runs differ, and their metrics; None for suites.
    """

    page: Path
    title: str
    lead: str
    values: Mapping[str, Any]
    differences: Changes | None = None

    def __repr__(self) -> str:
        parts = [
            self.title,
            self.lead,
            "" if self.differences is None else repr(self.differences),
            str(self.page),
        ]
        return "\n".join(filter(None, parts))

    def _repr_html_(self) -> str:
        tables = [_scores(self.values["runs_scored"])] if "runs_scored" in self.values else []
        if self.differences is not None:
            names = self.differences.headings()
            tables.append(
                CardTable(names, self.differences.rows(), "Keys in which the runs differ, and metrics.")
            )
        if "changes" in self.values:
            tables.append(_changes(self.values["changes"]))
        return card_html(Card(self.title, texts=[self.lead], tables=tables, foot=str(self.page)))


def compare(overrides: Sequence[str], silent: bool = False) -> Comparison:
    """Compares runs, or suites: `ssl_zoo.compare(["runs/a", "runs/b"])`, as `ssl-zoo report runs/a runs/b` does.

    Args:
        overrides: two folders or more, and `key=value` as for `report`.
        silent: print nothing.

    Returns:
        The comparison, which lies in its own folder as a page too.

    Raises:
        UserError: as `report`; or fewer than two are named.
    """
    config, _ = read_report(overrides)
    if len(config.run) < 2:
        raise UserError(
            f"compare takes two runs or suites, or more; received {len(config.run)}; name another"
        )
    page = report(overrides, silent)
    record = load_json(page.with_name(RECORD))
    if page.with_name(SUITES).is_file():
        return Comparison(page, record["title"], record["lead"], load_json(page.with_name(SUITES)))
    return Comparison(page, record["title"], record["lead"], record, _differences(config.run))


def _differences(names: Sequence[str]) -> Changes | None:
    """Compares the configurations of runs; None where the folders of fewer than two are run directories."""
    folders = list(dict.fromkeys(map(_folder, names)))
    found = [next(find_folders(folder), None) for folder in folders]
    of_runs = [each for each in found if each is not None and each.folder in folders]
    plain = len({each.folder.name for each in of_runs}) == len(of_runs)
    runs = [
        ListedRun(each._replace(name=each.folder.name if plain else str(each.folder))) for each in of_runs
    ]
    return changes_between(runs, Names(runs)) if len(runs) > 1 else None


def _folder(name: str) -> Path:
    """Returns the run directory that a path names, or that of a checkpoint."""
    path = Path(name).expanduser()
    return path.parent.parent if path.is_file() and path.parent.name == "checkpoints" else path


def _scores(runs: Sequence[Mapping[str, Any]]) -> CardTable:
    """Tabulates the label-free scores, from the best on."""
    rows: list[list[str | Badge | Cell]] = [
        [
            str(run["name"]),
            Badge(str(run["verdict"])),
            number(run["embeddings"][ORDER]),
            percent(run["linear_top1"]),
        ]
        for run in runs
    ]
    return CardTable(
        ("run", "verdict", TITLES[ORDER], "linear probe"), rows, "From the best label-free score on."
    )


def _changes(changes: Sequence[Mapping[str, Any]]) -> CardTable:
    """Tabulates the rows of suites with what changed."""
    rows: list[list[str | Badge | Cell]] = [
        [
            str(change["row"]),
            str(change["metric"]),
            number(change["before"]["mean"]),
            number(change["after"]["mean"]),
            number(change["difference"]),
            str(change["state"]),
        ]
        for change in changes
    ]
    return CardTable(("row", "metric", "before", "after", "difference", ""), rows)
