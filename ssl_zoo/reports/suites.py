"""The page of a comparison of suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ssl_zoo.pages.numbers import number
from ssl_zoo.pages.page import Badge, Block, Cell, Details, Gallery, Page, Prose, Section, Table
from ssl_zoo.reports.suites_changes import ALPHA, Change, ChangeCounts, count_changes, is_accuracy
from ssl_zoo.reports.suites_diff import (
    NONE,
    ComparedSuite,
    changed_claims,
    changed_verdicts,
    differing_settings,
    shared_rows,
)
from ssl_zoo.reports.suites_tables import metrics_of, picture_of, table_by_metric, table_of

__all__ = ["suites_page"]

NAMED = 5  # rows at most that the headline names


def suites_page(suites: Sequence[ComparedSuite], changes: Sequence[Change], command: str) -> Page:
    """Makes the page; nothing is written.

    Args:
        suites: two or more, the first of them the reference.
        changes: of `compare_suites`.
        command: makes this comparison.
    """
    counts = count_changes(changes)
    accuracies = [table_of(metric, changes) for metric in metrics_of(changes) if is_accuracy(metric)]
    others = [table_of(metric, changes) for metric in metrics_of(changes) if not is_accuracy(metric)]
    sections = [
        Section("changes", "What changed", [*_answer(suites, changes, counts), table_by_metric(changes)]),
        Section("accuracies", "Accuracies", accuracies),
        Section("verdicts", "Verdicts", [_verdicts(suites)]),
        Section("claims", "Claims", [table] if (table := _claims(suites)) else []),
        Section("figures", "Other figures", others),
        Section("differs", "What differs between the suites", _differs(suites)),
        Section("provenance", "Provenance", [Details("This comparison:", command, shown=True)]),
    ]
    return Page(
        title=f"{len(suites)} suites compared",
        kicker="ssl-zoo report",
        lead=_headline(suites, changes, counts),
        sections=[section for section in sections if section.blocks],
        foot="Made from the suites' records (suite.json) alone; no run was repeated. This page needs no network and "
        "no other file.",
    )


def _headline(suites: Sequence[ComparedSuite], changes: Sequence[Change], counts: ChangeCounts) -> str:
    verdicts, claims = sum(changed_verdicts(suites).values()), sum(changed_claims(suites).values())
    phrases = (
        f"Verdicts changed in {_count(verdicts, 'row')}, and {_count(claims, 'claim')} came out differently."
    )
    if not counts.rows:
        return f"No accuracy was measured in the rows that these suites share; their other figures are below. {phrases}"
    names = list(dict.fromkeys(change.row for change in changes if change.changed_corrected))
    which = f": {', '.join(names)};" if 0 < len(names) <= NAMED else ","
    text = (
        f"Of {_count(counts.rows, 'shared row')}, {counts.corrected} changed in accuracy by more than noise "
        f"(Holm-corrected){which} {counts.uncorrected} by the uncorrected 95 % interval."
    )
    if counts.equal:
        text += f" {counts.equal} {'has' if counts.equal == 1 else 'have'} the same accuracies seed by seed."
    if counts.one_seed:
        text += f" {counts.one_seed} cannot be decided: too few seeds."
    return f"{text} {phrases}"


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _answer(suites: Sequence[ComparedSuite], changes: Sequence[Change], counts: ChangeCounts) -> list[Block]:
    lines = [
        f"Rows are matched by name and compared with the first suite that has them, in general {suites[0].label}. A "
        "difference is the other suite's mean over its seeds minus that of the first. Its 95 % interval is Welch's; "
        'a figure changed where the interval excludes 0. "No difference found" doesn\'t say that there is none: with '
        "few seeds the interval is wide."
    ]
    if counts.tests:
        lines.append(
            f"{counts.tests} {'accuracy is' if counts.tests == 1 else 'accuracies are'} compared; were nothing "
            f"different, about {number(ALPHA * counts.tests, 2)} of their intervals would exclude 0 by chance. Holm's "
            "correction keeps the chance of even one such error among them below 5 %. The other figures are not "
            "corrected."
        )
    flat = sum(
        change.p == 0 and change.low == change.high for change in changes if is_accuracy(change.metric)
    )
    if flat:
        lines.append(
            f"In {_count(flat, 'comparison')} of accuracies no seed differs from another of its own suite, "
            "which leaves the interval without width; so few seeds are then weaker evidence than it looks."
        )
    shared = sum(
        change.common > 0 and change.p is not None for change in changes if is_accuracy(change.metric)
    )
    if shared:
        lines.append(
            f"In {_count(shared, 'comparison')} of accuracies some seeds are the same on both sides; the "
            "interval, which takes all seeds as independent, is then wider than it need be."
        )
    if any(key.startswith(("data", "what top-1", "protocol")) for key in differing_settings(suites)):
        lines.append(
            "The suites differ in their data or in how they measure, see below: accuracies differ for that as well."
        )
    blocks: list[Block] = [Prose(line) for line in lines]
    picture = picture_of(suites, changes)
    return [*blocks, *([Gallery([picture], wide=True)] if picture else []), *_failed(suites)]


def _failed(suites: Sequence[ComparedSuite]) -> list[Block]:
    lines = [
        f"{suite.label}: {row.name}, seed {run.seed}: {run.error or 'not run to its end'}"
        for suite in suites
        for row in suite.record.rows
        for run in row.runs
        if not run.finished
    ]
    return (
        [Details(f"Without a result, and left out: {_count(len(lines), 'run')}", "\n".join(lines))]
        if lines
        else []
    )


def _verdicts(suites: Sequence[ComparedSuite]) -> Table:
    rows = []
    for name, changed in changed_verdicts(suites).items():
        badges = [_badge(suite.verdicts(name)) for suite in suites]
        rows.append((name, *badges, Cell(_configuration(suites, name), left=True), _changed(changed)))
    header = ("row", *(suite.label for suite in suites), "configuration", "verdicts")
    caption = "Verdicts of the finished seeds; whether the seeds' configurations are the same."
    return Table(header, rows, caption, sortable=True)


def _badge(verdicts: Mapping[str, int]) -> Badge | str:
    """Returns the verdicts with the number of seeds that have each; in its tone where there is one alone."""
    text = ", ".join(f"{count} × {verdict}" for verdict, count in verdicts.items())
    return Badge(text, like=next(iter(verdicts)) if len(verdicts) == 1 else "undecided") if verdicts else NONE


def _claims(suites: Sequence[ComparedSuite]) -> Table | None:
    rows = []
    for text, changed in changed_claims(suites).items():
        states = [suite.state(text) for suite in suites]
        badges = [NONE if state is None else Badge(state) for state in states]
        rows.append((text, *badges, _changed(changed, everywhere=not {None, "not asked"} & set(states))))
    if not rows:
        return None
    header = ("claim", *(suite.label for suite in suites), "outcome")
    return Table(header, rows, "What the runs of each suite say of its claims.", sortable=True)


def _changed(changed: bool, everywhere: bool = True) -> Cell:
    return Cell("changed" if changed else "not changed" if everywhere else "not in all", left=True)


def _configuration(suites: Sequence[ComparedSuite], name: str) -> str:
    """Returns whether the seeds that all suites have are of one configuration, by its hash."""
    hashes = [
        {run.seed: run.config_hash for run in row.runs}
        for suite in suites
        if (row := suite.row(name)) is not None
    ]
    common = set(hashes[0]).intersection(*hashes[1:])
    if not common:
        return "no seed in common"
    return (
        "same"
        if all(by_seed[seed] == hashes[0][seed] for by_seed in hashes for seed in common)
        else "differs"
    )


def _differs(suites: Sequence[ComparedSuite]) -> list[Block]:
    settings = differing_settings(suites)
    blocks: list[Block] = [
        Table(
            ("setting", *(suite.label for suite in suites)),
            [(key, *(Cell(value, left=True) for value in values)) for key, values in settings.items()],
            "Settings by the records; those that are the same everywhere are left out.",
        )
        if settings
        else Prose("Data, budget, overrides, seeds, commits and versions are the same.")
    ]
    shared = shared_rows(suites)
    for suite in suites:
        alone = [row.name for row in suite.record.rows if row.name not in shared]
        if alone:
            blocks.append(Prose(f"Only in {suite.label}, and not compared: {', '.join(alone)}."))
    return blocks
