"""The page that `kill_and_resume` writes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from .compare_runs import RunComparison

__all__ = ["Kill", "VariantOutcome", "markdown_page"]


class Kill(NamedTuple):
    """Kill that was carried out."""

    after: str  # the last event before it
    process: int  # rank
    saved: int  # last optimizer step that had been saved
    continued: int  # step from which the next start went on


@dataclass
class VariantOutcome:
    """Outcome of a variant."""

    name: str
    overrides: list[str]
    steps: int = 0
    kills: list[Kill] = field(default_factory=list)
    seconds: float = 0.0  # of all starts that were killed or continued
    problems: list[str] = field(default_factory=list)
    compared: RunComparison | None = None


HEADER = """# Kill and resume

Runs that were killed with SIGKILL at random moments and continued with `resume=auto`, compared to the bit with the
same runs left alone: **{kills} kills, {verdict}**. Made by

    {command}

at commit `{commit}` with {versions}, on {cores} CPU cores.

- Each run has three epochs on 192 digits, saves after every second step and at the end of each epoch, and was killed
  again and again until it was done. {saving} of the kills came while a checkpoint was being written; after {nothing}
  there was none yet, and the run began anew. Where a run has several processes one of them was killed, drawn at
  random, and the others had to end by themselves.
- Compared: the last checkpoint (weights, queues, memory, target encoder, optimizer, schedule, position), `metrics.csv`
  (the learning rate and all measurements after each epoch), `result.json`, and what TensorBoard shows, each step's
  loss in it; also every value that any start wrote there, whether or not another wrote it again. In all {tensors}
  tensors of {size} MB and {events} values in TensorBoard. Left out are times, memory, names of folders, the commit.
- Checked besides: each start went on from the last checkpoint that was whole, and `train_seconds` is above 0 and
  below the time that all starts took together.

Each kill is given as the last event before it and the optimizer step from which the run then went on: in
"saving 4 → 2" it was killed while saving step 4, or on its way there, and continued from step 2.

| | overrides | steps | kills | TensorBoard | tensors | differs |
|---|---|---|---|---|---|---|
"""


def markdown_page(outcomes: Sequence[VariantOutcome], command: str) -> str:
    """Returns the outcomes as a page in Markdown."""
    from ssl_zoo.run_dir.environment import git_commit, versions

    kills = [kill for outcome in outcomes for kill in outcome.kills]
    compared = [outcome.compared for outcome in outcomes if outcome.compared is not None]
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    used = versions()
    header = HEADER.format(
        kills=len(kills),
        verdict=f"{wrong} of {len(outcomes)} runs differ" if wrong else "nothing differs",
        command=command,
        commit=git_commit(),
        versions=", ".join(f"{name} {used[name]}" for name in ("python", "torch", "pytorch-lightning")),
        cores=os.cpu_count(),
        saving=sum(kill.after.startswith("saving") for kill in kills),
        nothing=sum(kill.continued == 0 for kill in kills),
        size=f"{sum(each.size for each in compared) / 1e6:.0f}",
        tensors=f"{sum(each.tensors for each in compared):,}",
        events=f"{sum(each.events for each in compared):,}",
    )
    return header + "\n".join(map(_row, outcomes)) + "\n"


def _row(outcome: VariantOutcome) -> str:
    compared = outcome.compared or RunComparison(0, 0, 0, [])
    cells = (
        outcome.name,
        f"`{' '.join(outcome.overrides)}`",
        str(outcome.steps),
        "; ".join(map(_describe, outcome.kills)) or "-",
        str(compared.events),
        str(compared.tensors),
        "; ".join(outcome.problems[:5]) or "nothing",
    )
    return f"| {' | '.join(cells)} |"


def _describe(kill: Kill) -> str:
    """Describes a kill, as in "saving 6 (process 1) → 4"."""
    process = f" (process {kill.process})" if kill.process else ""
    return f"{kill.after}{process} → {kill.continued}"
