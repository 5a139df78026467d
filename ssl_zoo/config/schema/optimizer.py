"""The block `optimizer`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema.types import Count, Fraction, NonNegative, Positive, section


@section
class OptimizerConfig:
    """The optimizer, and the schedule of its learning rate."""

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    """SGD with momentum, LARS (https://arxiv.org/abs/1708.03888) or AdamW."""
    lr: Positive = 0.05
    """The base learning rate, from which `lr_scaling` makes the peak rate. The default is SimSiam's."""
    lr_scaling: Literal["linear", "sqrt", "none"] = "linear"
    """The peak rate: linear is lr * batch / 256, sqrt is lr * sqrt(batch), none is lr. The batch is that of an
    optimizer step: batch_size * trainer.accumulate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum of sgd and lars."""
    weight_decay: NonNegative = 1e-4
    """Weight decay, added to the gradient by sgd and lars, decoupled in adamw."""
    final_weight_decay: NonNegative | None = None
    """Where a half cosine over all steps takes the weight decay; a predictor's own keeps its ratio to it. null: it
    stays. DINO goes from 0.04 to 0.4."""
    exclude_norm_and_bias: bool = False
    """Whether norms' parameters and biases are left out of weight decay, and of LARS's adaptation."""
    trust_coefficient: Positive = 0.001
    """LARS multiplies a layer's rate by this and by the norm of its weights over that of its gradient."""
    trust_clip: bool = False
    """LARC: whether a layer's rate is that factor alone, and at most the schedule's rate."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """The rate after the warmup: from the peak along half a cosine to `final_lr_fraction`; constant."""
    schedule_interval: Literal["step", "epoch"] = "step"
    """How often the schedule moves. SimSiam's and MoCo's codes move it once per epoch."""
    warmup_epochs: NonNegative = 0.0
    """Epochs in which the rate rises linearly to its peak."""
    warmup_from_batch: Count | None = None
    """Images per optimizer step from which on there is a warmup. null: always."""
    warmup_lr_fraction: Fraction = 0.0
    """Where the warmup starts, as a fraction of the peak rate."""
    final_lr_fraction: Fraction = 0.0
    """Where the cosine ends, as a fraction of the peak rate."""
    clip_grad_norm: Positive | None = None
    """Largest norm of the gradient; longer ones are scaled down to it. null: none is."""

    def __post_init__(self) -> None:
        if self.name != "lars" and (self.trust_clip or self.trust_coefficient != 0.001):
            raise ValueError(
                "optimizer.trust_coefficient and optimizer.trust_clip are LARS's; received "
                f"optimizer.name={self.name}; set optimizer.name=lars, or leave "
                "them at 0.001 and false"
            )
        if self.final_weight_decay is not None and self.weight_decay == 0:
            raise ValueError(
                f"optimizer.final_weight_decay={self.final_weight_decay} is where the weight decay ends, and "
                "optimizer.weight_decay=0 begins none; set optimizer.weight_decay above 0 or "
                "optimizer.final_weight_decay=null"
            )
