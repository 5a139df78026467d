"""Checkpoints of other programs become runs: the features are their networks', each key is accounted for."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from helpers import checkpoints
from helpers.checkpoints import AMBIGUOUS, RECOGNISED
from safetensors.torch import save_file
from torch import Tensor, nn

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.load_backbone import load_backbone
from ssl_zoo.exporters.run import export
from ssl_zoo.importers.formats import FORMATS
from ssl_zoo.importers.plan import ImportPlan, plan_import
from ssl_zoo.importers.run import import_checkpoint
from ssl_zoo.importers.schema import read_import
from ssl_zoo.run_dir.saved_run import open_run


def plan_of(folder: Path, contents: Any, *overrides: str) -> ImportPlan:
    """Writes a checkpoint and understands it."""
    file = folder / "checkpoint.pth"
    torch.save(contents, file)
    return plan_import(*read_import([f"file={file}", f"run_dir={folder / 'run'}", *overrides]))


def features_of(plan: ImportPlan, images: Tensor) -> Tensor:
    """The features of the model that the plan names, with the weights that it has."""
    size = plan.config.augment.size
    options: dict[str, int | None] = {"img_size": size} if "vit" in plan.config.backbone.name else {}
    options |= {"num_heads": plan.config.backbone.num_heads}
    with torch.device("meta"):  # no values are drawn
        model = timm.create_model(plan.config.backbone.name, num_classes=0, **options)
    counters = {k: torch.tensor(0) for k in model.state_dict() if k.endswith("num_batches_tracked")}
    model.load_state_dict({**counters, **plan.weights}, strict=True, assign=True)
    with torch.inference_mode():
        features: Tensor = model.eval()(images)
    return features


def pictures(size: int = 32) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def expected(model: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        features: Tensor = nn.Sequential(*list(model.children())[:-1])(images).flatten(1)
    return features


@pytest.fixture(scope="module")
def resnet() -> torchvision.models.ResNet:
    return checkpoints.resnet18()


@pytest.mark.parametrize("writer", RECOGNISED)
def test_a_checkpoint_is_recognised_by_its_keys(writer: str, resnet: nn.Module, tmp_path: Path) -> None:
    write, name, heads = RECOGNISED[writer]
    contents = write(resnet)
    plan = plan_of(tmp_path, contents)
    assert plan.entry.name == plan.config.method.format == name
    assert plan.config.backbone.name == "resnet18"
    torch.testing.assert_close(features_of(plan, pictures()), expected(resnet, pictures()), rtol=0, atol=1e-6)
    assert set(plan.accounted.left_out.values()) == heads
    assert len(plan.weights) + len(plan.accounted.left_out) == len(plan.contents.weights)
    others = {"optimizer", "optimizer_states"} & set(contents)
    assert others <= set(plan.contents.others)


@pytest.mark.parametrize("writer", AMBIGUOUS)
def test_one_file_of_several_programs_is_asked_about(writer: str, resnet: nn.Module, tmp_path: Path) -> None:
    write, names = AMBIGUOUS[writer]
    with pytest.raises(ValueError, match=r"those of several.*set format= ") as refusal:
        plan_of(tmp_path, write(resnet))
    assert [name for name in FORMATS if f" {name} (" in str(refusal.value)] == list(names)
    for name in names:
        plan = plan_import(
            *read_import([str(tmp_path / "checkpoint.pth"), f"run_dir={tmp_path / 'x'}", f"format={name}"])
        )
        torch.testing.assert_close(
            features_of(plan, pictures()), expected(resnet, pictures()), rtol=0, atol=1e-6
        )


def test_the_preprocessing_is_the_programs_own(resnet: nn.Module, tmp_path: Path) -> None:
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    for write, name, mean, std in (
        (checkpoints.moco_v2, "auto", *imagenet),
        (checkpoints.swav, "auto", imagenet[0], (0.228, 0.224, 0.225)),
        (checkpoints.simclr, "simclr", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    ):
        config = plan_of(tmp_path, write(resnet), f"format={name}").config
        assert (config.data.mean, config.data.std, config.data.channels) == (mean, std, 3)
        assert config.augment.size == 224
    changed = plan_of(tmp_path, checkpoints.swav(resnet), "data.std=[0.2,0.2,0.2]", "size=96").config
    assert changed.data.std == (0.2, 0.2, 0.2)
    assert changed.augment.size == 96


def dino_features(state: dict[str, Tensor], images: Tensor, heads: int) -> Tensor:
    """DINO's VisionTransformer.forward, from its code, with its functions written out."""
    f = nn.functional

    def norm(x: Tensor, name: str) -> Tensor:
        return f.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps=1e-6)

    def linear(x: Tensor, name: str) -> Tensor:
        return f.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    patch = state["patch_embed.proj.weight"].shape[-1]
    x = f.conv2d(images, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], stride=patch)
    x = x.flatten(2).transpose(1, 2)  # (N, patches, width)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    count, tokens, width = x.shape
    for i in range(12):
        qkv = linear(norm(x, f"blocks.{i}.norm1"), f"blocks.{i}.attn.qkv")
        q, k, v = qkv.reshape(count, tokens, 3, heads, width // heads).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // heads) ** -0.5).softmax(dim=-1)
        x = x + linear((weights @ v).transpose(1, 2).reshape(count, tokens, width), f"blocks.{i}.attn.proj")
        x = x + linear(
            f.gelu(linear(norm(x, f"blocks.{i}.norm2"), f"blocks.{i}.mlp.fc1")), f"blocks.{i}.mlp.fc2"
        )
    return norm(x, "norm")[:, 0]


def vit_state(width: int = 192, size: int = 32, patch: int = 16) -> dict[str, Tensor]:
    """Names and shapes of DINO's ViT-Ti, as its vision_transformer.py builds it."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, (size // patch) ** 2 + 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    layers = {"attn.qkv": (3 * width, width), "attn.proj": (width, width)}
    layers |= {"mlp.fc1": (4 * width, width), "mlp.fc2": (width, 4 * width)}
    for i in range(12):
        for name, (out, into) in layers.items():
            shapes |= {f"blocks.{i}.{name}.weight": (out, into), f"blocks.{i}.{name}.bias": (out,)}
        for name in ("norm1", "norm2"):
            shapes |= {f"blocks.{i}.{name}.weight": (width,), f"blocks.{i}.{name}.bias": (width,)}
    generator = torch.Generator().manual_seed(3)
    return {name: 0.1 * torch.randn(shape, generator=generator) for name, shape in shapes.items()}


@pytest.mark.parametrize("where", ["alone", "teacher", "lightly"])
def test_a_transformer_of_dino(where: str, tmp_path: Path) -> None:
    state = vit_state()
    contents: Any = state
    if where == "teacher":
        student = {f"module.backbone.{name}": torch.zeros_like(value) for name, value in state.items()}
        teacher = {f"backbone.{name}": value for name, value in state.items()}
        contents = {"student": student, "teacher": teacher | {"head.mlp.0.bias": torch.zeros(8)}}
    if where == "lightly":  # its benchmarks/imagenet/vitb16/dino.py
        backbone = {f"backbone.vit.{name}": value for name, value in state.items()}
        heads = {
            "backbone.mask_token": torch.zeros(1, 1, 192),
            "backbone.vit.head.weight": torch.zeros(10, 192),
        }
        heads |= {
            "student_backbone.vit.cls_token": torch.zeros(1),
            "projection_head.layers.0.bias": torch.zeros(8),
        }
        contents = {"state_dict": backbone | heads}
    plan = plan_of(tmp_path, contents, "format=dino" if where == "alone" else "format=auto")
    assert (plan.config.backbone.name, plan.config.augment.size) == ("vit_tiny_patch16_224", 32)
    assert plan.config.data.interpolation == ("bilinear" if where == "lightly" else "bicubic")
    torch.testing.assert_close(
        features_of(plan, pictures()), dino_features(state, pictures(), heads=3), rtol=0, atol=1e-5
    )


def test_a_transformer_of_torchvision(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = torchvision.models.VisionTransformer(32, 16, 12, 3, 192, 768).eval()
    plan = plan_of(tmp_path, theirs.state_dict())
    assert (plan.entry.name, plan.config.backbone.name) == ("torchvision", "vit_tiny_patch16_224")
    theirs.heads = nn.Identity()
    with torch.inference_mode():
        wanted = theirs(pictures())
    torch.testing.assert_close(features_of(plan, pictures()), wanted, rtol=0, atol=1e-5)


def mocos_positions(width: int, side: int) -> Tensor:
    """MoCo v3's fixed position embedding, one patch and one channel at a time; (1, 1 + patches, width)."""
    table = torch.zeros(1, 1 + side * side, width)
    for row, column, channel in itertools.product(range(side), range(side), range(width)):
        quarter, k = divmod(channel, width // 4)
        angle = (row, row, column, column)[quarter] / 10000 ** (4 * k / width)
        table[0, 1 + row * side + column, channel] = math.cos(angle) if quarter % 2 else math.sin(angle)
    return table


def mocos_vit_small() -> dict[str, Tensor]:
    """MoCo v3's ViT-S: names and shapes are DINO's, for both take them from timm; its attention is far from even."""
    state = vit_state(384) | {"pos_embed": mocos_positions(384, 2)}
    return {name: 8 * value if name.endswith("qkv.weight") else value for name, value in state.items()}


@pytest.mark.parametrize("file", ["training", "linear", "deit"])
def test_mocos_small_transformer_has_twelve_heads(file: str, tmp_path: Path) -> None:
    """As main_moco.py, main_lincls.py and convert_to_deit.py save it; the number is the official definition's."""
    state = mocos_vit_small()
    contents, options = checkpoints.moco_v3_vit(state, 384), []
    if file == "linear":
        linear = state | {"head.weight": torch.zeros(1000, 384), "head.bias": torch.zeros(1000)}
        contents, options = checkpoints.trained(checkpoints.wrapped(linear)), ["format=mocov3"]
    if file == "deit":
        contents, options = {"model": state}, ["format=mocov3"]
    plan = plan_of(tmp_path, contents, *options)
    assert (plan.entry.name, plan.config.augment.size) == ("mocov3", 32)
    assert (plan.config.backbone.name, plan.config.backbone.num_heads) == ("vit_small_patch16_224", 12)
    assert plan.config.data.mean == (0.485, 0.456, 0.406)
    assert len(plan.weights) + len(plan.accounted.left_out) == len(plan.contents.weights)
    wanted = dino_features(state, pictures(), heads=12)
    torch.testing.assert_close(features_of(plan, pictures()), wanted, rtol=0, atol=1e-5)
    assert (dino_features(state, pictures(), heads=6) - wanted).abs().max() > 1e-2


def test_mocos_run_is_the_network_that_its_export_builds(tmp_path: Path) -> None:
    state = mocos_vit_small()
    torch.save(checkpoints.moco_v3_vit(state, 384), tmp_path / "vit-s-300ep.pth.tar")
    run = import_checkpoint(
        [str(tmp_path / "vit-s-300ep.pth.tar"), f"run_dir={tmp_path / 'run'}"], silent=True
    )
    assert json.loads((run / "import.json").read_text())["num_heads"] == 12
    folder = export([f"run={run}", "format=timm"], silent=True)
    assert "num_heads=12" in (folder / "MODEL_CARD.md").read_text()
    wanted = dino_features(state, pictures(), heads=12)
    by_timm = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    for model in (load_backbone(run).model, load_backbone(folder).model, by_timm):
        with torch.inference_mode():
            torch.testing.assert_close(model(pictures()), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["timm", "dino"])
def test_mocos_positions_betray_it_in_other_formats(name: str, tmp_path: Path) -> None:
    """A linear or converted ViT-S has timm's names and shapes; its fixed position embedding is MoCo v3's alone."""
    state = mocos_vit_small()
    options = [f"format={name}", "backbone.name=vit_small_patch16_224"]
    with pytest.raises(
        UserError, match=r"is MoCo v3's.* have 12, .* 6; set format=mocov3, or backbone.num_heads=6"
    ):
        plan_of(tmp_path, {"model": {key: value.half() for key, value in state.items()}}, *options)
    plan = plan_of(tmp_path, {"model": state}, *options, "backbone.num_heads=6")
    wanted = dino_features(state, pictures(), heads=6)
    torch.testing.assert_close(features_of(plan, pictures()), wanted, rtol=0, atol=1e-5)
    assert plan_of(tmp_path, {"model": vit_state(384)}, *options).config.backbone.num_heads is None


def test_solo_learns_transformers_have_their_methods_heads(tmp_path: Path) -> None:
    """12 at any width in MoCo v3 and MAE, timm's in all others."""
    solo = {f"backbone.{name}": value for name, value in vit_state().items()}
    solo |= {"classifier.weight": torch.zeros(1), "projector.0.weight": torch.zeros(1)}
    for more, heads in (({}, None), ({"predictor.0.weight": 0}, 12), ({"decoder.mask_token": 0}, 12)):
        contents = {"state_dict": solo | {key: torch.zeros(1) for key in more}}
        plan = plan_of(tmp_path, contents)
        assert (plan.entry.name, plan.config.backbone.num_heads) == ("solo-learn", heads)
        wanted = dino_features(vit_state(), pictures(), heads=heads or 3)
        torch.testing.assert_close(features_of(plan, pictures()), wanted, rtol=0, atol=1e-5)


def test_any_model_of_timm_by_name(tmp_path: Path) -> None:
    model = timm.create_model("test_efficientnet").eval()
    plan = plan_of(tmp_path, model.state_dict(), "format=timm", "backbone.name=test_efficientnet")
    assert plan.accounted.left_out == {"classifier.weight": "classifier", "classifier.bias": "classifier"}
    assert plan.config.data.mean == tuple(model.pretrained_cfg["mean"])
    model.reset_classifier(0)
    with torch.inference_mode():
        wanted = model(pictures(64))
    torch.testing.assert_close(features_of(plan, pictures(64)), wanted, rtol=0, atol=1e-6)


def test_a_transformer_of_timm_is_named_or_has_its_mean(tmp_path: Path) -> None:
    state = {f"module._orig_mod.module.{name}": value for name, value in vit_state().items()}  # DDP, compiled
    state["module._orig_mod.module.head.weight"] = torch.zeros(10, 192)
    named = plan_of(tmp_path, state, "format=timm", "backbone.name=deit_tiny_patch16_224")
    assert named.config.data.mean == (0.485, 0.456, 0.406)
    given = plan_of(tmp_path, state, "format=timm", "data.mean=[0.1,0.1,0.1]", "data.std=[0.2,0.2,0.2]")
    assert (given.config.backbone.name, given.config.data.std) == ("vit_tiny_patch16_224", (0.2, 0.2, 0.2))


@pytest.mark.parametrize("size", [None, 64])
def test_the_size_of_a_model_without_class_token(size: int | None, tmp_path: Path) -> None:
    """A mixer's weights are for one size, its default or the one that is given."""
    with torch.device("meta"):
        model = timm.create_model("mixer_s32_224", img_size=size or 224, num_classes=0)
    weights = {name: torch.zeros(()).expand(value.shape) for name, value in model.state_dict().items()}
    torch.save(weights, tmp_path / "mixer.pth")
    options = ["format=timm", "backbone.name=mixer_s32_224", *([f"size={size}"] if size else [])]
    import_checkpoint([str(tmp_path / "mixer.pth"), f"run_dir={tmp_path / 'run'}", *options], silent=True)
    assert open_run(tmp_path / "run").config.augment.size == (size or 224)


def test_half_precision_and_old_files(resnet: nn.Module, tmp_path: Path) -> None:
    """Files of before torch 0.4.1 lack BN's counters; half precision is taken as it is."""
    half = {k: v.half() for k, v in resnet.state_dict().items() if not k.endswith("num_batches_tracked")}
    plan = plan_of(tmp_path, half, "format=torchvision")
    other = checkpoints.resnet18()
    other.load_state_dict({**other.state_dict(), **half})
    torch.testing.assert_close(features_of(plan, pictures()), expected(other, pictures()), rtol=0, atol=1e-6)


def test_the_run_that_is_written(resnet: nn.Module, tmp_path: Path) -> None:
    file = tmp_path / "swav.safetensors"
    save_file({name: value.clone() for name, value in checkpoints.swav(resnet).items()}, file)
    assert import_checkpoint([str(file), f"run_dir={tmp_path / 'run'}"], silent=True) == tmp_path / "run"
    run = open_run(tmp_path / "run")
    with torch.inference_mode():
        torch.testing.assert_close(
            run.backbone()(pictures()), expected(resnet, pictures()), rtol=0, atol=1e-6
        )
        assert not torch.allclose(run.backbone(trained=False)(pictures()), expected(resnet, pictures()))
    assert run.title == "swav (imported), swav.safetensors"
    assert (run.is_finished, run.is_last) == (True, True)
    assert run.result is not None
    assert run.result["verdict"] == "imported"
    assert "not trained here" in run.result["verdict_reason"]
    record = json.loads((tmp_path / "run" / "import.json").read_text())
    assert record["left_out"]["prototypes"] == ["prototypes.weight"]
    assert record["sha256"] == run.config.method.sha256
    assert record["preprocessing"]["std"] == [0.228, 0.224, 0.225]
