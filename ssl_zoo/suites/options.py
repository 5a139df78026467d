"""What `ssl-zoo bench` can be told; every other word is one of training and holds for all rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from ssl_zoo.config.compose import merge, override_list, read_override
from ssl_zoo.config.schema import Count, Folder, section
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError

__all__ = ["BenchConfig", "SlurmConfig", "read_overrides"]


@section
class SlurmConfig:
    """How rows are submitted by `launcher=slurm`; see submitit."""

    cluster: Literal["slurm", "local"] = "slurm"  # local: processes of this machine, to try it out
    partition: str | None = None
    account: str | None = None
    minutes: Count = 24 * 60  # at most, for a row and seed
    gpus: Annotated[int, Field(ge=0)] = 1  # of each row and seed
    cpus: Count = 8
    memory_gb: Count = 32
    extra: dict[str, Any] = Field(default_factory=dict)  # further options of sbatch: constraint, qos ...


@section
class BenchConfig:
    """A suite, and how it is run."""

    suite: Folder  # a name, or a YAML file
    seeds: Count = 3  # 0 to seeds - 1
    budget: Literal["quick", "full"] = "quick"
    workers: Count | None = None  # runs at a time; null: as many as the cores, or the GPUs, allow
    threads: Count | None = (
        None  # CPU threads of each run; null: 1 on a CPU, a share of the cores beside a GPU
    )
    launcher: Literal["local", "slurm"] = "local"
    slurm: SlurmConfig = SlurmConfig()
    experiments: str | None = None  # whose settings rows start from, cifar10/METHOD ...; null: the data's own
    evaluate: tuple[str, ...] | None = None  # protocols; null: the suite's
    eval: dict[str, Any] = Field(
        default_factory=dict
    )  # overrides of `ssl-zoo eval`: eval.data=..., eval.detection.train=...
    out: Folder = "runs/bench"
    progress: bool = True
    dry_run: bool = False  # say what would be run


def read_overrides(overrides: Sequence[str]) -> tuple[BenchConfig, list[str], list[str]]:
    """Splits the words into the options, those about evaluation (without `eval.`) and those for all rows.

    Raises:
        UserError: a word cannot be read, a value is wrong, or one is not the user's to set.
    """
    own: dict[str, Any] = {}
    evaluation, rest = list[str](), list[str]()
    fields = BenchConfig.__dataclass_fields__
    for override in override_list(overrides):
        key, _ = read_override(override, commas=True)
        if key in TAKEN:
            raise UserError(f"{key} {TAKEN[key]}; received '{override}'")
        if key.startswith("eval."):
            evaluation.append(override.removeprefix("eval."))
        elif key.partition(".")[0] in fields:
            _, value = read_override(override, commas=True)
            for part in reversed(key.split(".")):
                value = {part: value}
            own = merge(own, value)
        else:
            rest.append(override)
    if isinstance(own.get("evaluate"), str):
        own["evaluate"] = [own["evaluate"]]
    return validate(BenchConfig, own, ""), evaluation, rest


TAKEN = {
    "seed": "is set for each run of a suite, 0 and up; say how many with seeds=3",
    "run_dir": "is set for each run of a suite; say where with out=FOLDER",
    "resume": "is not needed: a suite continues what was begun; leave it out",
    "trainer.threads": "is set for each run of a suite; say threads=N",
    "eval.run": "is set for each run of a suite; leave it out",
    "eval.out": "is not the user's to set: records lie beside their run; leave it out",
    "eval.protocol": "is set for each run of a suite; say evaluate=NAME",
    "eval.weights": "follows from the row, which may say weights: random; leave it out",
}
