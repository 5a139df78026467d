"""The page that `memory_flat` writes."""

from __future__ import annotations

import os
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ssl_zoo.run_dir.environment import git_commit, versions

__all__ = ["TESTED", "Measured", "markdown_page"]

TESTED = 4096  # images that kNN classifies, for any size of the labelled training set


@dataclass(frozen=True)
class Measured:
    """Memory and time of a command on a number of images, in one round."""

    name: str
    images: int
    megabytes: float  # peak in MiB, above that of the imports
    seconds: float


HEADER = """# Memory

Peak memory of embedding and kNN evaluation, in MiB above that of the imports, by the number of images (for kNN: of the
labelled training set; {tested:,} are classified): median (least to most) of {rounds} rounds. Images are read from
files. Made by

    {command}

at commit `{commit}` with {versions}, on {cores} CPU cores, with {encoder}.

| images | {names} |
|---|{lines}|
"""


def markdown_page(results: Sequence[Measured], command: str, encoder: str) -> str:
    """Returns the results as a page in Markdown."""
    names = list(dict.fromkeys(result.name for result in results))
    sizes = sorted({result.images for result in results})
    cells: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for result in results:
        cells[result.name, result.images].append(result.megabytes)
    used = versions()
    text = HEADER.format(
        rounds=max(map(len, cells.values())),
        tested=min(TESTED, sizes[0]),
        command=command,
        commit=git_commit(),
        versions=", ".join(f"{name} {used[name]}" for name in ("python", "torch")),
        cores=os.cpu_count(),
        encoder=encoder,
        names=" | ".join(names),
        lines="|".join("---:" for _ in names),
    )
    for size in sizes:
        row = [_cell(cells[name, size]) for name in names]
        text += f"| {size:,} | {' | '.join(row)} |\n"
    if len(sizes) > 1:
        medians = {key: statistics.median(values) for key, values in cells.items()}
        more = [medians[name, sizes[-1]] - medians[name, sizes[0]] for name in names]
        each = [f"{2**20 * grown / (sizes[-1] - sizes[0]):+.0f}" for grown in more]
        text += f"| bytes per further image | {' | '.join(each)} |\n"
    return text


def _cell(megabytes: list[float]) -> str:
    return f"{statistics.median(megabytes):.0f} ({min(megabytes):.0f} to {max(megabytes):.0f})"
