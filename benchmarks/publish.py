"""Copies the reports of suites into docs/, each with its figures, and writes a page of all claims.

    python -m ssl_zoo.benchmarks.publish runs/bench docs/results/suites [--only 'simsiam_*'] [--title TITLE]

It reads the folders that `ssl-zoo bench` has written (RUNS/SUITE-DATA-BUDGET) and changes nothing in them. Pictures are
reduced to 128 colours.
"""

from __future__ import annotations

import argparse
import fnmatch
import io
import re
import shutil
from collections import Counter
from pathlib import Path

from PIL import Image

from ssl_zoo.suites.record import RECORD, SuiteRecord, read, run_dir

COLOURS = 128
MARKS = {"holds": "✓", "fails": "✕", "undecided": "?"}


def main() -> None:
    """Copies the reports and writes the page of claims."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, help="folder that holds the suites' folders")
    parser.add_argument("out", type=Path, help="folder of the reports; the page is beside it, named like it")
    parser.add_argument("--only", default="*", help="pattern of the folders")
    parser.add_argument("--title", default="Suites on digits")
    options = parser.parse_args()
    folders = sorted(file.parent for file in options.runs.glob(f"*/{RECORD}"))
    folders = [folder for folder in folders if fnmatch.fnmatch(folder.name, options.only)]
    records, runs = {}, set[Path]()
    for folder in folders:
        record = read(folder)
        records[record.name] = record
        runs |= {run_dir(run, folder).resolve() for row in record.rows for run in row.runs}
        _copy(folder, options.out / record.name)
    options.out.with_suffix(".md").write_text(_page(records, len(runs), options))


def _copy(folder: Path, out: Path) -> None:
    if out.is_dir():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    text = (folder / "report.md").read_text()
    (out / "report.md").write_text(text)
    shutil.copy(folder / "results.csv", out)
    for name in set(re.findall(r"\]\(([\w.+-]+\.png)\)", text)):
        with Image.open(folder / name) as picture:
            small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MEDIANCUT)
            file = io.BytesIO()
            small.save(file, "PNG", optimize=True)
        (out / name).write_bytes(file.getvalue())


def _page(records: dict[str, SuiteRecord], runs: int, options: argparse.Namespace) -> str:
    states = Counter(claim.state for record in records.values() for claim in record.claims)
    commits = sorted({commit[:12] for record in records.values() for commit in record.commits})
    counts = ", ".join(f"{states[state]} {verb}" for state, verb in STATES.items())
    lines = [
        f"# {options.title}",
        "",
        f"{len(records)} suites, {runs} runs, each suite run once. Of {states.total()} claims {counts}.",
        "Made by `ssl-zoo bench suite=NAME` for each and then",
        "",
        f"    python -m ssl_zoo.benchmarks.publish {options.runs} {options.out}"
        + (f" --only '{options.only}'" if options.only != "*" else ""),
        "",
        f"Runs at commit {', '.join(f'`{commit}`' for commit in commits)}. The claims are the papers', about",
        "ImageNet or all of CIFAR-10: what holds there need not hold here. The report of a suite has its table, its",
        "curves, its cost and the commands.",
        "",
        "| suite | paper | rows × seeds | claims |",
        "|---|---|---|---|",
    ]
    for name, record in records.items():
        of = f"{len(record.rows)} × {len(record.seeds)}"
        marks = " ".join(MARKS[claim.state] for claim in record.claims)
        lines.append(
            f"| [{name}]({options.out.name}/{name}/report.md) | {record.paper}, {record.section} | {of} | {marks} |"
        )
    for name, record in records.items():
        lines += [
            "",
            f"## {record.paper}, {record.section}: {record.title}",
            "",
            f"[{name}]({options.out.name}/{name}/report.md)",
            "",
        ]
        lines += [
            f"- {MARKS[claim.state]} **{claim.state}**: `{claim.text}`. {claim.why}"
            for claim in record.claims
        ]
    return "\n".join(lines) + "\n"


STATES = {"holds": "hold", "fails": "fail", "undecided": "stay undecided"}

if __name__ == "__main__":
    main()
