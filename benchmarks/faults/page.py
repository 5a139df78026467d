"""The page that the faults leave."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from .case import Outcome

__all__ = ["markdown_page", "scenario_table"]

HEADER = """# Faults, on purpose

**{number} faults, {verdict}.** Made by

    {command}

at {commits} with {versions}, on {cores} CPU cores.

- Each fault happens to a command of ssl-zoo that takes a second or two: a training of 8 steps on 72 digits, one on
  10,000 image files with two loader workers, one in four processes on two nodes, a suite of two rows, an evaluation, a
  report, a second report in place of a first, an export in two formats, embeddings, an import. Its moment is drawn from
  the operations below the command's folder: files opened, renamed or removed, folders made or removed.
- Then the same command runs again, without a fault. What it leaves is compared to the bit with what it leaves where
  nothing happens: checkpoint, `metrics.csv`, TensorBoard, `result.json`, evaluations, features, exported weights;
  pictures too, and of pages that hold times that they are there. What was there before the fault has to be as it was.
- Lost is what differs or is missing then, an exit status other than 0 of the second command, or a checkpoint that was
  saved before the fault and is gone. Unclear is a message that is no single line with its advice, a traceback, or a
  wrong exit status. Left are temporary files that the second command does not clear away: they lock nothing.
- Full disks are file systems of their own (tmpfs) with less space than the command needs, and are given more for the
  second command. After a power cut files are cut off that no `fsync` had brought to the disk, in any order.

"""


def markdown_page(outcomes: Sequence[Outcome], command: str) -> str:
    """Returns the outcomes as a page in Markdown."""
    from ssl_zoo.run_dir.environment import versions

    used, wrong = versions(), [outcome for outcome in outcomes if not outcome.is_well]
    commits = Counter(outcome.commit[:10] for outcome in outcomes)
    header = HEADER.format(
        number=len(outcomes),
        verdict=f"{len(wrong)} with something lost or unclear"
        if wrong
        else "nothing lost, every message clear",
        command=command,
        commits=", ".join(f"commit `{commit}` ({count})" for commit, count in commits.most_common()),
        versions=", ".join(f"{name} {used[name]}" for name in ("python", "torch", "pytorch-lightning")),
        cores=os.cpu_count(),
    )
    rows = ["| | command | scenario | fault | exit status | the same command afterwards | lost, unclear |"]
    rows += ["|--:|---|---|---|--:|---|---|", *map(_row, outcomes)]
    return header + "\n".join([*scenario_table(outcomes), "", *rows, ""])


def scenario_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Returns a row for each scenario, with its numbers and a line that a user has read."""
    lines = [
        "| scenario | faults | lost | unclear | left | a line that the user reads |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for name in sorted({outcome.scenario for outcome in outcomes}):
        group = [outcome for outcome in outcomes if outcome.scenario == name]
        counts = (len(group), *(sum(map(bool, values)) for values in _faults(group)))
        read = [outcome.line for outcome in group if outcome.line]
        example = f"`{max(read, key=len)}`" if read else "none: it goes on, or it was killed"
        lines.append(f"| {name} | {' | '.join(map(str, counts))} | {example.replace('|', '/')} |")
    return lines


def _faults(group: Sequence[Outcome]) -> Iterable[list[list[str]]]:
    return ([o.lost for o in group], [o.unclear for o in group], [o.left for o in group])


def _row(outcome: Outcome) -> str:
    wrong = "; ".join([*outcome.lost, *outcome.unclear])[:200] or "nothing"
    status = "" if outcome.status is None else str(outcome.status)
    cells = (
        str(outcome.number),
        outcome.subject,
        outcome.scenario,
        outcome.fault,
        status,
        outcome.again,
        wrong,
    )
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
