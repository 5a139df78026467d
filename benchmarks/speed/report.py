"""Figures from the contenders' reports, and a table of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.training.saving import SAVE_FRACTION

from .step_clock import PARTS

__all__ = ["contender_figures", "fractions", "notes", "ratios", "regular_costs", "spread", "table"]

Report = dict[str, Any]
SOLO_LEARN = (
    "solo-learn: not measured. It does not install: 1.0.2, the newest on the package index, pins torch==1.9.1, which "
    "has no wheel for Python >= 3.10."
)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Returns median, least and greatest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def contender_figures(reports: Sequence[Report], views_per_step: int) -> Report:
    """Returns views/s of a contender, round by round and over all."""
    seconds = [report["ended"] - report["began"] for report in reports]
    steps = [report["steps"] for report in reports]
    rates = [views_per_step * n / time for n, time in zip(steps, seconds, strict=True)]
    return {"views_per_second": {**spread(rates), "rounds": rates}, "steps": steps, "seconds": seconds}


def ratios(contenders: dict[str, Report], name: str = "ssl-zoo") -> dict[str, Report]:
    """Returns the ratio of a contender's views/s to each other's: of the medians, and the range over rounds."""
    result = {}
    ours = contenders[name]["views_per_second"]
    rates = {key: value["views_per_second"] for key, value in contenders.items() if key != name}
    for other, theirs in rates.items():
        rounds = [a / b for a, b in zip(ours["rounds"], theirs["rounds"], strict=True)]
        result[f"{name} / {other}"] = {"of_medians": ours["median"] / theirs["median"], **spread(rounds)}
    return result


def fractions(parts: dict[str, float]) -> dict[str, float]:
    """Returns each part's fraction of the time."""
    total = sum(parts.values())
    return {part: seconds / total for part, seconds in parts.items()}


def regular_costs(costs: Report, config: RunConfig, views_per_second: float) -> Report:
    """Returns the fractions of the time that measurements and checkpoints take, at the run's settings."""
    epoch = costs["steps_per_epoch"] * config.batch_size * len(config.views) / views_per_second  # seconds
    knn = costs["diagnostics_and_knn"] - costs["diagnostics"]
    measuring = (
        costs["diagnostics"] + knn / costs["knn_every"]
    ) / config.monitor.every_epochs  # seconds an epoch
    saving = costs["checkpoint"] / (config.trainer.checkpoint_every_epochs or 1)  # seconds an epoch
    if config.trainer.checkpoint_every_epochs is None:
        saving = min(saving, SAVE_FRACTION * epoch)
    whole = epoch + measuring + saving
    return {
        **{f"{name}_seconds": costs[name] for name in ("diagnostics", "diagnostics_and_knn", "checkpoint")},
        "checkpoint_mb": costs["checkpoint_mb"],
        "epoch_seconds": epoch,
        "measured_every": config.monitor.every_epochs,
        "knn_every": costs["knn_every"],
        "measuring_fraction": measuring / whole,
        "checkpoint_fraction": saving / whole,
    }


def notes(config: RunConfig, names: Sequence[str]) -> list[str]:
    """Returns notes that a reader of the figures needs."""
    result = [
        "Ends of epochs count where they fall into a turn, with ssl-zoo's checkpoint and lightly's new workers.",
        "MiB: the main process at its peak and, of its workers, what each has to itself; on a GPU what is allocated "
        "there.",
    ]
    if "lightly" in names and config.views[0].affine.p > 0:
        result.append("lightly: of the affine augmentation its transform has the rotation, and has no shear.")
    if "lightly" in names and config.data.channels == 1:
        result.append("lightly: gray images stay gray, one channel, normalised as ours.")
    return [*result, SOLO_LEARN]


def table(result: Report) -> str:
    """Returns the figures as text."""
    machine, run, contenders = result["machine"], result["run"], result["contenders"]
    gpu = f" · {machine['gpu']}" if machine["gpu"] else ""
    lines = [
        f"{run['method']} on {run['data']}: {run['backbone']}, {run['size']} px, batch {run['batch_size']}, "
        f"{run['views']} views",
        f"{machine['processor']}{gpu} · {machine['threads']} of {machine['cores']} cores, as many threads · load "
        f"{machine['load']:.1f} before · torch {result['versions']['torch']} · commit {result['git_commit']}",
        f"{result['rounds']} rounds in turn of {result['steps']} steps and {result['seconds']:g} s at least; "
        f"{result['warmup']} steps to warm up, {result['untimed']} untimed at the head of each turn",
        "",
        f"{'':14}{'views/s':>9}{'min':>9}{'max':>9}{'MiB':>8}{'start, s':>10}{'imports':>9}",
    ]
    for name, contender in contenders.items():
        rate, memory = contender["views_per_second"], contender["memory_mb"]
        mib = "" if memory is None else f"{memory:.0f}"
        lines.append(
            f"{name:14}{rate['median']:>9.0f}{rate['min']:>9.0f}{rate['max']:>9.0f}{mib:>8}"
            f"{contender['startup_seconds']:>10.1f}{contender['imports_seconds']:>9.1f}"
        )
    lines += [f"{name} failed: {why.strip().splitlines()[-1]}" for name, why in result["failed"].items()]
    lines.append("")
    for name, ratio in result["ratios"].items():
        lines.append(f"{name}: {ratio['of_medians']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})")
    timed = {name: each["fractions"] for name, each in contenders.items() if each.get("fractions")}
    if timed:
        lines += ["", f"{'part of time':14}" + "".join(f"{part:>11}" for part in PARTS)]
        for name, parts in timed.items():
            lines.append(f"{name:14}" + "".join(f"{parts[part]:>11.1%}" for part in PARTS))
    lines += _more(result)
    return "\n".join([*lines, "", *result["notes"]]) + "\n"


def _whole(result: Report) -> float:
    """Returns ssl-zoo's views/s over a whole run; checkpoints that fell into a turn count twice."""
    costs = result["costs"]
    rate: float = result["contenders"]["ssl-zoo"]["views_per_second"]["median"]
    taken: float = costs["measuring_fraction"] + costs["checkpoint_fraction"]
    return rate * (1 - taken)


def _more(result: Report) -> list[str]:
    lines = []
    costs = result["costs"]
    if costs is not None:
        lines += [
            "",
            f"ssl-zoo's measurements, every {costs['measured_every']} epochs, kNN every {costs['knn_every']} of them: "
            f"{costs['diagnostics_seconds']:.2f} s, with kNN {costs['diagnostics_and_knn_seconds']:.2f} s; "
            f"{costs['measuring_fraction']:.1%} of the time",
            f"the whole run, measurements and checkpoints included: {_whole(result):.0f} views/s, "
            + ", ".join(
                f"{_whole(result) / contender['views_per_second']['median']:.2f} of {name}"
                for name, contender in result["contenders"].items()
                if name != "ssl-zoo"
            ),
            f"ssl-zoo's checkpoints ({costs['checkpoint_mb']:.0f} MiB): {costs['checkpoint_seconds']:.2f} s each; "
            f"{costs['checkpoint_fraction']:.1%} of the time",
        ]
    lines += ["", f"{result['flops_per_view'] / 1e9:.3g} GFLOP a view, forward and backward"]
    for name, use in (result["utilisation"] or {}).items():
        lines.append(f"model FLOP utilisation of {name}: {use:.1%}")
    return lines
