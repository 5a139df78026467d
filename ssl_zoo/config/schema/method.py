"""The block `method`: the parts of a method, and the grid of Siamese methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from typing_extensions import Self

from ssl_zoo.config.schema.contradictions import check_contradictions
from ssl_zoo.config.schema.fitted import DirectConfig, OptimalConfig, UnifiedConfig
from ssl_zoo.config.schema.gradient import DecorrelationConfig, ExtraGradientConfig
from ssl_zoo.config.schema.targets import CenteringConfig, SharpeningConfig
from ssl_zoo.config.schema.types import Count, Fraction, Index, NonNegative, Positive, Vectors, Width, section
from ssl_zoo.errors import UserError


@section
class ProjectorConfig:
    """The projector: an MLP from the backbone's features to the embedding z."""

    layers: Annotated[int, Field(ge=0, le=8)] = 2
    """Linear layers. 0: z is the backbone's output itself."""
    hidden_dim: Width = 2048
    """Width of the hidden layers."""
    output_dim: Width = 128
    """Width of z."""
    activation: Literal["relu", "gelu"] = "relu"
    """The function between the layers. DINO has gelu."""
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

    kind: Literal["mlp", "linear", "bias", "identity", "direct", "optimal"] = "identity"
    """mlp: two layers (SimSiam, BYOL); linear: one; bias: z/|z| + b (https://arxiv.org/abs/2203.16262); identity.
    direct and optimal: one linear layer, set by the data (https://arxiv.org/abs/2102.06810)."""
    hidden_dim: Width | None = 512
    """Width of the hidden layer of mlp. null: a quarter of the projector's output (SimSiam, Appendix B)."""
    bn_hidden: bool = True
    """Whether BN follows the hidden layer."""
    bn_output: bool = False
    """Whether BN follows the last layer. SimSiam is unstable with it: Table 3 (d)."""
    bn_output_affine: bool = True
    """Whether that BN has a trained scale and shift. MoCo v3's, on transformers, has none."""
    bias_output: bool = True
    """Whether the last layer has a bias, where no BN follows it."""
    trainable: bool = True
    """Whether h is trained. false: it stays at its random initialisation, as in SimSiam, Table 1 (b); direct and
    optimal are then only set."""
    symmetric: bool = False
    """Whether linear keeps W = W^T, and mlp the transpose of its first layer as its second. Tian et al., Table 3."""
    weight_decay: NonNegative | None = None
    """Weight decay of the predictor's weights. null: the optimizer's. Tian et al., Table 5."""
    lr: Literal["decay", "constant"] = "decay"
    """Whether h follows the schedule of the learning rate. constant: the peak rate throughout, SimSiam, Table 1 (c)."""
    lr_multiplier: NonNegative = 1.0
    """Multiplies the learning rate of the predictor's weights."""
    on: Literal["anchor", "target", "both"] = "anchor"
    """Where h stands. anchor: D(h(z_i), sg z_j); target: D(z_i, h(sg z_j)), the mirror; both: D(h(z_i), sg h(z_j))
    (https://arxiv.org/abs/2203.16262, Figures 1 and 2, Table 2)."""
    inverse: bool = False
    """Whether, with on=both, an inverse predictor of h's architecture undoes h on the target. It is trained at the same
    time, by its cosine with z and at h's learning rate (https://arxiv.org/abs/2203.16262, Figure 3)."""
    direct: DirectConfig = DirectConfig()
    optimal: OptimalConfig = OptimalConfig()


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
    prototypes: bool = False
    """Whether the targets' prototypes are a moving average too, as in DINO. false: the predictions', as in SwAV."""


@section
class QueueConfig:
    """A queue of earlier embeddings: MoCo's negatives (https://arxiv.org/abs/1911.05722, Section 3.2), or those among
    which assignment=nearest_neighbor searches."""

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
    """Settings of every method: its name and the projector of the shared encoder.

    Attributes:
        min_views: views of an image that the method takes at least, and gets where `augment.views` names none.
    """

    min_views: ClassVar[int] = 2
    name: str
    """Name under which the method is registered. It follows from method=NAME and cannot be set."""
    projector: ProjectorConfig = ProjectorConfig()
    batch_norm: Literal["sync", "local"] = "sync"
    """Over several processes: BN's statistics are of the images of all processes, or of each process by itself."""

    @property
    def label(self) -> str:
        """The name for a reader."""
        return self.name

    @classmethod
    def for_block(cls, block: Mapping[str, Any]) -> type[Self]:
        """Returns the class of a block `method`: this one, unless a value of the block decides which keys there are."""
        return cls

    def check_views(self, count: int) -> None:
        """Raises a UserError if the method cannot take this number of views of an image."""


@section
class SiameseConfig(MethodConfig):
    """A point of the grid. A contradictory combination is refused here, with the reason."""

    stop_gradient: bool
    """Whether no gradient reaches the target. SimSiam, Section 4.1."""
    predictor: PredictorConfig
    momentum_encoder: MomentumConfig
    similarity: Literal["cosine", "dot", "cross_entropy", "info_nce", "gradient", "relational"]
    """The loss D: negative cosine; negative dot product of the unit prediction and the target as it is; cross-entropy
    of softmax outputs or of codes over prototypes; InfoNCE; UniGrad's gradient itself; or the cross-entropy of both
    sides' relations to a queue (ReSSL)."""
    negatives: Literal["none", "batch", "keys", "predictions", "queue", "memory_bank", "correlation"]
    """Where InfoNCE's negatives come from. The batch: targets of both views (batch, SimCLR) or of the positives' view
    (keys, MoCo v3), or predictions, among which a target seeks its own (NNCLR). A queue (MoCo) or a memory bank
    (InstDisc). For similarity=gradient the correlation of all targets (UniGrad); for similarity=relational the queue
    that both sides are compared with."""
    assignment: Literal[
        "identity", "sinkhorn", "centering", "moving_average", "memory", "expectation", "nearest_neighbor"
    ]
    """Operation on the target: none, Sinkhorn-Knopp codes (SwAV), scores without their moving average (DINO), the
    moving average of the image's outputs (SimSiam, Section 5.2), the stored average alone, the mean over
    expectation_views further views, or the nearest of queue.size earlier embeddings (NNCLR)."""
    symmetric: bool
    """Whether each view is both prediction and target. SimSiam, Section 4.6."""
    joint_batch: bool = False
    """Whether all views pass the encoder as one batch, so that BN sees all of them at once."""
    pairs_per_image: Annotated[int, Field(ge=1, le=16)] = 1
    """Pairs of views of an image in each step. 2 with symmetric=false: the asymmetric 2x of SimSiam, Section 4.6."""
    alternation_steps: Count | Literal["epoch"] = 1
    """SGD steps for which the targets' weights stand still. SimSiam, Section 5.2 (multi-step alternation)."""
    temperature: Positive = 0.1
    """Temperature of info_nce, cross_entropy and relational."""
    sharpening: SharpeningConfig = SharpeningConfig()
    queue: QueueConfig = QueueConfig()
    prototypes: PrototypesConfig = PrototypesConfig()
    sinkhorn: SinkhornConfig = SinkhornConfig()
    centering: CenteringConfig = CenteringConfig()
    memory: MemoryConfig = MemoryConfig()
    unified: UnifiedConfig = UnifiedConfig()
    extra_gradient: ExtraGradientConfig = ExtraGradientConfig()
    decorrelation: DecorrelationConfig = DecorrelationConfig()
    target_views: Annotated[int, Field(ge=2)] = 2
    """How many of the views are targets: the first ones. Small crops after them only predict (SwAV, Section 3.2)."""
    expectation_views: Annotated[int, Field(ge=0, le=64)] = 0
    """Views of an image, beside the pair and made as its first, whose mean z/|z| by the latest weights is the target of
    assignment=expectation (https://arxiv.org/abs/2203.16262, Table 1)."""
    loss_scale: Positive = 1.0
    """Multiplies the mean over pairs and the loss of an inverse predictor, but no decorrelation. A sum over both
    orders is 2 (SimCLR's code), of 2 - 2 cos 4 (BYOL)."""

    def __post_init__(self) -> None:
        check_contradictions(self)

    def check_views(self, count: int) -> None:
        """Refuses more targets than views."""
        if self.target_views > count:
            raise UserError(
                f"method.target_views must be at most the number of views, {count}; received {self.target_views}; make "
                "more views with augment.views"
            )
