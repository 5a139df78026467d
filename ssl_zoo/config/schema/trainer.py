"""The block `trainer`: how the training loop runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from ssl_zoo.config.schema.types import Count, section

LOGGERS = ("csv", "tensorboard", "wandb", "mlflow", "trackio")
FORMER = (
    "CometLogger",
    "LitLogger",
    "NeptuneLogger",
)  # read of a run that has one, and no longer trained with
LoggerName = Annotated[
    Literal["csv", "tensorboard", "wandb", "mlflow", "trackio", "CometLogger", "LitLogger", "NeptuneLogger"],
    WithJsonSchema({"enum": [*LOGGERS], "type": "string"}),
]
RECORDS = ("wandb", "mlflow", "trackio")  # whose records lie outside of the run directory, or go there
EARLIER = {  # names that configurations of earlier versions hold: the classes of Lightning
    "CSVLogger": "csv",
    "MLFlowLogger": "mlflow",
    "TensorBoardLogger": "tensorboard",
    "WandbLogger": "wandb",
}


def _names(value: Any) -> Any:
    """Takes one name for a list of it, and earlier names for today's."""
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)):
        return value
    if not all(isinstance(name, str) for name in names):
        return tuple(names)
    return tuple(dict.fromkeys(EARLIER.get(name, name) for name in names))


@section
class LoggingConfig:
    """How wandb, mlflow and trackio name a run, and what they get of it; see docs/guide.md."""

    project: Annotated[str, Field(min_length=1)] = "ssl-zoo"
    """The project of wandb and trackio, the experiment of mlflow."""
    name: Annotated[str, Field(min_length=1)] | None = None
    """Name of the run there. null: that of the run directory."""
    group: Annotated[str, Field(min_length=1)] | None = None
    """Group of runs, a tag in mlflow. A suite sets its own name."""
    offline: bool | Literal["auto"] = "auto"
    """Whether nothing is sent over the network. auto: wandb is offline where nobody is logged in, or by WANDB_MODE."""
    report: bool = True
    """Whether the run ends with a report, which is attached. A suite leaves it out."""
    weights: Literal["none", "backbone", "checkpoint"] = "none"
    """Weights that are attached: the backbone as `ssl-zoo export format=timm` writes it, or the last checkpoint."""


@section
class TrainerConfig:
    """Settings of the training loop. Only `accumulate` changes the result."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """The device. auto: a GPU where there is one."""
    devices: Count = 1
    """Processes on this machine, each with a device. On a CPU they divide its cores among them."""
    num_nodes: Count = 1
    """Machines."""
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true", "zero1", "fsdp"] = "auto"
    """How several processes train. auto is Lightning's ddp; ddp_find_unused_parameters_true is for methods with unused
    parameters; zero1 is ddp with the optimizer's state divided among the processes; fsdp divides the backbone's weights
    and gradients as well."""
    accumulate: Count = 1
    """Batches per optimizer step, over which gradients are averaged."""
    activation_checkpointing: bool = False
    """Whether the backbone's blocks are computed once more in the backward pass, for which then only their inputs are
    kept: less memory, more time, the same result."""
    channels_last: bool = True
    """Whether images are stored with their channels last, which convolutions of bf16 are fastest with."""
    threads: Count | None = None
    """CPU threads of each process. null: torch's choice, or with several processes an equal number of the cores."""
    timeout_minutes: Annotated[float, Field(gt=0, le=525_600)] = 30.0
    """Minutes for which a process waits for the others; then it ends, as their machine may be gone."""
    requeue: bool | Literal["auto"] = "auto"
    """Whether a run requeues its SLURM job when that is stopped. auto: with resume=auto; true: refused elsewhere."""
    memory_check: bool = True
    """Whether a run that would take more memory than is free is refused before it starts."""
    progress: bool = True
    """Whether progress is printed."""
    loggers: Annotated[tuple[LoggerName, ...], BeforeValidator(_names)] = ("tensorboard",)
    """Where figures are logged besides metrics.csv: one, several, or none by []."""
    logging: LoggingConfig = LoggingConfig()
    log_every_steps: Count = 50
    """Optimizer steps between two logged losses."""
    checkpoint_every_epochs: Count | None = None
    """Epochs between checkpoints. null: as few as take 2 % of the time."""
    checkpoint_every_steps: Count | None = None
    """Optimizer steps between further checkpoints within an epoch. null: none."""

    @property
    def processes(self) -> int:
        """The number of processes on all machines."""
        return self.devices * self.num_nodes
