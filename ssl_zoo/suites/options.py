"""The options of `ssl-zoo bench` and of `ssl-zoo train -m`; every other override is one of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ssl_zoo.cluster.options import LaunchConfig, SlurmConfig
from ssl_zoo.config.overrides import override_list, read_override, to_nested
from ssl_zoo.config.schema import Count, Folder, Positive, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError

__all__ = ["FIRST_SEEDS", "ROWS", "BenchConfig", "SweepConfig", "read_bench", "read_sweep"]

FIRST_SEEDS = 3  # of each row, with seeds=auto
ROWS = "rows"  # in `out`: the folder of run directories, which all suites share


@section
class BenchConfig:
    """A suite, and how it is run."""

    suite: Folder
    """Name of a suite, or a YAML file."""
    seeds: Count | Literal["auto"] = "auto"
    """Seeds of each row: 0 to seeds - 1. auto: 3, and then one at a time where an undecided claim needs it."""
    max_seeds: Annotated[int, Field(ge=FIRST_SEEDS, le=32)] = 10
    """Seeds of a row at most, with seeds=auto."""
    max_minutes: Positive | None = None
    """Minutes in which all runs end: none is started that would probably take longer. null: no limit."""
    budget: Literal["quick", "full"] = "quick"
    """full: the recipes as they stand; quick: for a first answer, see docs/suites.md."""
    workers: Count | None = None
    """Trials at a time. null: one for each core that `threads` allows, or for each GPU."""
    threads: Count | None = None
    """CPU threads of each trial. null: 1 on a CPU, an equal number of the cores beside a GPU."""
    launcher: Literal["local", "slurm"] = "local"
    """Launcher of the trials: this process, or SLURM."""
    slurm: SlurmConfig = SlurmConfig()
    experiments: str | None = None
    """Folder of the experiments that rows start from: cifar10 for experiment=cifar10/METHOD. null: the data's own."""
    evaluate: tuple[str, ...] | None = None
    """Protocols by which each run is evaluated. null: the suite's."""
    eval: dict[str, Any] = Field(default_factory=dict)
    """Overrides of `ssl-zoo eval`: eval.data=..., eval.detection.train=..."""
    out: Folder = "runs/bench"
    """Folder of the runs and reports."""
    progress: bool = True
    """Whether progress is printed."""
    dry_run: bool = False
    """Whether the trials are only listed."""


@section
class SweepConfig(LaunchConfig):
    """Where and how the runs of `ssl-zoo train -m` run."""

    workers: Count | None = None
    """With -m: runs at a time. null: one for each core that `threads` allows, or for each GPU."""
    threads: Count | None = None
    """With -m: CPU threads of each run. null: 1 on a CPU, an equal number of the cores beside a GPU."""
    max_minutes: Positive | None = None
    """With -m: minutes in which all runs end: none is started that would probably take longer. null: no limit."""
    dry_run: bool = False
    """With -m: whether the commands of the runs are only listed."""


def read_sweep(overrides: Sequence[str]) -> tuple[SweepConfig, str | None, list[str]]:
    """Splits the overrides of `train -m` into its options, the folder of its runs, and those of the runs.

    Raises:
        UserError: an override cannot be read, or a value is wrong.
    """
    settings, folder, rest = list[tuple[str, Any]](), None, list[str]()
    for override in override_list(overrides):
        key = override.partition("=")[0].lstrip("+")  # +key, as Hydra adds one, is the key
        if key == "run_dir":
            folder = read_override(override)[1]
            if not isinstance(folder, str) or not folder.strip():
                raise UserError(
                    f"run_dir of -m is the folder of its runs; received '{override}'; set run_dir=FOLDER"
                )
        elif key == "wait":
            raise UserError("train -m waits for its runs; received wait; leave it out")
        elif key.partition(".")[0] in SweepConfig.__dataclass_fields__:
            settings.append(read_override(override))
        else:
            rest.append(override)
    config = validate(SweepConfig, to_nested(settings), "")
    unread = [key for key, _ in settings if key.partition(".")[0] == "slurm"]
    if unread and config.launcher == "local":
        raise UserError(
            f"{unread[0]} is read with launcher=slurm; received no such launcher; add it, or leave it out"
        )
    _check_nodes(config.slurm)
    return config, folder, rest


def _check_nodes(config: SlurmConfig) -> None:
    if config.nodes > 1:
        raise UserError(
            f"a trial of a suite runs on one machine; received slurm.nodes={config.nodes}; leave it out"
        )


def read_bench(overrides: Sequence[str]) -> tuple[BenchConfig, list[str], list[str]]:
    """Splits overrides into the options, those about evaluation (without `eval.`) and those for all rows.

    Raises:
        UserError: an override cannot be read, a value is wrong, or a key is not the user's to set.
    """
    settings = list[tuple[str, Any]]()
    evaluation, rest = list[str](), list[str]()
    fields = BenchConfig.__dataclass_fields__
    for override in override_list(overrides):
        key, value = read_override(override, commas=True)
        if key in TAKEN:
            raise UserError(f"{key} {TAKEN[key]}; received '{override}'")
        if key.startswith("eval."):
            evaluation.append(override.removeprefix("eval."))
        elif key.partition(".")[0] in fields:
            settings.append((key, value))
        else:
            rest.append(override)
    values = to_nested(settings)
    if isinstance(values.get("evaluate"), str):
        values["evaluate"] = [values["evaluate"]]
    config = validate(BenchConfig, values, "")
    _check_nodes(config.slurm)
    if "max_seeds" in values and config.seeds != "auto":
        raise UserError(
            f"max_seeds is read with seeds=auto; received seeds={config.seeds}; leave one of them out"
        )
    return config, evaluation, rest


TAKEN = {
    "seed": "is set for each run of a suite, 0 and up; set their number with seeds=3",
    "run_dir": "is set for each run of a suite; set out=FOLDER",
    "resume": "is not needed: a suite continues what was begun; leave it out",
    "trainer.threads": "is set for each run of a suite; set threads=N",
    "eval.run": "is set for each run of a suite; leave it out",
    "eval.out": "is not the user's to set: records lie beside their run; leave it out",
    "eval.protocol": "is set for each run of a suite; set evaluate=NAME",
    "eval.weights": "follows from the row, which may have weights: random; leave it out",
}
