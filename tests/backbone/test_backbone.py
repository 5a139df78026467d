"""Backbones: any timm model, the small stem, initialisation, and clear refusals."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import timm
import torch
from torch import nn

from ssl_zoo.backbone import build_backbone, single_pixel_fraction
from ssl_zoo.backbone.pretrained import announce_download
from ssl_zoo.build import hardware_for
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.errors import UserError


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [
        ("test_resnet", 1, 32),
        ("resnet18", 3, 32),
        ("test_vit", 3, 64),
        ("mobilenetv3_small_050", 3, 32),
        ("test_efficientnet", 2, 64),
        ("vit_tiny_patch16_224.augreg_in21k", 3, 32),
    ],
)
def test_width_is_that_of_the_features(name: str, channels: int, size: int) -> None:
    backbone = build_backbone(BackboneConfig(name=name), channels, size)
    features = backbone.model.eval()(torch.randn(2, channels, size, size))
    assert features.shape == (2, backbone.num_features)
    assert backbone.model.training is False


def test_a_transformer_reads_the_small_crops_of_multi_crop() -> None:
    """As DINO's code does: its position embedding, of the large views' patches, is interpolated."""
    config = BackboneConfig(name="test_vit")
    fixed, mixed = build_backbone(config, 3, 64).model, build_backbone(config, 3, 64, [64, 32]).model
    mixed.load_state_dict(fixed.state_dict())
    large, small = torch.randn(2, 3, 64, 64), torch.randn(2, 3, 32, 32)
    assert torch.equal(mixed.eval()(large), fixed.eval()(large))
    assert mixed(small).shape == mixed(large).shape
    mixed(small).sum().backward()
    assert mixed.pos_embed.grad.any()
    with pytest.raises(
        UserError, match=r"cannot read 3 x 40 x 40 images: .*divisible by patch.*augment.views.NAME"
    ):
        build_backbone(config, 3, 64, [64, 40])
    with pytest.raises(UserError, match=r"timm cannot build backbone 'mixer_s32_224'.*views of one size"):
        build_backbone(BackboneConfig(name="mixer_s32_224"), 3, 64, [64, 32])


def test_small_stem_is_simclrs() -> None:
    model = build_backbone(BackboneConfig(name="resnet18", stem="small"), 3, 32).model.eval()
    maps = model.forward_features(torch.randn(1, 3, 32, 32))
    assert maps.shape[2:] == (4, 4)  # 32 / 8: neither the stem nor a max-pool has halved it
    assert isinstance(model.conv1, nn.Conv2d)
    assert (model.conv1.kernel_size, model.conv1.stride) == ((3, 3), (1, 1))
    standard = build_backbone(BackboneConfig(name="resnet18"), 3, 32).model.eval()
    assert standard.forward_features(torch.randn(1, 3, 32, 32)).shape[2:] == (1, 1)


def test_fraction_of_convolutions_that_see_single_pixels() -> None:
    model = build_backbone(BackboneConfig(name="resnet18"), 3, 32).model.train()
    frozen = [module.eval() for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    # 1 of the stem, and two blocks of two in each of four stages, at sides of 32, then 8, 4, 2, 1. The first of each
    # of the last three stages gets the map of the stage before. The 1 x 1 convolutions of the shortcuts don't count.
    for size, single in ((32, 3), (16, 7), (64, 0), (1, 17)):
        assert single_pixel_fraction(model, 3, size) == single / 17
    assert model.training
    assert not any(module.training for module in frozen), "each module keeps its mode"
    assert single_pixel_fraction(nn.Linear(2, 2), 3, 2) is None


@pytest.mark.parametrize("zero", [True, False])
@pytest.mark.parametrize(("name", "last"), [("resnet18", "bn2"), ("resnet50", "bn3")])
def test_zero_init_makes_residual_branches_silent(name: str, last: str, zero: bool) -> None:
    model = build_backbone(BackboneConfig(name=name, zero_init_last=zero), 3, 32).model
    weights = [getattr(block, last).weight for block in model.modules() if hasattr(block, "zero_init_last")]
    assert len(weights) == {"resnet18": 8, "resnet50": 16}[name]
    assert all(bool((weight == (0 if zero else 1)).all()) for weight in weights)


@pytest.mark.parametrize(
    ("config", "size", "message"),
    [
        (BackboneConfig(name="resnet1"), 32, "unknown backbone 'resnet1'; timm has .* did you mean"),
        (BackboneConfig(name="test_vit", stem="small"), 160, "has no such stem.*stem=standard"),
        (BackboneConfig(name="test_convnext", stem="small"), 32, "has no such stem"),
        (BackboneConfig(name="vgg11"), 4, "cannot read 3 x 4 x 4 images.*another size"),
    ],
)
def test_refusals(config: BackboneConfig, size: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_backbone(config, 3, size)


def test_pretrained_without_network_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before timm tries, and tries again."""

    def offline(*args: object, **kwargs: object) -> None:
        raise ConnectionError("Name or service not known")

    monkeypatch.setattr("ssl_zoo.backbone.pretrained.try_to_load_from_cache", lambda *args, **kwargs: None)
    monkeypatch.setattr("ssl_zoo.backbone.pretrained.get_session", lambda: SimpleNamespace(head=offline))
    monkeypatch.setattr(timm, "create_model", None)
    with pytest.raises(
        UserError, match=r"resnet18.* cannot be reached \(Name or .*backbone.pretrained=false"
    ):
        build_backbone(BackboneConfig(name="resnet18", pretrained=True), 3, 32)
    assert capsys.readouterr().err.startswith("fetching the pretrained weights of 'resnet18': timm/resnet18")


def test_weights_on_this_machine_need_no_network(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("ssl_zoo.backbone.pretrained.try_to_load_from_cache", lambda *args, **kwargs: "there")
    monkeypatch.setattr("ssl_zoo.backbone.pretrained.get_session", None)
    announce_download("resnet18")
    assert capsys.readouterr().err == ""


def test_weights_that_cannot_be_fetched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr("ssl_zoo.backbone.build.announce_download", lambda name: None)
    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=r"pretrained=True.*no network.*check the network"):
        build_backbone(BackboneConfig(name="resnet18", pretrained=True), 3, 32)


def test_strides_over_single_pixels_are_seen_and_avoid_bf16_on_a_cpu() -> None:
    small = build_backbone(BackboneConfig(name="resnet10t"), 1, 16)
    assert small.strides_single_pixels
    assert not build_backbone(BackboneConfig(name="resnet10t", stem="small"), 1, 16).strides_single_pixels
    config = compose(["trainer.accelerator=cpu"])
    assert hardware_for(config, strides_single_pixels=True).precision == "fp32"
    with pytest.raises(UserError, match="strides over single pixels"):
        hardware_for(compose(["trainer.accelerator=cpu", "precision=bf16"]), strides_single_pixels=True)
