"""Blocks computed once more in the backward pass: the same losses, gradients and buffers, in less memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from helpers.runs import overrides
from timm.layers.drop import DropPath
from torch import Tensor

import ssl_zoo
from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.checkpoints import read_checkpoint
from ssl_zoo.training.blocks import blocks_of, recompute_blocks
from ssl_zoo.training.footprint import footprint

VIT = ("backbone.name=test_vit", "backbone.stem=standard", "augment.size=16")


@pytest.mark.parametrize(
    ("name", "number", "first"),
    [
        ("vit_large_patch16_224", 24, "blocks.0"),
        ("resnet50", 16, "layer1.0"),
        ("convnext_atto", 12, "stages.0.blocks.0"),
        ("swin_tiny_patch4_window7_224", 12, "layers.0.blocks.0"),
        ("regnetx_002", 13, "s1.b1"),
    ],
)
def test_blocks_of_a_model(name: str, number: int, first: str) -> None:
    with torch.device("meta"):
        model = timm.create_model(name, num_classes=0)
    blocks = blocks_of(model)
    assert len(blocks) == len(set(map(id, blocks))) == number
    assert blocks[0] is model.get_submodule(first)
    assert all(
        other not in set(block.modules()) for block in blocks for other in blocks if other is not block
    )


def steps(
    method: str, *more: str, recompute: bool
) -> tuple[list[Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Losses, gradients and state after two passes whose gradients are added up."""
    built, _ = build(compose(overrides(method, *more)), 1)
    built.allocate(20)
    if recompute:
        recompute_blocks(built, "test")
    size = 16 if VIT[0] in more else 8
    losses = []
    for step in range(2):
        torch.manual_seed(step)
        views = [torch.rand(6, 1, size, size) for _ in range(2)]
        loss = built.loss(views, torch.arange(6)).loss
        loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    gradients = {name: p.grad for name, p in built.named_parameters() if p.grad is not None}
    return losses, gradients, built.state_dict()


@pytest.mark.parametrize("more", [(), VIT], ids=["batch normalisation", "transformer"])
@pytest.mark.parametrize("method", ["simsiam", "moco"])
def test_all_is_equal_to_the_bit(method: str, more: tuple[str, ...]) -> None:
    """Running statistics and their counts too, which a second pass would move once more."""
    for plain, again in zip(
        steps(method, *more, recompute=False), steps(method, *more, recompute=True), strict=True
    ):
        if isinstance(plain, dict):
            assert isinstance(again, dict)
            assert plain.keys() == again.keys()
            for name in plain:
                assert torch.equal(plain[name], again[name]), name
        else:
            assert all(map(torch.equal, plain, again))


def test_two_backward_passes_through_one_graph() -> None:
    def gradient_and_state(recompute: bool) -> list[Tensor]:
        built, _ = build(compose(overrides("simsiam")), 1)
        if recompute:
            recompute_blocks(built, "test")
        torch.manual_seed(0)
        loss = built.loss([torch.rand(6, 1, 8, 8) for _ in range(2)], torch.arange(6)).loss
        loss.backward(retain_graph=True)  # type: ignore[no-untyped-call]
        loss.backward()  # type: ignore[no-untyped-call]
        return [*(p.grad for p in built.parameters() if p.grad is not None), *built.state_dict().values()]

    for plain, again in zip(gradient_and_state(False), gradient_and_state(True), strict=True):
        assert torch.equal(plain, again)


def test_dropped_paths_are_the_same_in_both_passes() -> None:
    def gradient(recompute: bool) -> Tensor:
        built, _ = build(compose(overrides("simsiam", *VIT)), 1)
        for block in blocks_of(built.encoder.backbone):
            block.drop_path1 = DropPath(0.5)
        if recompute:
            recompute_blocks(built, "test")
        torch.manual_seed(0)
        built.loss([torch.rand(6, 1, 16, 16) for _ in range(2)], torch.arange(6)).loss.backward()  # type: ignore[no-untyped-call]
        return torch.cat([p.grad.flatten() for p in built.parameters() if p.grad is not None])

    assert torch.equal(gradient(False), gradient(True))


def test_a_run_is_the_same_and_takes_less(tmp_path: Path) -> None:
    run = [*overrides("byol", "epochs=1", "monitor.baselines=false")]
    key = "trainer.activation_checkpointing=true"
    results = [
        ssl_zoo.train([*run, *more, f"run_dir={tmp_path / name}"], silent=True)
        for name, more in (("plain", ()), ("again", (key,)))
    ]
    assert results[0].loss == results[1].loss
    assert results[0].config_hash == results[1].config_hash
    plain, again = (
        read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"]
        for name in ("plain", "again")
    )
    assert plain.keys() == again.keys()
    assert all(torch.equal(plain[name], again[name]) for name in plain)

    large = [*run, "backbone.name=vit_tiny_patch16_224", "backbone.stem=standard", "augment.size=32"]
    step, less = (
        footprint(config, load_data(config.data)).step for config in (compose(large), compose([*large, key]))
    )
    assert less < step


def test_what_has_no_blocks_is_refused(tmp_path: Path) -> None:
    key = "trainer.activation_checkpointing=true"
    built, _ = build(compose(overrides("simsiam")), 1)
    built.encoder.backbone = torch.nn.Flatten()
    with pytest.raises(UserError, match="timm names no blocks of 'inception_v3'"):
        recompute_blocks(built, "inception_v3")
    with pytest.raises(UserError, match="compile=true contradicts"):
        compose(overrides("simsiam", key, "compile=true"))
