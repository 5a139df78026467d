"""Records of suites, made by hand: their runs have a metrics.csv and a result.json, and were never trained."""

from __future__ import annotations

import csv
import json
from typing import Any

from ssl_zoo.suites.record import ClaimRecord, RowRecord, RunRecord, SuiteRecord

EPOCHS = (0, 2, 4)


def a_run(
    folder: Any,
    name: Any,
    seed: Any,
    *,
    method: str = "simsiam",
    differs: Any = None,
    epochs: Any = EPOCHS,
    **changes: Any,
) -> Any:
    """A finished run with its files below `folder`; `changes` of its record."""
    place = folder / "rows" / f"{name}-{seed}"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "metrics.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", "loss", "output_std_ratio", "knn_top1"])
        writer.writerows(
            [e, "" if e == 0 else -0.1 * e - 0.01 * seed, 0.2 * e, 0.9 + 0.01 * seed] for e in epochs
        )
    (place / "result.json").write_text(json.dumps({"method": method, "differs_from_paper": differs or {}}))
    (place / "environment.json").write_text(json.dumps({"device": "cpu", "cpu_threads": 2}))
    values = {"top1": 0.9 + 0.02 * seed, "knn_top1": 0.95, "output_std_ratio": 0.991, "loss": -0.94,
              "random_encoder_linear_top1": 0.8, "images_seen": 56320.0, "seconds": 60.0,
              "peak_memory_mb": 700.0}  # fmt: skip
    record = {
        "seed": seed, "folder": f"rows/{name}-{seed}", "config_hash": f"{name}{seed}", "verdict": "healthy",
        "command": f"ssl-zoo train method={method} seed={seed}", "values": values, "commit": "abc123",
    }  # fmt: skip
    return RunRecord(**{**record, **changes})


def a_row(
    folder: Any,
    name: Any,
    seeds: tuple[int, ...] = (0, 1, 2),
    *,
    paper: Any = None,
    note: str = "",
    same_as: Any = None,
    overrides: Any = (),
    **of_runs: Any,
) -> Any:
    """A row of such runs."""
    runs = tuple(a_run(folder, name, seed, **of_runs) for seed in seeds)
    return RowRecord(name, tuple(overrides), runs, paper, note, same_as)


def a_suite(rows: Any, **changes: Any) -> Any:
    """A record of those rows."""
    record = {
        "name": "figure2", "title": "With and without stop-gradient", "paper": "SimSiam",
        "source": "https://arxiv.org/abs/2011.10566", "section": "Figure 2", "question": "Does it collapse?",
        "paper_setting": "ImageNet, 100 epochs", "data": "digits", "data_in_words": "1,797 digits", "budget": "quick",
        "seeds": (0, 1, 2), "overrides": ("epochs=4",), "base": ("method=simsiam",),
        "columns": ("top1", "knn_top1", "output_std_ratio", "verdict", "seconds"),
        "top1": "linear probe on frozen features",
        "protocols": {"knn_top1": "weighted kNN, k=20"}, "claims": (), "figures": (), "switches": (), "pixels": {},
        "remarks": ("Digits are small.",), "command": "ssl-zoo bench suite=figure2 epochs=4",
        "versions": {"torch": "2.11"}, "machine": "4 cores", "date": "2026-11-22",
    }  # fmt: skip
    return SuiteRecord(**{**record, "rows": tuple(rows), **changes})


def claims() -> Any:
    """One of each state, two of them about figures."""
    return (
        ClaimRecord("top1(sg) > top1(no_sg)", "holds", "92.0 % against 82.0 %.", 0.1, 0.08, 0.12, "top1"),
        ClaimRecord(
            "output_std_ratio(sg) < 0.5",
            "fails",
            "0.991 against 0.500.",
            0.491,
            0.49,
            0.492,
            "output_std_ratio",
        ),
        ClaimRecord("no_sg is collapsed", "undecided", "1 of 3 seeds failed.", metric=None),
    )


def incomplete(folder: Any) -> Any:
    """A suite in which a run failed, one was not run, and a row is the same run as another."""
    sg = a_row(folder, "sg", paper=67.7)
    bad = a_row(folder, "no_sg", paper=0.1, verdict="collapsed", overrides=("method.stop_gradient=false",))
    failed = a_run(
        folder, "no_sg", 1, verdict=None, values={}, error="UserError: <b>lr</b> is\nabove 0, got -1"
    )
    waiting = a_run(folder, "no_sg", 2, verdict=None, values={})
    for run in (failed, waiting):
        (folder / run.folder / "metrics.csv").unlink()
    bad = RowRecord(bad.name, bad.overrides, (bad.runs[0], failed, waiting), bad.paper)
    again = RowRecord("again", (), sg.runs, same_as="sg")
    return a_suite([sg, bad, again], claims=claims(), pixels={"top1": 0.894, "knn_top1": 0.972})
