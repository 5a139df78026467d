"""Trains digits with faults planted on purpose, and recipes without one: is the cause named, is nobody accused?

    python -m ssl_zoo.benchmarks.planted_faults OUT [--only TEXT ...] [--follow] [--write docs]

A fault counts if it breaks the run, that is, if the verdict is not healthy. Held-out faults were written down before
any of them was run, and no rule was changed for them. `--follow` trains each broken run once more with its remedy.
A run that OUT holds is not trained again. `--write docs` writes docs/results/planted-faults.md. Exit status 1 if
fewer than 9 of 10 faults are named rightly or a healthy run is accused.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import multiprocessing
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .planted_recipes import FAULTS, HEALTHY, HELD_OUT, Fault

__all__ = ["Outcome", "main", "markdown_page"]

COMMON = [  # half of the recipes' epochs or less, as most faults show by then
    "epochs=10", "monitor.every_epochs=10", "precision=fp32", "trainer.threads=1", "trainer.progress=false",
    "trainer.loggers=[]",
]  # fmt: skip
SEED = "seed=0"
RIGHTLY = 0.9  # of the broken runs


@dataclass(frozen=True)
class Outcome:
    """Verdict on a run, with the cause named and the remedy."""

    fault: Fault
    verdict: str
    cause: str  # named; empty where the verdict is healthy
    remedy: str
    seconds: float
    commit: str  # at which it was trained and judged
    after: str = ""  # verdict with the remedy

    @property
    def is_broken(self) -> bool:
        return self.verdict != "healthy"

    @property
    def is_right(self) -> bool:
        return self.cause.startswith(f"{self.fault.cause}:")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="planted_faults", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--only", nargs="*", metavar="TEXT", default=(), help="runs whose overrides contain one of these"
    )
    parser.add_argument("--done", action="store_true", help="train nothing: report what OUT holds")
    parser.add_argument("--group", choices=("faults", "held-out", "healthy"), help="these runs alone")
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    parser.add_argument("--follow", action="store_true", help="train broken runs again with their remedy")
    parser.add_argument("--write", type=Path, help="folder of the documents")
    options = parser.parse_args(argv)
    out = options.out.absolute()
    _draw_gray(out / "gray")
    chosen = [
        fault
        for fault in (*FAULTS, *HELD_OUT, *HEALTHY)
        if (not options.only or any(text in fault.overrides for text in options.only))
        and options.group in (None, fault.group)
        and not (options.done and not (_folder(_overrides(fault, out), out) / "result.json").exists())
    ]
    importlib.import_module("ssl_zoo.training.run")  # once, before the forks
    outcomes = []
    # A process for each run gives its memory back.
    with multiprocessing.get_context("fork").Pool(options.workers, maxtasksperchild=1) as pool:
        run = functools.partial(_run, out=out, follow=options.follow, train=not options.done)
        for outcome in pool.imap(run, chosen, chunksize=1):
            outcomes.append(outcome)
            fault = outcome.fault
            right = "" if fault.group == "healthy" or not outcome.is_broken else f"right={outcome.is_right} "
            print(f"{fault.cause} | {fault.overrides} | {outcome.verdict} | {right}| {outcome.cause[:90]} | "
                  f"{outcome.remedy} | {outcome.after} | {outcome.seconds:.0f} s", flush=True)  # fmt: skip
    if options.write is not None:
        (options.write / "results" / "planted-faults.md").write_text(
            markdown_page(outcomes, options.follow), encoding="utf-8"
        )
    planted = [each for each in outcomes if each.fault.group != "healthy" and each.is_broken]
    accused = [each for each in outcomes if each.fault.group == "healthy" and each.is_broken]
    return int(bool(accused) or sum(each.is_right for each in planted) < RIGHTLY * len(planted))


def _run(fault: Fault, out: Path, follow: bool, train: bool) -> Outcome:
    """Trains a run unless it is there, and with `follow` once more with its remedy; without `train` only reads."""
    overrides = _overrides(fault, out)
    result, seconds = _train(overrides, out)
    cause, remedy = result["cause"] or "", result["remedy"] or ""
    after = ""
    if follow and result["verdict"] != "healthy" and _is_override(remedy):
        remedied = [*overrides, *shlex.split(remedy)]
        if train or (_folder(remedied, out) / "result.json").exists():
            second, more = _train(remedied, out)
            after, seconds = str(second["verdict"]), seconds + more
    commit = result["git_commit"] or ""
    return Outcome(fault, result["verdict"], cause, remedy, seconds, commit, after)


def _overrides(fault: Fault, out: Path) -> list[str]:
    """Returns the overrides of a run."""
    planted = shlex.split(fault.overrides.replace("OUT", str(out)))
    return [*COMMON, *planted, *([] if "seed=" in fault.overrides else [SEED])]


def _folder(overrides: list[str], out: Path) -> Path:
    """Returns the run directory of overrides."""
    from ssl_zoo.config.compose import compose
    from ssl_zoo.config.mapping import config_hash

    return out / config_hash(compose(overrides))


def _is_override(remedy: str) -> bool:
    return "=" in remedy and " of " not in remedy and not remedy.startswith("look")


def _train(overrides: list[str], out: Path) -> tuple[dict[str, Any], float]:
    """Trains a run unless it is there; returns its result and the seconds of processor time it took."""
    import ssl_zoo

    folder = _folder(overrides, out)
    done = folder / "result.json"
    seconds = 0.0
    if not done.exists():
        start = time.process_time()
        ssl_zoo.train([*overrides, f"run_dir={folder}"], silent=True)
        seconds = time.process_time() - start
        (folder / "seconds").write_text(f"{seconds:.1f}", encoding="utf-8")
    seconds = (
        float((folder / "seconds").read_text(encoding="utf-8")) if (folder / "seconds").exists() else seconds
    )
    return json.loads(done.read_text(encoding="utf-8")), seconds


def _draw_gray(folder: Path) -> None:
    """Writes 600 equal gray images in three classes."""
    from PIL import Image

    for number in range(0 if folder.exists() else 600):
        file = folder / str(number % 3) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 128).save(file)


HEADER = """# Planted faults

Runs on digits with a fault that was planted on purpose, one each, and healthy runs: is the likely cause named rightly,
and is no healthy run accused? A fault counts where it breaks the run, so that the verdict is not healthy; digits are
learned in spite of some, which are listed too. Held-out faults were written down before any of them was run, and no
rule was changed for them. One seed each; a run took {mean:.0f} s of processor time on average. Made by

    {command}

Each row names the commit at which its run was trained and judged{commits}.

| | planted | trained | broken | named rightly |
|---|---|---|---|---|
{totals}

"""
COLUMNS = "planted | overrides | verdict | cause named | to try | right | commit"
UNTRAINED = "not trained"


def markdown_page(outcomes: Sequence[Outcome], follow: bool) -> str:
    """Returns the results as a page in Markdown; what is planted and was not trained is listed as such."""
    found = {outcome.fault: outcome for outcome in outcomes}
    commits = list(dict.fromkeys(_short(outcome.commit) for outcome in outcomes))
    groups = {"Faults": FAULTS, "Held-out faults": HELD_OUT, "Healthy runs": HEALTHY}
    totals = []
    for name, group in groups.items():
        trained = [found[fault] for fault in group if fault in found]
        broken = [each for each in trained if each.is_broken]
        right = "" if group is HEALTHY else sum(each.is_right for each in broken)
        totals.append(f"| {name} | {len(group)} | {len(trained)} | {len(broken)} | {right} |")
    text = HEADER.format(
        mean=sum(each.seconds for each in outcomes) / max(1, len(outcomes)),
        command="python -m ssl_zoo.benchmarks.planted_faults OUT" + " --follow" * follow + " --write docs",
        commits=f", which is `{commits[0]}` for all" if len(commits) == 1 else "",
        totals="\n".join(totals),
    )
    columns = COLUMNS.split(" | ") + ["verdict after it"] * follow
    for name, group in groups.items():
        rows = [columns, ["---"] * len(columns), *(_row(fault, found, follow) for fault in group)]
        text += f"## {name}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n"
    return text.rstrip() + "\n"


def _row(fault: Fault, found: Mapping[Fault, Outcome], follow: bool) -> list[str]:
    planted, outcome = [fault.cause, f"`{fault.overrides}`"], found.get(fault)
    if outcome is None:
        return [*planted, UNTRAINED, *["–"] * (4 + follow)]
    right = "–" if not outcome.is_broken else "yes" if outcome.is_right else "**no**"
    remedy = f"`{outcome.remedy}`" if outcome.remedy else "–"
    commit = f"`{_short(outcome.commit)}`"
    rest = [outcome.verdict, outcome.cause or "–", remedy, right, commit]
    return [*planted, *rest, *[outcome.after or "–"] * follow]


def _short(commit: str) -> str:
    """Returns the first ten letters of a commit, with the mark of a checkout that differs from it."""
    digits, plus, changes = commit.partition("+")
    return f"{digits[:10]}{plus}{changes}" if digits else "unknown"


if __name__ == "__main__":
    sys.exit(main())
