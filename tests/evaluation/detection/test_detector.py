"""The detector: every weight of the backbone in it, the right ones trained, the heads of C4 as torchvision's."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from helpers.detection_data import CPU, MEAN, STD, backbone, config_of, write_coco
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.ops import roi_align

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.coco import read_coco
from ssl_zoo.evaluation.detection.detector import Detector, build_detector
from ssl_zoo.evaluation.detection.images import Collection
from ssl_zoo.evaluation.detection.predict import find_objects
from ssl_zoo.evaluation.detection.res5 import Res5, Res5Heads
from ssl_zoo.evaluation.detection.stages import find_stages, modules_by_stage, usable_stages
from ssl_zoo.evaluation.detection.train import rate, train_detector

pytestmark = pytest.mark.slow


def build(model: nn.Module, **changes: Any) -> Detector:
    torch.manual_seed(1)
    return build_detector(model, "a test's", 3, MEAN, STD, config_of(**changes), None)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    pytest.importorskip("pycocotools")
    folder = write_coco(tmp_path_factory.mktemp("coco"), {"train": range(6)})
    return read_coco(str(folder / "images"), str(folder / "train.json"), masks=True)


@pytest.mark.parametrize("neck", ["fpn", "c4"])
@pytest.mark.parametrize("name", ["test_resnet", "resnet18"])
def test_every_weight_of_the_backbone_is_in_the_detector(neck: str, name: str) -> None:
    model = backbone(name)
    held = build(model, neck=neck).model.state_dict()
    for key, weight in model.state_dict().items():
        last = neck == "c4" and key.startswith("layer4.")
        place = f"roi_heads.box_head.stage.{key[7:]}" if last else f"backbone.body.{key}"
        assert torch.equal(held[place], weight), key


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_maps_are_those_of_timm(name: str) -> None:
    model = backbone(name)
    reference = timm.create_model(name, features_only=True).eval()
    names = {
        key.replace(".", "_", 1) if name == "test_convnext" else key: w
        for key, w in model.state_dict().items()
    }
    loaded = reference.load_state_dict(names, strict=False)
    assert not loaded.missing_keys
    images = torch.randn(2, 3, 96, 64)
    maps = build(model).model.backbone
    maps.fpn = None
    with torch.no_grad():
        for ours, theirs in zip(maps.eval()(images).values(), reference(images)[-4:], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_strides_are_seen_not_believed() -> None:
    model = backbone("resnet18")
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)  # the small stem
    model.maxpool = nn.Identity()
    assert [stage.stride for stage in find_stages(model, "x")] == [1, 1, 2, 4, 8]
    assert [stage.module for stage in usable_stages(find_stages(model, "x"))] == [
        f"layer{i}" for i in range(1, 5)
    ]
    detector = build(model)
    assert detector.strides == (1, 2, 4, 8, 16)
    assert detector.model.rpn.anchor_generator.sizes == ((8,), (16,), (32,), (64,), (128,))
    assert build(backbone("resnet18")).model.rpn.anchor_generator.sizes == (
        (32,),
        (64,),
        (128,),
        (256,),
        (512,),
    )


def test_every_module_with_weights_has_one_stage() -> None:
    model = backbone("test_resnet")
    groups = modules_by_stage(model, find_stages(model, "x"))
    names = {module: name for name, module in model.named_modules()}
    heads = [{names[module].partition(".")[0] for module in group} for group in groups]
    assert heads == [{"conv1", "bn1"}, {"layer1"}, {"layer2"}, {"layer3"}, {"layer4"}, set()]
    assert sum(map(len, groups)) == sum(bool(list(m.parameters(recurse=False))) for m in model.modules())


@pytest.mark.parametrize("name", ["test_vit", "mixer_s16_224"])
def test_models_without_maps_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"any size and gives feature maps .*resnet50$") as caught:
        find_stages(backbone(name), name)
    assert "\n" not in str(caught.value)
    model = backbone("test_resnet")
    del model.feature_info
    with pytest.raises(UserError, match="timm lists none for 'x'"):
        find_stages(model, "x")


def test_what_a_backbone_cannot_carry_is_refused() -> None:
    with pytest.raises(UserError, match=r"is no ResNet; set detection\.neck=fpn"):
        build(backbone("test_convnext"), neck="c4")
    with pytest.raises(UserError, match=r"set detection\.frozen_stages=4 or lower"):
        build(backbone("test_convnext"), frozen_stages=5)
    with pytest.raises(UserError, match=r"one image of 32 pixels has one on the map of stride 32"):
        build(backbone("test_resnet"), batch_size=1, train_sizes=(64, 32))


@pytest.mark.parametrize(("neck", "freeze"), [("fpn", 0), ("fpn", 2), ("c4", 3), ("fpn", 5), ("c4", 5)])
def test_what_is_frozen_stays_and_the_rest_changes(images: Collection, neck: str, freeze: int) -> None:
    model = backbone("test_resnet")
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):  # a branch that starts at 0 would have gradients of 0
            nn.init.ones_(module.weight)
    before = copy.deepcopy(model.state_dict())
    changes = {
        "neck": neck,
        "frozen_stages": freeze,
        "iterations": 3,
        "batch_size": 2,
        "warmup_iterations": 0,
        "regions_per_image": 8,
    }
    changes |= {"masks": neck == "c4", "min_size": 64}
    detector = build(model, **changes)
    config = config_of(**changes)
    train_detector(detector, images, config, 0, CPU)
    after = detector.model.state_dict()
    stages = (("conv1", "bn1"), ("layer1",), ("layer2",), ("layer3",), ("layer4",))
    kept = tuple(f"{name}." for stage in stages[:freeze] for name in stage)
    for key, weight in before.items():
        last = neck == "c4" and key.startswith("layer4.")
        now = after[f"roi_heads.box_head.stage.{key[7:]}" if last else f"backbone.body.{key}"]
        assert torch.equal(now, weight) == key.startswith(kept), key
        assert torch.equal(model.state_dict()[key], weight), "the encoder itself was trained"


def test_rate_by_hand() -> None:
    config = config_of(
        iterations=24000, batch_size=8, lr=0.02, warmup_iterations=100, milestones=(0.75, 0.9167)
    )
    expected = {0: 1e-5, 50: 0.01 * 0.5005, 100: 0.01, 17999: 0.01, 18000: 1e-3, 22000: 1e-3, 22001: 1e-4}
    assert {i: rate(config, i) for i in expected} == pytest.approx(expected)


def test_norms_have_no_weight_decay(images: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = build(backbone("test_resnet"), iterations=1)
    groups: list[dict[str, Any]] = []
    monkeypatch.setattr(torch.optim, "SGD", lambda given, **_: groups.extend(given) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        train_detector(detector, images, config_of(iterations=1, weight_decay=0.3), 0, CPU)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == len(list(detector.model.parameters()))
    for name, parameter in detector.model.named_parameters():
        norm = any(part in name for part in (".bn", "downsample.1", "conv1.1.", "conv1.4.", "downsample.2"))
        assert decay[id(parameter)] == (0.0 if norm and parameter.ndim == 1 else 0.3), name


def c4_heads(masks: bool) -> tuple[Res5Heads, RoIHeads]:
    """Ours, and torchvision's with the same modules, where boxes and masks each compute the stage by themselves."""
    torch.manual_seed(0)
    stage = nn.Sequential(nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.ReLU())
    ours = Res5Heads(Res5(stage, 10, None), 10, 4, 16, masks, regions=12)
    ours.box_head.norm.running_mean.normal_()

    class Pool(nn.Module):
        def forward(
            self, maps: dict[str, torch.Tensor], boxes: list[torch.Tensor], shapes: object
        ) -> torch.Tensor:
            return roi_align(maps["0"], boxes, 14, 1 / 16, 0, aligned=True)

    head = nn.Sequential(ours.box_head, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with_masks = (Pool(), ours.box_head, ours.mask_predictor) if masks else (None, None, None)
    theirs = RoIHeads(Pool(), head, ours.box_predictor, 0.5, 0.5, 12, 0.25, None, 0.05, 0.5, 100, *with_masks)
    return ours, theirs


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_heads_of_c4_are_those_of_torchvision(masks: bool, training: bool) -> None:
    ours, theirs = c4_heads(masks)
    maps = {"0": torch.randn(2, 6, 8, 8)}
    corner = torch.rand(2, 20, 2) * 80
    proposals = torch.cat([corner, corner + 8 + torch.rand(2, 20, 2) * 40], dim=2)
    targets = [
        {
            "boxes": proposals[i, :3] + 1,
            "labels": torch.tensor([1, 2, 3]),
            "masks": (torch.rand(3, 128, 128) < 0.5).byte(),
        }
        for i in range(2)
    ]
    outputs = []
    for heads in (ours, theirs):
        heads.train(training)
        ours.box_head.eval()  # else torchvision's second pass would have another mean in its BN
        torch.manual_seed(3)
        outputs.append(heads(maps, list(proposals), [(128, 128)] * 2, targets if training else None))
    (found, losses), (their_found, their_losses) = outputs
    assert losses.keys() == their_losses.keys()
    assert len(losses) == (2 + masks if training else 0)
    torch.testing.assert_close(losses, their_losses)
    torch.testing.assert_close(found, their_found)
    assert training or (len(found[0]["boxes"]) > 3 and ("masks" in found[0]) == masks)


def test_boxes_are_computed_in_float32() -> None:
    torch.manual_seed(1)
    config = config_of(neck="fpn")
    model = build_detector(backbone(), "x", 3, MEAN, STD, config, torch.bfloat16).model.eval()
    seen: list[torch.dtype] = []
    model.rpn.register_forward_hook(lambda module, inputs, output: seen.append(output[0][0].dtype))
    model.backbone.body.layer1.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.no_grad():
        model([torch.rand(3, 64, 96)])
    assert seen == [torch.bfloat16, torch.float32]


def test_images_are_normalised_and_resized_as_the_settings_say(images: Collection) -> None:
    changes = {"min_size": 128, "max_size": 400, "train_sizes": (64, 96), "iterations": 8}
    changes |= {"batch_size": 1, "regions_per_image": 4}
    detector = build(backbone("test_resnet"), **changes)
    seen: list[torch.Tensor] = []
    detector.model.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    train_detector(detector, images, config_of(**changes), 0, CPU)
    assert {min(x.shape[2:]) for x in seen} == {64, 96}
    seen.clear()
    find_objects(detector.model, images, config_of(**changes), CPU.device)
    for x, image in zip(seen, images.images, strict=True):
        pixels = torch.from_numpy(np.array(Image.open(image.path))).permute(2, 0, 1)[None] / 255
        pixels = (pixels - torch.tensor(MEAN).view(-1, 1, 1)) / torch.tensor(STD).view(-1, 1, 1)
        scale = 128 / min(pixels.shape[2:])
        pixels = F.interpolate(pixels, scale_factor=scale, mode="bilinear", recompute_scale_factor=True)
        torch.testing.assert_close(x[:, :, : pixels.shape[2], : pixels.shape[3]], pixels, atol=1e-4, rtol=0)


def test_a_loss_that_diverges_is_said(images: Collection, tmp_path: Path) -> None:
    detector = build(backbone("test_resnet"))
    nn.init.constant_(detector.model.roi_heads.box_predictor.cls_score.bias, float("nan"))
    with pytest.raises(UserError, match=r"at iteration 1 of 3 it is nan; lower detection\.lr"):
        train_detector(detector, images, config_of(iterations=3, batch_size=1), 0, CPU)
