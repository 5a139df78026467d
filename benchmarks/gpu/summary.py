"""Outcomes as a Markdown page for the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .plan import compiling
from .processes import CommandOutcome
from .steps import METHODS

__all__ = ["summary"]

Report = dict[str, Any]


def summary(machine: Report, outcomes: Sequence[CommandOutcome], measured: Report | None) -> str:
    """Returns all results so far as Markdown."""
    lines = [
        f"# On {machine['device']}",
        "",
        f"torch {machine['torch']}, ssl-zoo {machine['ssl_zoo']}, {machine['cores']} ",
    ]
    lines[-1] += f"CPU cores; commit {machine['git_commit'] or 'unknown (an installed package)'}. Made by"
    lines += ["", f"    {machine['command']}", ""]
    if machine["toy"]:
        lines += ["A rehearsal at toy size: no figure means anything.", ""]
    lines += _steps(outcomes) + _runs(outcomes)
    if measured is not None:
        lines += _throughput(measured)
    return "\n".join(lines) + "\n"


def _steps(outcomes: Sequence[CommandOutcome]) -> list[str]:
    rows = [[o.name, o.status, f"{o.seconds:.0f}", str(o.figures.get("output", ""))] for o in outcomes]
    return ["## Steps", "", *_table(["step", "status", "seconds", "output"], rows), ""]


def _runs(outcomes: Sequence[CommandOutcome]) -> list[str]:
    linear = {
        o.name.removesuffix(" linear"): o.figures.get("top1") for o in outcomes if o.name.endswith(" linear")
    }
    rows = [
        [
            o.name,
            _epochs(run),
            _number(run.get("loss"), "{:.4f}"),
            _number(run.get("knn_top1"), "{:.1%}"),
            _number(run.get("linear_top1"), "{:.1%}"),
            _number(linear.get(o.name), "{:.1%}"),
            _number(run.get("views_per_second"), "{:,.0f}"),
            _number(_minutes(run), "{:.1f}"),
            _number(run.get("peak_memory_mb"), "{:,.0f}"),
            run.get("verdict") or "",
        ]
        for o in outcomes
        if (run := o.figures) and o.name.split()[0] in METHODS and "loss" in run
    ]  # fmt: skip
    heads = [
        "run",
        "epochs",
        "loss",
        "kNN",
        "10 labels a class",
        "linear",
        "views/s",
        "minutes of steps",
        "MiB",
        "verdict",
    ]
    return ["## Runs", "", *_table(heads, rows), ""] if rows else []


def _throughput(measured: Report) -> list[str]:
    run, use = measured["run"], measured["utilisation"] or {}
    rows = []
    for name, contender in measured["contenders"].items():
        rate, parts = contender["views_per_second"], contender.get("fractions", {})
        ratio = measured["ratios"].get(f"ssl-zoo / {name}", {}).get("of_medians")
        rows.append(
            [
                name,
                f"{rate['median']:,.0f} ({rate['min']:,.0f}–{rate['max']:,.0f})",
                _number(ratio, "{:.2f}"),
                _number(use.get(name), "{:.1%}"),
                _number(parts.get("augment"), "{:.1%}"),
                _number(contender["memory_mb"], "{:,.0f}"),
                f"{contender['warmup_seconds']:.1f}",
            ]
        )
    lines = [
        "## Throughput",
        "",
        f"{run['method']}, {run['backbone']}, {run['size']} px, batch {run['batch_size']}, ",
    ]
    lines[-1] += f"{run['views']} views; median (least to greatest) of {measured['rounds']} rounds."
    heads = [
        "",
        "views/s",
        "ssl-zoo to it",
        "model FLOP utilisation",
        "augmentation",
        "MiB",
        "first steps, s",
    ]
    lines += ["", *_table(heads, rows), ""]
    lines += [
        f"{name} failed: {why.strip().splitlines()[-1]}" for name, why in measured.get("failed", {}).items()
    ]
    if (gain_and_cost := compiling(measured)) is not None:
        gain, cost = gain_and_cost
        rate = measured["contenders"]["bare"]["views_per_second"]["median"]
        per_step = run["batch_size"] * run["views"] / rate * (1 - 1 / gain)  # seconds saved
        pays = f"pays from {cost / per_step:,.0f} steps on" if gain > 1 else "does not pay"
        lines += [f"Compiling takes {cost:.0f} s, makes a step {gain:.2f} times as fast, and {pays}.", ""]
    return lines


def _epochs(run: Report) -> str:
    return f"{run['epoch']:.0f}, unfinished" if run.get("unfinished") else f"{run['epochs']}"


def _minutes(run: Report) -> float | None:
    seconds = run.get("train_seconds")
    return None if seconds is None else seconds / 60


def _number(value: float | None, form: str = "{:.0f}") -> str:
    return "" if value is None else form.format(value)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    every = [list(heads), ["---"] * len(heads), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return [f"| {' | '.join(row)} |" for row in every]
