"""Checkpoints that are refused: nothing is created, and the message has the rule, what was received and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from helpers import checkpoints
from helpers.saved_runs import Bomb
from torch import Tensor

from ssl_zoo.cli.main import main
from ssl_zoo.errors import UserError
from ssl_zoo.importers.architectures import find_architecture
from ssl_zoo.importers.names import timm_names
from ssl_zoo.importers.run import import_checkpoint

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def moco() -> State:
    """A checkpoint of MoCo v2."""
    state: State = checkpoints.moco_v2(checkpoints.resnet18())["state_dict"]
    return state


def with_key(state: State) -> Any:
    return state | {"module.decoder.weight": torch.zeros(1)}


def without_key(state: State) -> Any:
    return {name: value for name, value in state.items() if name != "module.encoder_q.layer4.1.bn2.weight"}


def with_nan(state: State) -> Any:
    return state | {"module.encoder_q.bn1.bias": torch.full((64,), torch.nan)}


def twice(state: State) -> Any:
    return state | {"encoder_q.bn1.bias": torch.zeros(64)}


def of_cifar(state: State) -> Any:
    return state | {"module.encoder_q.conv1.weight": torch.zeros(64, 3, 3, 3)}


def of_solo_learn(state: State) -> Any:
    encoder = {
        name.replace("module.encoder_q", "backbone"): value
        for name, value in state.items()
        if "_q.fc" not in name
    }
    encoder = {name: value for name, value in encoder.items() if name.startswith("backbone.")}
    return encoder | {"classifier.weight": torch.zeros(1), "projector.0.weight": torch.zeros(1)} | {
        "backbone.conv1.weight": torch.zeros(64, 3, 3, 3)
    }  # fmt: skip


def of_a_transformer(state: State) -> Any:
    """MoCo v3's linear checkpoint of ViT-S: the names and shapes of timm's model, and 12 heads."""
    with torch.device("meta"):
        model = timm.create_model("vit_small_patch16_224", num_classes=10)
    zero = torch.zeros(())  # one number for all: a small file
    return {
        "state_dict": {f"module.{key}": zero.expand(value.shape) for key, value in model.state_dict().items()}
    }


def of_mocos_transformer(state: State) -> Any:
    """MoCo v3's checkpoint of ViT-S from its training."""
    with torch.device("meta"):
        model = timm.create_model("vit_small_patch16_224", num_classes=0)
    return checkpoints.moco_v3_vit(
        {k: torch.zeros(()).expand(v.shape) for k, v in model.state_dict().items()}, 384
    )


def of_a_mixer(state: State) -> Any:
    with torch.device("meta"):
        model = timm.create_model("mixer_s32_224", num_classes=10)
    return {key: torch.zeros(()).expand(value.shape) for key, value in model.state_dict().items()}


REFUSED: Mapping[str, tuple[Callable[[State], Any], list[str], str]] = {
    "an unknown key": (with_key, [], r"known head of format=moco; .* has 1 that are neither: decoder\.weight; name"),
    "a missing weight": (
        without_key,
        [],
        r"'resnet18', the nearest of .*: layer4\.1\.bn2\.weight \(512,\) is missing; name its",
    ),
    "a missing weight, named": (
        without_key,
        ["backbone.name=resnet18"],
        r"one of backbone 'resnet18', 120 in all; received 119: layer4\.1\.bn2\.weight \(512,\) is missing; leave",
    ),
    "another backbone": (
        dict,
        ["backbone.name=resnet34"],
        r"one of backbone 'resnet34', 216 in all; received 120: layer1\.2\.conv1\.weight .* is missing.* more; leave",
    ),
    "no backbone": (dict, ["backbone.name=resnet81"], r"unknown backbone 'resnet81'.*did you mean 'resnet"),
    "another format": (
        dict,
        ["format=simsiam"],
        r"format=simsiam \(SimSiam's official code\) must have keys like encoder\.\*.*holds encoder_q\.\* \(124\), "
        r"encoder_k\.\* \(124\), queue \(1\), queue_ptr \(1\); its keys are those of format=moco; leave format out",
    ),
    "no format": (dict, ["format=mocco"], r"unknown format 'mocco'; there are auto, .*did you mean 'moco'"),
    "nan": (with_nan, [], r"weights must be finite; .* has 1 with nan or infinity, such as bn1\.bias"),
    "one name twice": (twice, [], r"a name of its own; .* holds 'encoder_q\.bn1\.bias' twice"),
    "a small stem": (of_cifar, [], r"conv1\.weight is \(64, 3, 3, 3\) and not .*set backbone\.stem=small"),
    "the stem of solo-learn": (of_solo_learn, [], r"pads by 2 pixels, and the small stem here by 1, so that the same"),
    "a transformer by its keys alone": (
        of_a_transformer,
        ["backbone.name=vit_small_patch16_224"],
        r"width 384: timm's have .*, 6, MoCo v3's have 12 .*set format=timm backbone\.name=vit_small_patch16_224",
    ),
    "a transformer of unknown mean": (
        of_a_transformer,
        ["format=timm", "data.mean=[0.5,0.5,0.5]"],
        r"mean and std .*set backbone\.name=vit_small_patch16_224 or backbone\.name=deit_small_patch16_224 .*, or data",
    ),
    "other heads than the program's": (
        of_mocos_transformer,
        ["backbone.num_heads=6"],
        r"of MoCo v3's official code have 12 attention heads .*received backbone\.num_heads=6; leave it out",
    ),
    "heads of a ResNet": (dict, ["backbone.num_heads=12"], r"num_heads=12 is .*; .resnet18. has none; leave it out"),
    "a mixer of another size": (
        of_a_mixer,
        ["format=timm", "backbone.name=mixer_s32_224", "size=256"],
        r"tokens\.fc1\.weight is \(\d+, 49\) and not \(\d+, 64\).*with the size= of its images \(now 256\)",
    ),
    "nothing known": (
        lambda state: {"encoder.weight": torch.zeros(1)},
        [],
        r"must know the keys; .* holds encoder\.\* \(1\); there are the formats simsiam, moco, .*format=timm",
    ),
    "no tensors": (lambda state: {"epoch": 3}, [], r"must hold tensors by name; .* holds epoch; save"),
    "a list": (lambda state: [1, 2], [], r"must hold tensors by name; .* holds a list; save"),
    "code": (lambda state: {"state_dict": Bomb()}, [], r"without running code from it; .*mkdir.*weights_only=False"),
    "arrays": (lambda state: {"a": np.zeros(2)}, [], r"without running code from it; .* holds an object of numpy"),
    "a wrong key": (dict, ["sizes=32"], r"unknown key 'sizes'.*did you mean 'size'"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_checkpoint_is_refused(
    case: str, moco: State, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, overrides, message = REFUSED[case]
    file = tmp_path / "moco.pth.tar"
    torch.save(change(moco), file)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.compile(message, re.DOTALL)):
        import_checkpoint([str(file), f"run_dir={tmp_path / 'runs' / 'moco'}", *overrides])
    assert [path.name for path in tmp_path.iterdir()] == ["moco.pth.tar"]


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_a_damaged_file_is_refused(ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"weights.{ending}"
    file.write_bytes(b"PK\x03\x04 not a checkpoint")
    assert main(["import", str(file), f"run_dir={tmp_path / 'run'}"]) == 2
    assert re.search(r"cannot be read|is no checkpoint", capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_overrides_are_checked_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    (tmp_path / "weights.pth").write_bytes(b"")
    for overrides, message in (
        (
            [str(tmp_path / "nowhere.pth"), "run_dir=run"],
            "file must be a checkpoint; received .*which is not there",
        ),
        ([str(tmp_path / "full"), "run_dir=run"], "which is a folder"),
        ([str(tmp_path / "weights.pth")], "run_dir"),
        ([str(tmp_path / "weights.pth"), "file=other.pth", "run_dir=run"], "one checkpoint is imported"),
        ([str(tmp_path / "weights.pth"), f"run_dir={tmp_path / 'full'}"], "run_dir must be new or empty"),
        ([str(tmp_path / "weights.pth"), "run_dir=run", "data.train=7"], r"data\.train"),
    ):
        with pytest.raises(UserError, match=message):
            import_checkpoint(overrides)


def test_a_wide_resnet_has_no_model_in_timm() -> None:
    """SwAV's and SimCLR's ResNet-50 of twice the width."""
    shapes = {"conv1.weight": (128, 3, 7, 7), "bn1.weight": (128,), "layer1.0.conv1.weight": (128, 128, 1, 1)}
    with pytest.raises(
        UserError, match=r"nearest of resnet18, .*conv1\.weight is \(128, 3, 7, 7\) and not \(64"
    ):
        find_architecture(shapes, None, None)


BLOCKS = (  # repeats, kernel, expansion, into, out: EfficientNet-PyTorch's r1_k3_s11_e1_i32_o16_se0.25 …
    (1, 3, 1, 32, 16), (2, 3, 6, 16, 24), (2, 5, 6, 24, 40), (3, 3, 6, 40, 80), (3, 5, 6, 80, 112), (4, 5, 6, 112, 192),
    (1, 3, 6, 192, 320),
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "squeezes"), [("tf_efficientnet_lite0", False), ("tf_efficientnet_b0", True)]
)
def test_names_of_efficientnet_pytorch(name: str, squeezes: bool) -> None:
    def bn(part: str, width: int) -> dict[str, tuple[int, ...]]:
        values = ("weight", "bias", "running_mean", "running_var")
        return {f"{part}.{value}": (width,) for value in values} | {f"{part}.num_batches_tracked": ()}

    shapes: dict[str, tuple[int, ...]] = {"_conv_stem.weight": (32, 3, 3, 3), **bn("_bn0", 32)}
    number = 0
    for repeats, kernel, expansion, first, out in BLOCKS:
        for into in (first, *[out] * (repeats - 1)):
            block, wide = f"_blocks.{number}.", into * expansion
            if expansion > 1:
                shapes |= {f"{block}_expand_conv.weight": (wide, into, 1, 1), **bn(f"{block}_bn0", wide)}
            shapes |= {
                f"{block}_depthwise_conv.weight": (wide, 1, kernel, kernel),
                **bn(f"{block}_bn1", wide),
            }
            if squeezes:
                shapes |= {
                    f"{block}_se_reduce.weight": (into // 4, wide, 1, 1),
                    f"{block}_se_reduce.bias": (into // 4,),
                }
                shapes |= {
                    f"{block}_se_expand.weight": (wide, into // 4, 1, 1),
                    f"{block}_se_expand.bias": (wide,),
                }
            shapes |= {f"{block}_project_conv.weight": (out, wide, 1, 1), **bn(f"{block}_bn2", out)}
            number += 1
    shapes |= {"_conv_head.weight": (1280, 320, 1, 1), **bn("_bn1", 1280)}
    names = timm_names(shapes)
    assert find_architecture({names[key]: shape for key, shape in shapes.items()}, None, None).name == name
