"""The block `trainer`: how the training loop runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema.types import Count, section

LoggerName = Literal[
    "tensorboard",
    "CometLogger",
    "CSVLogger",
    "LitLogger",
    "MLFlowLogger",
    "NeptuneLogger",
    "TensorBoardLogger",
    "WandbLogger",
]


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
    loggers: tuple[LoggerName, ...] = ("tensorboard",)
    """Where figures are logged besides metrics.csv: tensorboard, or classes of pytorch_lightning.loggers."""
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
