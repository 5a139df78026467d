"""The formats of checkpoints, as their programs' model definitions write them. A further one is a further entry.

Keys are meant as `read_file.py` returns them: without `module.`, blocks such as `teacher` as a prefix.

- [0] SimSiam, https://github.com/facebookresearch/simsiam
- [1] MoCo v1 and v2, https://github.com/facebookresearch/moco
- [2] MoCo v3, https://github.com/facebookresearch/moco-v3
- [3] SwAV, https://github.com/facebookresearch/swav
- [4] DINO, https://github.com/facebookresearch/dino
- [5] Barlow Twins, https://github.com/facebookresearch/barlowtwins
- [6] VICReg, https://github.com/facebookresearch/vicreg
- [7] SimCLR in PyTorch, https://github.com/tonylins/simclr-converter, https://github.com/Separius/SimCLRv2-Pytorch
- [8] BYOL in PyTorch, https://github.com/yaox12/BYOL-PyTorch
- [9] lightly, https://github.com/lightly-ai/lightly; solo-learn, https://github.com/vturrisi/solo-learn
- [10] EfficientNet in PyTorch, https://github.com/lukemelas/EfficientNet-PyTorch
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["FORMATS", "CheckpointFormat", "Layout", "Pixels", "Shapes"]

Shapes = Mapping[str, tuple[int, ...]]

RESNET = r"layer1\.0\.conv1\.weight$"
VIT = r"blocks\.0\.attn\.qkv\.weight$"
PROTOTYPES = r"(projection_head|prototypes)\."
CLASSIFIER = {r"(fc|head|classifier|head\.fc|heads\.head)\.(weight|bias)$": "classifier"}


@dataclass(frozen=True)
class Pixels:
    """How the program that wrote a checkpoint prepares images for its evaluations: RGB, resized, centre-cropped."""

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # of values in [0, 1]
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    size: int = 224
    crop_pct: float = 0.875  # size / shorter side


@dataclass(frozen=True)
class Layout:
    """Where a checkpoint has its encoder, and the patterns (of a key's beginning) by which it is recognised."""

    encoder: str  # prefix of its keys
    marks: tuple[str, ...]  # each matches a key
    lacks: tuple[str, ...] = ()  # none matches a key
    shared: bool = (
        False  # other programs' keys are the same: taken where the format is named, and not by format=auto
    )


@dataclass(frozen=True, kw_only=True)
class CheckpointFormat:
    """A format of checkpoints.

    Attributes:
        name: the value of `format`.
        title: for a reader.
        layouts: the first one that fits is taken.
        heads: patterns of the keys that are left out, and what they are.
        pixels: None: timm's for the architecture.
        trap: returns why these weights, though they fit, would compute something else in timm's model; gets the
            shapes of the encoder and of all keys.
        num_heads: returns the attention heads of a transformer, by the program's model definition; None: timm's. Gets
            what `trap` gets.
        any_architecture: whether `backbone.name` may name any timm model.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    heads: Mapping[str, str] = field(default_factory=dict)
    pixels: Pixels | None = Pixels()
    trap: Callable[[Shapes, Shapes], str | None] | None = None
    num_heads: Callable[[Shapes, Shapes], int | None] | None = None
    any_architecture: bool = False


def _twelve_heads(encoder: Shapes, keys: Shapes) -> int | None:
    """MoCo v3's transformers have 12 attention heads up to a width of 768, timm's one per 64 channels: [2], vits.py."""
    width = encoder.get("cls_token", (0,))[-1]
    return 12 if 0 < width < 768 else None


def _solo_learns_heads(encoder: Shapes, keys: Shapes) -> int | None:
    """solo-learn's transformers have 12 heads in MoCo v3 and MAE: [9], vit_mocov3.py, vit_mae.py; else timm's."""
    is_moco = "predictor.0.weight" in keys and "predictor.0.bias" not in keys
    is_mae = any(key.startswith("decoder.") for key in keys)
    return _twelve_heads(encoder, keys) if is_moco or is_mae else None


def _solo_learns_stem(encoder: Shapes, keys: Shapes) -> str | None:
    if encoder.get("conv1.weight", (0,))[-1] == 3:
        return "solo-learn's first convolution for CIFAR, 3x3, pads by 2 pixels, and the small stem here by 1"
    return None


_TABLE = (
    CheckpointFormat(
        name="simsiam",
        title="SimSiam's official code",
        layouts=(
            Layout("encoder.", (r"encoder\.fc\.0\.weight$", r"predictor\.0\.weight$"), (r"classifier\.",)),
        ),
        heads={r"encoder\.fc\.": "projector", r"predictor\.": "predictor"},
    ),
    CheckpointFormat(
        name="moco",
        title="MoCo v1's and v2's official code",
        layouts=(Layout("encoder_q.", (r"encoder_k\.", r"queue$")),),
        heads={
            r"encoder_q\.fc\.": "projector",
            r"encoder_k\.": "momentum encoder",
            r"queue(_ptr)?$": "queue",
        },
    ),
    CheckpointFormat(
        name="mocov3",
        title="MoCo v3's official code",
        layouts=(
            Layout("base_encoder.", (r"momentum_encoder\.", r"predictor\.")),
            Layout("", (VIT,), (PROTOTYPES,), shared=True),  # main_lincls.py and convert_to_deit.py
        ),
        heads={
            r"base_encoder\.(fc|head)\.": "projector",
            r"momentum_encoder\.": "momentum encoder",
            r"predictor\.": "predictor",
            r"head\.(weight|bias)$": "classifier",
        },
        num_heads=_twelve_heads,
    ),
    CheckpointFormat(
        name="swav",
        title="SwAV's official code",
        layouts=(Layout("", (RESNET, r"projection_head\.", r"prototypes\.")),),
        heads={r"projection_head\.": "projector", r"prototypes\.": "prototypes"},
        pixels=Pixels(std=(0.228, 0.224, 0.225)),  # 0.228: as in its code
    ),
    CheckpointFormat(
        name="dino",
        title="DINO's official code",
        layouts=(
            Layout("teacher.backbone.", (r"teacher\.head\.",)),
            Layout("", (f"{RESNET}|{VIT}",), (r"(fc|head)\.", PROTOTYPES)),
        ),
        heads={
            r"teacher\.head\.": "projector",
            r"student\.": "student",
            r"dino_loss\.": "state of the loss",
        },
        pixels=Pixels(interpolation="bicubic"),
    ),
    CheckpointFormat(
        name="barlowtwins",
        title="Barlow Twins' official code",
        layouts=(
            Layout("backbone.", (r"projector\.0\.weight$", r"bn\.running_mean$")),
            Layout("", (RESNET,), (r"fc\.", PROTOTYPES)),
        ),
        heads={r"(projector|bn)\.": "projector"},
    ),
    CheckpointFormat(
        name="vicreg",
        title="VICReg's official code",
        layouts=(
            Layout("backbone.", (r"projector\.0\.weight$",), (r"(classifier|bn|predictor|momentum_\w+)\.",)),
            Layout("", (RESNET,), (r"fc\.", PROTOTYPES)),
        ),
        heads={r"projector\.": "projector"},
    ),
    CheckpointFormat(
        name="simclr",
        title="SimCLR's TensorFlow weights, converted by simclr-converter",
        layouts=(Layout("", (RESNET, r"fc\.weight$"), (PROTOTYPES,)),),
        heads=CLASSIFIER,
        pixels=Pixels(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    ),
    CheckpointFormat(
        name="simclrv2",
        title="SimCLR v2's TensorFlow weights, converted by SimCLRv2-Pytorch",
        layouts=(Layout("resnet.", (r"resnet\.net\.0\.0\.weight$",)),),
        heads={r"resnet\.fc\.": "classifier", r"head\.": "projector"},
        pixels=Pixels(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    ),
    CheckpointFormat(
        name="byol",
        title="BYOL-PyTorch",
        layouts=(Layout("online_network.encoder.", (r"target_network\.", r"predictor\.")),),
        heads={
            r"online_network\.projetion\.": "projector",
            r"target_network\.": "momentum encoder",
            r"predictor\.": "predictor",
        },
    ),
    CheckpointFormat(
        name="lightly",
        title="lightly's examples and benchmarks",
        layouts=(
            Layout("backbone.vit.", (r"backbone\.vit\.", r"projection_head\.|decoder\.")),
            Layout("backbone.", (r"backbone\.", r"projection_head\.")),
            Layout("teacher_backbone.vit.", (r"teacher_backbone\.vit\.", r"teacher_head\.")),
            Layout("teacher_backbone.", (r"teacher_backbone\.", r"teacher_head\.")),
        ),
        heads={
            r"((student|teacher|key|query)_)?(projection_|prediction_)?head(_momentum)?\.": "projector or predictor",
            r"((student|teacher|key|query)_backbone|backbone_momentum)\.": "other encoder",
            r"(teacher_)?backbone\.mask_token$": "mask token",
            r"((teacher_)?backbone\.vit\.head|online_classifier|knn_classifier)\.": "classifier",
            r"(criterion|memory_bank|prototypes|queues?)\.": "state of the loss",
            r"decoder(_embed)?\.|mask_token$": "decoder",
        },
    ),
    CheckpointFormat(
        name="solo-learn",
        title="solo-learn",
        layouts=tuple(
            Layout(f"{encoder}.", (rf"{encoder}\.", r"classifier\.weight$", r"(projector|head|decoder)\."))
            for encoder in ("backbone", "encoder")  # earlier versions had encoder
        ),
        heads={
            r"(momentum_)?(projector|predictor2?|head)\.": "projector or predictor",
            r"momentum_(backbone|encoder)\.": "momentum encoder",
            r"(momentum_)?classifier\.": "classifier",
            r"prototypes\.|queue\w*$|(dino_loss_func|whitening|transformer_encoder)\.": "state of the loss",
            r"local_memory_\w+$": "state of the loss",
            r"decoder\.": "decoder",
        },
        trap=_solo_learns_stem,
        num_heads=_solo_learns_heads,
    ),
    CheckpointFormat(
        name="torchvision",
        title="torchvision",
        layouts=(Layout("", (rf"{RESNET}|conv_proj\.weight$",), (PROTOTYPES,)),),
        heads=CLASSIFIER,
    ),
    CheckpointFormat(
        name="timm",
        title="timm",
        layouts=(Layout("", (f"{RESNET}|{VIT}",), (PROTOTYPES,)),),
        heads={**CLASSIFIER, r"state_dict_ema\.": "moving average of the weights"},
        pixels=None,
        any_architecture=True,
    ),
    CheckpointFormat(
        name="efficientnet_pytorch",
        title="EfficientNet-PyTorch",
        layouts=(Layout("", (r"_conv_stem\.weight$",)),),
        heads={r"_fc\.": "classifier"},
        pixels=None,
    ),
)

FORMATS: Mapping[str, CheckpointFormat] = {entry.name: entry for entry in _TABLE}
