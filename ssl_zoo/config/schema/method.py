"""The block `method`: the parts of a method, and the grid of Siamese methods."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ssl_zoo.config.schema.types import Count, Fraction, Index, NonNegative, Positive, Vectors, Width, section


@section
class ProjectorConfig:
    """The projector: an MLP from the backbone's features to the embedding z."""

    layers: Annotated[int, Field(ge=0, le=8)] = 2
    """Linear layers. 0: z is the backbone's output itself."""
    hidden_dim: Width = 2048
    """Width of the hidden layers."""
    output_dim: Width = 128
    """Width of z."""
    bn_hidden: bool = True
    """Whether BN follows each hidden layer."""
    bn_output: bool = False
    """Whether BN follows the last layer. SimSiam's, Table 3."""
    bn_output_affine: bool = True
    """Whether that BN has a trained scale and shift."""
    bn_output_center: bool = True
    """Whether the affine BN of the output has a shift. SimCLR's code has none."""
    bias_output: bool = True
    """Whether the last layer has a bias, where no BN follows it."""
    lr_multiplier: NonNegative = 1.0
    """Multiplies the learning rate of the projector's weights."""


@section
class PredictorConfig:
    """The predictor h, from the projector's output to the same dimension."""

    kind: Literal["mlp", "linear", "bias", "identity"] = "identity"
    """mlp: two layers (SimSiam, BYOL); linear: one; bias: z/|z| + b (https://arxiv.org/abs/2203.16262); identity."""
    hidden_dim: Width | None = 512
    """Width of the hidden layer of mlp. null: a quarter of the projector's output (SimSiam, Appendix B)."""
    bn_hidden: bool = True
    """Whether BN follows the hidden layer."""
    bn_output: bool = False
    """Whether BN follows the last layer. SimSiam is unstable with it: Table 3 (d)."""
    bias_output: bool = True
    """Whether the last layer has a bias, where no BN follows it."""
    trainable: bool = True
    """Whether h is trained. false: it stays at its random initialisation, as in SimSiam, Table 1 (b)."""
    lr: Literal["decay", "constant"] = "decay"
    """Whether h follows the schedule of the learning rate. constant: the peak rate throughout, SimSiam, Table 1 (c)."""
    lr_multiplier: NonNegative = 1.0
    """Multiplies the learning rate of the predictor's weights."""


@section
class MomentumConfig:
    """The momentum encoder: an exponential moving average of backbone and projector."""

    enabled: bool = False
    """Whether targets come from the momentum encoder."""
    decay: Fraction = 0.99
    """Fraction of its weights that the momentum encoder keeps in each optimizer step. MoCo, Eq. 2."""
    schedule: Literal["constant", "cosine"] = "constant"
    """The course of `decay`. cosine: it rises from `decay` to 1 (BYOL, Section 3.3)."""
    shuffle_bn: bool = False
    """Whether, over several processes, its batches mix images of all of them (MoCo, Section 3.3)."""


@section
class QueueConfig:
    """MoCo's queue of negatives: https://arxiv.org/abs/1911.05722, Section 3.2."""

    size: Vectors = 65536
    """Embeddings that the queue holds."""


@section
class PrototypesConfig:
    """SwAV's prototypes: https://arxiv.org/abs/2006.09882, Section 3.1."""

    number: Annotated[int, Field(ge=0, le=2**20)] = 0
    """Prototypes. 0: none."""
    normalization: Literal["outside", "gradient"] = "outside"
    """How they are kept at unit length: between optimizer steps (SwAV's code), or in the forward pass, by full gradient
    (SimSiam, Section 6.2)."""
    frozen_epochs: NonNegative = 0.0
    """Epochs at the start in which the prototypes stand still: their gradient is dropped."""


@section
class SinkhornConfig:
    """Sinkhorn-Knopp: exp(scores / epsilon), scaled to be doubly stochastic. SwAV, Section 3.1."""

    epsilon: Positive = 0.05
    """Smoothness of the codes: the smaller, the closer to one-hot."""
    iterations: Annotated[int, Field(ge=1, le=1000)] = 3
    """Normalisations of rows and columns."""
    queue_size: Annotated[int, Field(ge=0, le=2**24)] = 0
    """Earlier embeddings of each target view that join the batch. 0: none."""
    queue_from_epoch: Index = 0
    """Epochs that are done before the queue begins to fill."""


@section
class MemoryConfig:
    """A memory with a vector for each training image: the moving average of its outputs. InstDisc, Section 3.2."""

    decay: Fraction = 0.8
    """Fraction of itself that a vector keeps when its image is seen."""
    negatives: Vectors = 65536
    """Vectors that are drawn in each step for negatives=memory_bank."""


@section
class MethodConfig:
    """Settings of every method: its name and the projector of the shared encoder."""

    name: str
    """Name under which the method is registered. It follows from method=NAME and cannot be set."""
    projector: ProjectorConfig = ProjectorConfig()
    batch_norm: Literal["sync", "local"] = "sync"
    """Over several processes: BN's statistics are of the images of all processes, or of each process by itself."""


@section
class SiameseConfig(MethodConfig):
    """A point of the grid. A contradictory combination is refused here, with the reason."""

    stop_gradient: bool
    """Whether no gradient reaches the target. SimSiam, Section 4.1."""
    predictor: PredictorConfig
    momentum_encoder: MomentumConfig
    similarity: Literal["cosine", "cross_entropy", "info_nce"]
    """The loss D: negative cosine, cross-entropy of softmax outputs or of codes over prototypes, or InfoNCE."""
    negatives: Literal["none", "batch", "queue", "memory_bank"]
    """Where InfoNCE's negatives come from: the batch (SimCLR), a queue (MoCo) or a memory bank (InstDisc)."""
    assignment: Literal["identity", "sinkhorn", "moving_average", "memory"]
    """Operation on the target: none, Sinkhorn-Knopp codes (SwAV), the moving average of the image's outputs
    (SimSiam, Section 5.2), or the stored average alone."""
    symmetric: bool
    """Whether each view is both prediction and target. SimSiam, Section 4.6."""
    joint_batch: bool = False
    """Whether all views pass the encoder as one batch, so that BN sees all of them at once."""
    pairs_per_image: Annotated[int, Field(ge=1, le=16)] = 1
    """Pairs of views of an image in each step. 2 with symmetric=false: the asymmetric 2x of SimSiam, Section 4.6."""
    alternation_steps: Count | Literal["epoch"] = 1
    """SGD steps for which the targets' weights stand still. SimSiam, Section 5.2 (multi-step alternation)."""
    temperature: Positive = 0.1
    """Temperature of info_nce and cross_entropy."""
    queue: QueueConfig = QueueConfig()
    prototypes: PrototypesConfig = PrototypesConfig()
    sinkhorn: SinkhornConfig = SinkhornConfig()
    memory: MemoryConfig = MemoryConfig()
    target_views: Annotated[int, Field(ge=2)] = 2
    """How many of the views are targets: the first ones. Small crops after them only predict (SwAV, Section 3.2)."""
    loss_scale: Positive = 1.0
    """Multiplies the mean over pairs. A sum over both orders is 2 (SimCLR's code), of 2 - 2 cos 4 (BYOL)."""

    def __post_init__(self) -> None:
        for refused, reason in (
            (
                not self.stop_gradient and self.momentum_encoder.enabled,
                "stop_gradient=false contradicts momentum_encoder.enabled=true: no gradient may reach the "
                "weights of a momentum encoder; set momentum_encoder.enabled=false as well",
            ),
            (
                self.similarity == "info_nce" and self.negatives == "none",
                "similarity=info_nce needs negatives, and negatives=none; set negatives=batch or queue, or "
                "similarity=cosine",
            ),
            (
                self.similarity != "info_nce" and self.negatives != "none",
                f"similarity={self.similarity} never reads negatives, and negatives={self.negatives}; set "
                "negatives=none or similarity=info_nce",
            ),
            (
                self.assignment in ("moving_average", "memory") and self.similarity == "cross_entropy",
                f"assignment={self.assignment} keeps unit vectors, which similarity=cross_entropy does not compare; "
                "set similarity=cosine or info_nce",
            ),
            (
                self.joint_batch and self.momentum_encoder.shuffle_bn,
                "joint_batch=true contradicts momentum_encoder.shuffle_bn=true, which keeps the statistics of queries "
                "and keys apart; set one of them to false",
            ),
            (
                self.alternation_steps != 1 and self.momentum_encoder.enabled,
                f"alternation_steps={self.alternation_steps} contradicts momentum_encoder.enabled=true: one says that "
                "the targets' weights stand still, the other that they follow; set alternation_steps=1 or "
                "momentum_encoder.enabled=false",
            ),
            (
                self.alternation_steps != 1 and not self.stop_gradient,
                f"alternation_steps={self.alternation_steps} contradicts stop_gradient=false: no gradient may reach "
                "weights that stand still; set alternation_steps=1",
            ),
            (
                self.assignment == "sinkhorn" and self.prototypes.number == 0,
                "assignment=sinkhorn needs prototypes, and prototypes.number=0; set prototypes.number",
            ),
            (
                self.assignment == "sinkhorn" and self.similarity != "cross_entropy",
                f"assignment=sinkhorn makes codes that similarity={self.similarity} cannot compare; set "
                "similarity=cross_entropy",
            ),
            (
                self.prototypes.number > 0 and self.similarity != "cross_entropy",
                f"similarity={self.similarity} never reads prototypes, and prototypes.number="
                f"{self.prototypes.number}; set prototypes.number=0 or similarity=cross_entropy",
            ),
            (
                self.predictor.kind == "identity" and not self.predictor.trainable,
                "predictor.trainable=false contradicts predictor.kind=identity, which has no weights; set "
                "predictor.kind=mlp or linear",
            ),
        ):
            if refused:
                raise ValueError(reason)
