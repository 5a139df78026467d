"""The provenance of a suite: what it cost, how it was measured, and the commands that give it again."""

from __future__ import annotations

from pathlib import Path

from ssl_zoo.pages.numbers import seconds
from ssl_zoo.pages.page import Block, Cell, Details, Items, Prose, Section, Table
from ssl_zoo.run_dir.run_files import read_environment
from ssl_zoo.suites.aggregate import aggregate_of, distinct_runs, heading
from ssl_zoo.suites.record import RowRecord, SuiteRecord

__all__ = ["commands", "cost", "protocol_section"]

COSTS = ("images_seen", "forward_passes", "train_seconds", "seconds", "views_per_second", "peak_memory_mb")


def cost(record: SuiteRecord, folder: Path) -> Section | None:
    """Tabulates what the runs took, row by row and all of them together."""
    columns = [name for name in COSTS if any(aggregate_of(row, name).values for row in record.rows)]
    if not columns:
        return None
    rows = [
        (
            Cell(row.name, row.name, f"the same run as {row.same_as}" if row.same_as else "", left=True),
            *(Cell(str(mean := aggregate_of(row, name)), mean.mean) for name in columns),
        )
        for row in record.rows
    ]
    spread = "Mean ± standard deviation over the seeds. " if len(record.seeds) > 1 else ""
    caption = (
        f"{spread}Forward passes: images through an encoder, the momentum encoder's "
        "included. Seconds are those of this machine, and of what else it was doing."
    )
    table = Table(("row", *map(heading, columns)), rows, caption, sortable=True)
    return Section("cost", "Cost", [Prose(_total(record, folder)), table])


def _total(record: SuiteRecord, folder: Path) -> str:
    runs = [run for run in distinct_runs(record) if run.values.get("seconds") is not None]
    spent = sum(run.values["seconds"] for run in runs)
    environments = [read_environment(folder / run.folder) for run in runs]
    text = f"The {len(runs)} finished runs, each counted once, took {seconds(spent)} one after the other"
    on_cpu = [environment for environment in environments if environment.get("device") == "cpu"]
    threads: list[int] = [environment.get("cpu_threads") or 0 for environment in on_cpu]
    if runs and len(threads) == len(runs) and all(threads):
        core = sum(run.values["seconds"] * each for run, each in zip(runs, threads, strict=True))
        return f"{text}: {seconds(core)} of core time (seconds times the threads of each run)."
    names = sorted({str(environment["device"]) for environment in environments if environment.get("device")})
    return f"{text}{f' on {chr(44).join(names)}' if names else ''}."


def protocol_section(record: SuiteRecord) -> Section:
    """Describes how each figure was measured, on what, and where that is not what the paper did."""
    blocks: list[Block] = [Prose(record.data_in_words)]
    if record.remarks:
        blocks += [Prose("Where this departs from the paper, and what else to know:"), Items(record.remarks)]
    if record.protocols:
        rows = [(Cell(heading(name), left=True), phrases) for name, phrases in record.protocols.items()]
        blocks.append(
            Table(("figure", "how it was measured"), rows, "Accuracies are of the last epoch.", wordy=True)
        )
    settings = [
        f"budget     {record.budget}",
        f"seeds      {', '.join(map(str, record.seeds))}",
        f"all rows   {' '.join(record.base) or '(the defaults)'}",
        f"you added  {' '.join(record.overrides) or '(nothing)'}",
        f"machine    {record.machine}",
        f"date       {record.date}",
        f"commit     {', '.join(record.commits) or '(not known)'}",
        f"versions   {', '.join(f'{name} {version}' for name, version in record.versions.items())}",
    ]
    blocks.append(Details("Settings that all rows share, and what they ran on:", "\n".join(settings), True))
    return Section("protocol", "Protocol", blocks)


def commands(record: SuiteRecord) -> Section:
    """Lists the command of the suite, and that of each run."""
    blocks: list[Block] = [Details("This suite:", record.command, True)]
    blocks += [Details(_summary(row), "\n".join(_commands(row))) for row in record.rows]
    return Section("again", "How to run it again", blocks)


def _summary(row: RowRecord) -> str:
    return f"{row.name}: {' '.join(row.overrides) or 'the base as it is'}"


def _commands(row: RowRecord) -> list[str]:
    lines = [f"# the same run as {row.same_as} on this data"] if row.same_as else []
    for run in row.runs:
        lines += [f"# seed {run.seed}, {run.folder}", run.command]
    return lines
