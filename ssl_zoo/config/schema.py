"""The typed configuration of a run: frozen dataclasses, their defaults and their ranges. One long file, so
that every key can be looked up in one place.

Every key that a user can set stands here once, with its unit and its range. YAML files and the command
line (`ssl_zoo.config.compose`) only fill these classes in; nothing downstream sees an untyped mapping. Values are
checked strictly: an unknown key, a string where a number belongs or a value out of range is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticKnownError
from typing_extensions import dataclass_transform

from ssl_zoo.files.paths import check_path

T = TypeVar("T")

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
LARGEST = 2**31 - 1  # what every library's counters hold
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Folder = Annotated[str, Field(min_length=1), AfterValidator(check_path)]
Index = Annotated[int, Field(ge=0, le=LARGEST)]
# Wider than any paper's; what is possible and too large for a machine `ssl_zoo.training.memory_check` refuses.
Width = Annotated[int, Field(ge=1, le=2**17)]  # of a layer or an embedding
Side = Annotated[int, Field(ge=1, le=4096)]  # pixels
Vectors = Annotated[int, Field(ge=1, le=2**24)]  # rows of a queue or a memory
Seed = Annotated[int, Field(ge=0, lt=2**32)]

Ratio = Annotated[float, Field(ge=0.01, le=100)]
Factor = Annotated[float, Field(ge=0, le=100)]  # of a colour, by which it is changed
Sigma = Annotated[float, Field(gt=0, le=1000)]  # pixels


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def section(cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only dataclass whose values are validated strictly."""
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return cast("type[T]", dataclass(frozen=True, kw_only=True, config=config)(cls))


def _ascending(name: str, pair: tuple[float, float]) -> None:
    if pair[0] > pair[1]:
        raise ValueError(f"{name} must be [low, high] with low <= high; received {list(pair)}; swap the two")


def _whole(value: object) -> object:
    """Lets no `true` pass for 1, as Literal does, nor 3.0 for 3."""
    if type(value) is not int:
        raise PydanticKnownError("literal_error", {"expected": "1 or 3"})
    return value


@section
class CropConfig:
    """Random resized crop: a box of random area and aspect ratio, resized to the view's size."""

    scale: tuple[Share, Share] = (0.2, 1.0)  # share of the image's area
    ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)  # width / height
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"

    def __post_init__(self) -> None:
        _ascending("crop.scale", self.scale)
        _ascending("crop.ratio", self.ratio)
        if self.scale[1] <= 0:
            raise ValueError(f"crop.scale must reach above 0; received {list(self.scale)}")


@section
class JitterConfig:
    """Colour jitter: brightness, contrast, saturation and hue in an order drawn per image."""

    p: Share = 0.8
    strength: Factor = 1.0  # multiplies the four below (SimCLR's s)
    brightness: Factor = 0.4
    contrast: Factor = 0.4
    saturation: Factor = 0.4
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    # Whose brightness, contrast and saturation: see ssl_zoo/augment/tensorflow_color.py.
    operations: Literal["torchvision", "simclr", "byol"] = "torchvision"

    def __post_init__(self) -> None:
        if self.hue * self.strength > 0.5:
            raise ValueError(
                f"jitter.hue * jitter.strength must be at most 0.5 (half the colour circle); "
                f"received {self.hue} * {self.strength}; lower one of them"
            )


@section
class BlurConfig:
    """Gaussian blur with a standard deviation drawn per image."""

    p: Share = 0.5
    sigma: tuple[Sigma, Sigma] = (0.1, 2.0)  # pixels
    # Side of the kernel as a share of the view's: 0.1 is SimCLR's and BYOL's, 23 pixels of 224 and 9 of 96, which cuts
    # a sigma of 2 off at 2 sigma. The PIL blur of the PyTorch codes is not cut off: 0.24 of 96 is 23 pixels again.
    kernel: Annotated[float, Field(gt=0, le=1)] = 0.1
    padding: Literal["reflect", "zeros"] = "reflect"  # beyond the borders; zeros: SimCLR's and BYOL's code

    def __post_init__(self) -> None:
        _ascending("blur.sigma", self.sigma)


@section
class SolarizeConfig:
    """Inverts every value at or above the threshold."""

    p: Share = 0.0
    threshold: Share = 0.5


@section
class AffineConfig:
    """Rotation, translation, scaling and shear about the centre, for data without a natural crop."""

    p: Share = 0.0
    degrees: Annotated[float, Field(ge=0, le=180)] = 0.0  # rotation in [-degrees, degrees]
    translate: Share = 0.0  # share of the side, in each direction
    scale: tuple[Ratio, Ratio] = (1.0, 1.0)
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0  # degrees, along x and along y

    def __post_init__(self) -> None:
        _ascending("affine.scale", self.scale)


@section
class NoiseConfig:
    """Gaussian noise on every value."""

    p: Share = 0.0
    std: Share = 0.1  # of pixels in [0, 1]


@section
class CutoutConfig:
    """A box of random area, aspect ratio and place, set to the data's mean."""

    p: Share = 0.0
    scale: tuple[Share, Share] = (0.02, 0.33)  # share of the view's area
    ratio: tuple[Ratio, Ratio] = (0.3, 3.3)  # width / height

    def __post_init__(self) -> None:
        _ascending("cutout.scale", self.scale)
        _ascending("cutout.ratio", self.ratio)


@section
class ViewConfig:
    """How one view is made: crop, flip, affine, rotate, jitter, grayscale, blur, noise, sobel, solarize, cutout,
    in this order. What has probability 0 is not done."""

    size: Side = 224  # pixels, of the square view
    crop: CropConfig = CropConfig()
    flip: Share = 0.5  # probability of a horizontal flip
    affine: AffineConfig = AffineConfig()
    rotate: Share = 0.0  # probability of a turn by 90, 180 or 270 degrees
    jitter: JitterConfig = JitterConfig()
    grayscale: Share = 0.2  # probability
    blur: BlurConfig = BlurConfig()
    noise: NoiseConfig = NoiseConfig()
    sobel: Share = 0.0  # probability of the edges in place of the image
    solarize: SolarizeConfig = SolarizeConfig()
    cutout: CutoutConfig = CutoutConfig()


@section
class NamedViewConfig(ViewConfig):
    """A view under `augment.views.NAME`: what is not set there is as in `augment`."""

    count: Annotated[int, Field(ge=1, le=64)] = 1  # how many views are made this way


@section
class AugmentConfig(ViewConfig):
    """The views of an image. The keys of a view hold for all; `views` says what differs, by name."""

    views: dict[str, NamedViewConfig] = Field(default_factory=dict)  # filled in by ssl_zoo.config.compose

    def __post_init__(self) -> None:
        total = sum(view.count for view in self.views.values())
        if total < 2:
            raise ValueError(f"augment.views must make at least 2 views of an image; received {total}")

    @property
    def flat(self) -> tuple[ViewConfig, ...]:
        """One entry per view, in order."""
        return tuple(view for view in self.views.values() for _ in range(view.count))


@section
class DataConfig:
    """Where the images come from. `train` and `test` are folders for `source: imagefolder`."""

    name: Annotated[str, Field(max_length=100)]  # in the name of the run directory: no path
    source: Literal["digits", "cifar10", "cifar100", "stl10", "imagefolder"]
    train: Folder | None = None
    test: Folder | None = None  # null: no test set, unless `holdout` makes one
    root: Folder = "~/.cache/ssl-zoo"  # where downloads are kept
    limit: Count | None = None  # a fixed, class-balanced part of the training images
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the training images tested on instead
    channels: Annotated[Literal[1, 3], BeforeValidator(_whole)] = 3
    # What an unreadable image does; skip decodes every file at the start.
    on_error: Literal["raise", "skip"] = "raise"
    cache_mb: NonNegative = 2048.0  # decoded images up to this size are kept in memory
    workers: Index = 2  # processes that decode images which are not kept in memory
    mean: tuple[Share, ...] = (0.485, 0.456, 0.406)  # per channel, of values in [0, 1]
    std: tuple[Positive, ...] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name.startswith(".") or set(self.name) & set("/\\"):
            raise ValueError(
                f"data.name must be a name, not empty, without / and \\ and not beginning with a dot; received "
                f"'{self.name}'; set data.name=NAME"
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"data.mean and data.std need one value per channel; received {len(self.mean)} and "
                f"{len(self.std)} for data.channels={self.channels}"
            )


@section
class BackboneConfig:
    """A timm model without its classifier."""

    name: str = "resnet50"
    stem: Literal["standard", "small"] = "standard"  # small: 3x3 stride 1, no max-pool
    pretrained: bool = False
    zero_init_last: bool = True  # last BN of each residual block starts at 0, where the model has one


@section
class ProjectorConfig:
    """The projector: an MLP of `layers` linear layers. 0 layers: the backbone's output itself."""

    layers: Annotated[int, Field(ge=0, le=8)] = 2
    hidden_dim: Width = 2048
    output_dim: Width = 128
    bn_hidden: bool = True
    bn_output: bool = False
    bn_output_affine: bool = True
    bn_output_center: bool = True  # false: the affine output BN scales and does not shift (SimCLR's code)
    bias_output: bool = True  # a bias in the last linear layer where no BN follows it
    lr_multiplier: NonNegative = 1.0


@section
class PredictorConfig:
    """The predictor h, from the projector's output to the same dimension."""

    kind: Literal["mlp", "linear", "bias", "identity"] = "identity"  # bias: z/|z| + b
    hidden_dim: Width | None = 512  # null: a quarter of the projector's output
    bn_hidden: bool = True
    bn_output: bool = False
    bias_output: bool = True
    trainable: bool = True  # false: fixed at its random initialisation
    lr: Literal["decay", "constant"] = "decay"  # constant: the base learning rate throughout
    lr_multiplier: NonNegative = 1.0


@section
class MomentumConfig:
    """The momentum encoder: an exponential moving average of backbone and projector."""

    enabled: bool = False
    decay: Share = 0.99
    schedule: Literal["constant", "cosine"] = "constant"  # cosine: from `decay` to 1 (BYOL)
    shuffle_bn: bool = False  # over several processes: its batches mix images of all (MoCo)


@section
class QueueConfig:
    """MoCo's queue of negatives."""

    size: Vectors = 65536


@section
class PrototypesConfig:
    """SwAV's prototypes. 0: none."""

    number: Annotated[int, Field(ge=0, le=2**20)] = 0
    # Unit length: set between steps (SwAV's code), or in the forward pass, by full gradient (SimSiam, Sec. 6.2).
    normalization: Literal["outside", "gradient"] = "outside"
    frozen_epochs: NonNegative = 0.0  # how long their gradient is dropped at the start


@section
class SinkhornConfig:
    """Sinkhorn-Knopp: `exp(scores / epsilon)` made doubly stochastic."""

    epsilon: Positive = 0.05
    iterations: Annotated[int, Field(ge=1, le=1000)] = 3
    # Earlier embeddings of each target view that join the batch; 0: none.
    queue_size: Annotated[int, Field(ge=0, le=2**24)] = 0
    queue_from_epoch: Index = 0  # epochs done before the queue begins to fill


@section
class MemoryConfig:
    """One vector per training image: its outputs' moving average."""

    decay: Share = 0.8
    negatives: Vectors = 65536  # how many vectors are drawn for `negatives: memory_bank`


@section
class MethodConfig:
    """What every method has: a name and the projector of the shared encoder."""

    name: str
    projector: ProjectorConfig = ProjectorConfig()
    batch_norm: Literal["sync", "local"] = "sync"  # over several processes: statistics of all, or of each


@section
class SiameseConfig(MethodConfig):
    """A point of the grid. A contradictory combination is refused here, with the reason."""

    stop_gradient: bool
    predictor: PredictorConfig
    momentum_encoder: MomentumConfig
    similarity: Literal["cosine", "cross_entropy", "info_nce"]
    negatives: Literal["none", "batch", "queue", "memory_bank"]
    assignment: Literal["identity", "sinkhorn", "moving_average", "memory"]
    symmetric: bool
    joint_batch: bool = False  # all views pass the encoder as one batch, and BN's statistics are of them all
    # 2 with symmetric=false: the paper's asymmetric "2x".
    pairs_per_image: Annotated[int, Field(ge=1, le=16)] = 1
    alternation_steps: Count | Literal["epoch"] = 1  # SGD steps for which the targets' weights stand still
    temperature: Positive = 0.1  # of info_nce and cross_entropy
    queue: QueueConfig = QueueConfig()
    prototypes: PrototypesConfig = PrototypesConfig()
    sinkhorn: SinkhornConfig = SinkhornConfig()
    memory: MemoryConfig = MemoryConfig()
    target_views: Annotated[int, Field(ge=2)] = 2  # the first views are targets; more (small crops) are not
    # Times the mean over pairs; a sum over both orders is 2 (SimCLR's code), of 2 - 2 cos 4 (BYOL).
    loss_scale: Positive = 1.0

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


@section
class OptimizerConfig:
    """The optimizer and its schedule. `lr` is the base rate; see `lr_scaling`."""

    name: Literal["sgd", "lars", "adamw"] = "sgd"
    lr: Positive = 0.05
    lr_scaling: Literal["linear", "sqrt", "none"] = "linear"  # lr * batch / 256, lr * sqrt(batch), lr
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9  # of sgd and lars
    weight_decay: NonNegative = 1e-4
    exclude_norm_and_bias: bool = False  # from weight decay, and from LARS's adaptation
    schedule: Literal["cosine", "constant"] = "cosine"
    interval: Literal["step", "epoch"] = "step"  # how often the schedule moves
    warmup_epochs: NonNegative = 0.0
    warmup_from_batch: Count | None = (
        None  # images per optimizer step from which on there is a warmup; null: any
    )
    warmup_start: Share = 0.0  # share of the peak rate that the warmup starts from
    final: Share = 0.0  # share of the peak rate that the cosine ends at
    clip_grad_norm: Positive | None = None


@section
class TrainerConfig:
    """How the training loop runs; nothing here changes what is computed, but for `accumulate`."""

    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    devices: Count = 1  # processes on this machine, with a device each; on a CPU they share its cores
    num_nodes: Count = 1  # machines
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = "auto"
    accumulate: Count = 1  # batches per optimizer step
    channels_last: bool = True
    threads: Count | None = None  # CPU threads of each process; null: torch's choice, or the cores shared out
    memory_check: bool = True  # refuses a run that would take more memory than is free
    progress: bool = True
    log_every: Count = 50  # steps between TensorBoard points
    checkpoint_every: Count | None = None  # epochs between checkpoints; null: as few as take 2 % of the time
    checkpoint_steps: Count | None = None  # optimizer steps between further checkpoints within an epoch

    @property
    def processes(self) -> int:
        """How many there are on all machines."""
        return self.devices * self.num_nodes


@section
class KnnConfig:
    """The weighted kNN classifier of InstDisc, on the backbone's features."""

    k: Count | None = None  # null: 200, or a tenth of the labelled training images where that is less
    temperature: Positive = 0.1
    every: Count | None = (
        None  # at each so-manieth measurement; null: as often as takes about 2 % of the time
    )


@section
class ProbeConfig:
    """The linear probe: logistic regression on a few labels, repeated over draws of the labels."""

    labels_per_class: Count = 10
    draws: Annotated[int, Field(ge=1, le=10_000)] = 10


@section
class MonitorConfig:
    """What is measured while and after training."""

    every: Count = 5  # epochs between measurements; everything is measured after the last one
    samples: Annotated[int, Field(ge=2)] = 1024  # training images that the collapse diagnostics see
    bank: Count = 20000  # labelled training images that the classifiers see at most
    knn: KnnConfig = KnnConfig()
    probe: ProbeConfig = ProbeConfig()
    baselines: bool = True  # raw pixels and the untrained encoder


@section
class RunSettings:
    """Everything but the method."""

    data: DataConfig
    backbone: BackboneConfig = BackboneConfig()
    augment: AugmentConfig
    optimizer: OptimizerConfig = OptimizerConfig()
    trainer: TrainerConfig = TrainerConfig()
    monitor: MonitorConfig = MonitorConfig()
    epochs: Count = 100
    batch_size: Annotated[int, Field(ge=2)] = 256  # images per step over all processes, before accumulation
    seed: Seed = 0
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: Literal["auto"] | bool = "auto"  # torch.compile of the encoder; auto: see `ssl-zoo doctor`
    run_dir: Folder | None = None  # null: runs/DATE-DATA-METHOD-sSEED
    resume: Folder | None = None  # auto, a checkpoint's path, or null
    recipe: str | None = None  # the recipe that was found for this data and method
    experiment: str | None = None


@section
class RunConfig(RunSettings):
    """A run, complete."""

    method: Any  # a MethodConfig, validated by the method's own class

    @property
    def views(self) -> tuple[ViewConfig, ...]:
        """The views made of an image: those of `augment`, once for each pair of pairs_per_image."""
        return self.augment.flat * getattr(self.method, "pairs_per_image", 1)


__all__ = [name for name in dir() if name.endswith("Config")] + ["RunSettings", "section"]
