"""Copies the reports of suites into docs/, each with its figures, and writes a page of what all of them say.

    python -m ssl_zoo.benchmarks.publish docs/results/suites digits='runs/bench/*-digits-quick' cifar='runs/cifar/*'

Each further argument is LABEL=FOLDERS, with a pattern of the folders that `ssl-zoo bench` has written; nothing
changes in them. A report goes to OUT/LABEL/SUITE, the runs of all suites to OUT/LABEL/results.csv, the page to OUT.md.
Pictures are reduced to 128 colours.
"""

from __future__ import annotations

import argparse
import csv
import glob
import io
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from ssl_zoo.pages.page import SIGNS
from ssl_zoo.suites.record import RECORD, ClaimRecord, SuiteRecord, read, run_dir

COLOURS = 128
NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Source:
    """The suites of one data set."""

    label: str
    records: dict[str, SuiteRecord]  # by suite
    seconds: dict[Path, float]  # of each run, once

    def counts(self) -> Counter[str]:
        """Counts the claims by state."""
        return Counter(claim.state for record in self.records.values() for claim in record.claims)


def main() -> None:
    """Copies the reports and writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the reports; the page is beside it, named like it")
    parser.add_argument("sources", nargs="+", metavar="LABEL=FOLDERS", help="a pattern of suites' folders")
    options = parser.parse_args()
    sources = [_publish(source, options.out) for source in options.sources]
    options.out.with_suffix(".md").write_text(_page(sources, options.out.name), encoding="utf-8")


def _publish(source: str, out: Path) -> Source:
    label, _, pattern = source.partition("=")
    records, seconds, tables = {}, dict[Path, float](), list[Path]()
    if (out / label).is_dir():
        shutil.rmtree(out / label)
    for folder in sorted(Path(name) for name in glob.glob(pattern)):
        if not (folder / RECORD).is_file():
            continue
        record = read(folder)
        records[record.name] = record
        for run in (run for row in record.rows for run in row.runs):
            seconds[run_dir(run, folder).resolve()] = run.values.get("seconds", 0.0)
        _copy(folder, out / label / record.name)
        tables.append(folder / "results.csv")
    if tables:
        merge_tables(tables, out / label / "results.csv")
    return Source(label, records, seconds)


def _copy(folder: Path, out: Path) -> None:
    out.mkdir(parents=True)
    text = (folder / "report.md").read_text(encoding="utf-8")
    (out / "report.md").write_text(text, encoding="utf-8")
    for name in set(re.findall(r"\]\(([\w.+-]+\.png)\)", text)):
        with Image.open(folder / name) as picture:
            small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
            file = io.BytesIO()
            small.save(file, "PNG", optimize=True)
        (out / name).write_bytes(file.getvalue())


def merge_tables(files: Sequence[Path], out: Path) -> None:
    """Writes the rows of CSV files into one, with the columns of all in the order in which they first come."""
    rows = list[dict[str, str]]()
    for path in files:
        with path.open(newline="") as file:
            rows += csv.DictReader(file)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _page(sources: list[Source], folder: str) -> str:
    lines = [
        "# What the suites say",
        "",
        "The claims are the papers', about ImageNet or all of CIFAR-10: what holds there need not hold on little data. "
        "A report has its table, its curves, its cost and its commands; a line for each run stands in "
        f"{' and '.join(f'[{s.label}/results.csv]({folder}/{s.label}/results.csv)' for s in sources if s.records)}.",
        "",
        *_totals(sources),
        "",
        "✓ holds, ✕ fails, ≈ no difference that matters, ? undecided, – not asked.",
        "",
        f"| suite | question | {' | '.join(source.label for source in sources)} |",
        "|---|---|" + "---|" * len(sources),
    ]
    suites = {name: record for source in sources for name, record in source.records.items()}
    for name, record in sorted(suites.items()):
        cells = [_marks(source, name, folder) for source in sources]
        paper = f"{record.paper}, {record.section}"
        lines.append(f"| {paper} | {record.question} | {' | '.join(cells)} |")
    for source in sources:
        lines += ["", f"## {source.label}: every claim", ""]
        for name, record in source.records.items():
            lines += [
                f"**{record.paper}, {record.section}**: [{record.title}]({folder}/{source.label}/{name}/report.md)",
                "",
            ]
            lines += [*map(_sentence, record.claims), ""]
    return "\n".join(lines).rstrip() + "\n"


def _totals(sources: list[Source]) -> list[str]:
    states = [state for state in SIGNS if state != NOT_ASKED]
    lines = [
        f"| data | suites | runs | core hours | claims asked | {' | '.join(states)} | decided |",
        "|---|" + "--:|" * (len(states) + 5),
    ]
    for source in sources:
        counts = source.counts()
        asked = counts.total() - counts[NOT_ASKED]
        decided = (asked - counts["undecided"]) / asked if asked else 0.0
        figures = [
            str(len(source.records)),
            str(len(source.seconds)),
            f"{sum(source.seconds.values()) / 3600:.1f}",
            str(asked),
            *(str(counts[state]) for state in states),
            f"{decided:.0%}",
        ]
        lines.append(f"| {source.label} | {' | '.join(figures)} |")
    return lines


def _marks(source: Source, name: str, folder: str) -> str:
    if name not in source.records:
        return ""
    marks = " ".join(SIGNS[claim.state] for claim in source.records[name].claims)
    return f"[{marks}]({folder}/{source.label}/{name}/report.md)"


def _sentence(claim: ClaimRecord) -> str:
    return f"- {SIGNS[claim.state]} **{claim.state}**: `{claim.text}`. {claim.why}"


if __name__ == "__main__":
    main()
