"""A whole run: its blocks, and the keys that stand in no block."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ssl_zoo.config.schema.backbone import BackboneConfig
from ssl_zoo.config.schema.data import DataConfig
from ssl_zoo.config.schema.monitor import MonitorConfig
from ssl_zoo.config.schema.optimizer import OptimizerConfig
from ssl_zoo.config.schema.trainer import TrainerConfig
from ssl_zoo.config.schema.types import Count, Folder, Seed, section
from ssl_zoo.config.schema.views import AugmentConfig, ViewConfig


@section
class RunSettings:
    """A run without its method."""

    data: DataConfig
    backbone: BackboneConfig = BackboneConfig()
    augment: AugmentConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    trainer: TrainerConfig = TrainerConfig()
    monitor: MonitorConfig = MonitorConfig()
    epochs: Count = 100
    """Passes over the training images."""
    batch_size: Annotated[int, Field(ge=2)] = 256
    """Images per step over all processes, before accumulation."""
    seed: Seed = 0
    """Seed of weights, order and views."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of the encoder; losses are computed in float32. auto: bf16 where the hardware multiplies it."""
    compile: Literal["auto"] | bool = "auto"
    """Whether torch.compile compiles the encoder. auto: `ssl-zoo doctor` shows the choice and its reason."""
    run_dir: Folder | None = None
    """The run directory. null: runs/DATE-DATA-METHOD-sSEED."""
    resume: Folder | None = None
    """auto (the last checkpoint of run_dir) or a checkpoint's path. null: from the beginning."""
    start_from: Folder | None = None
    """A run directory or a checkpoint whose weights the training begins with; the method may be another. null: random
    weights, or those of backbone.pretrained."""
    recipe: str | None = None
    """The recipe for this data and method. null: without one."""
    experiment: str | None = None
    """The whole setting of a published run. null: none."""

    def __post_init__(self) -> None:
        _check_colours(self.data, self.augment)
        if self.start_from is not None and self.backbone.pretrained:
            raise ValueError(
                f"start_from={self.start_from} contradicts backbone.pretrained=true: both give the backbone its "
                "weights; leave one of them out"
            )
        if self.trainer.strategy == "fsdp":
            _check_sharding(self)
        if self.compile is True and self.trainer.activation_checkpointing:
            raise ValueError(
                "compile=true contradicts trainer.activation_checkpointing=true: torch.compile itself decides what is "
                "computed once more; set one of them to false"
            )


def _check_sharding(config: RunSettings) -> None:
    """Refuses what isn't right, or isn't known to be, where the backbone's weights are divided among processes."""
    if config.compile is True:
        raise ValueError(
            "trainer.strategy=fsdp contradicts compile=true: a compiled encoder whose weights are gathered block by "
            "block isn't tested; set compile=false, or trainer.strategy=zero1"
        )
    if config.precision == "fp16":
        raise ValueError(
            "trainer.strategy=fsdp contradicts precision=fp16, whose loss scale each process would choose by its own "
            "part of the gradients; set precision=bf16, or trainer.strategy=zero1"
        )


def _check_colours(data: DataConfig, augment: AugmentConfig) -> None:
    """Refuses augmentations of colours for images that have other channels, and those of 8 bits for deeper ones.

    Gray images they leave as they are.
    """
    keys = {
        f"augment.{key}" if key in augment.needs_colours else f"augment.views.{name}.{key}": key
        for name, view in augment.views.items()
        for key in view.needs_colours
        if data.channels not in (1, 3) or (data.bit_depth > 8 and key == "autoaugment")
    }
    if not keys:
        return
    off = " ".join(f"{key}={'none' if keys[key] == 'autoaugment' else 0}" for key in sorted(keys))
    if data.channels in (1, 3):
        raise ValueError(
            f"{' and '.join(sorted(keys))} computes with 8 bits, and data.bit_depth={data.bit_depth}; set {off}, or "
            "data.bit_depth=8"
        )
    raise ValueError(
        f"{' and '.join(sorted(keys))} compute with red, green and blue, and data.channels={data.channels} has other "
        f"channels; set {off}"
    )


@section
class RunConfig(RunSettings):
    """A whole run."""

    method: Any
    """The method's block, validated by the class that is registered with it."""

    @property
    def views(self) -> tuple[ViewConfig, ...]:
        """The views made of an image: those of `augment` for each pair, then the further ones of an expectation."""
        flat, method = self.augment.flat, self.method
        return flat * getattr(method, "pairs_per_image", 1) + flat[:1] * getattr(
            method, "expectation_views", 0
        )
