"""The number of attention heads of a transformer: another network with weights of the same shapes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ssl_zoo.backbone import build_backbone, heads_of
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash
from ssl_zoo.config.schema import BackboneConfig
from ssl_zoo.errors import UserError


def features_by_torch(model: nn.Module, images: Tensor, heads: int) -> Tensor:
    """The features of a timm ViT, its attention computed by torch's own nn.MultiheadAttention."""
    blocks = model.get_submodule("blocks")
    for block in blocks.children():
        theirs = block.attn
        width = theirs.proj.in_features
        ours = nn.MultiheadAttention(width, heads, batch_first=True)
        for name, weight in (
            ("in_proj_weight", theirs.qkv.weight),
            ("in_proj_bias", theirs.qkv.bias),
            ("out_proj", theirs.proj),
        ):
            setattr(ours, name, weight)
        block.attn = _SelfAttention(ours)
    return model(images)  # type: ignore[no-any-return]


class _SelfAttention(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, x: Tensor, **others: object) -> Tensor:
        attended: Tensor = self.attention(x, x, x)[0]
        return attended


def test_heads_are_those_of_the_configuration() -> None:
    """Against torch's attention of as many heads, with the same weights; test_vit itself has 2."""
    model = build_backbone(BackboneConfig(name="test_vit", num_heads=8), 3, 32).model.eval()
    plain = build_backbone(BackboneConfig(name="test_vit"), 3, 32).model.eval()
    plain.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, others = model(images), plain(images)
        wanted = features_by_torch(model, images, 8)
    torch.testing.assert_close(features, wanted, rtol=0, atol=1e-5)
    assert (features - others).abs().max() > 1e-2


def test_small_crops_of_multi_crop_with_other_heads() -> None:
    model = build_backbone(BackboneConfig(name="test_vit", num_heads=4), 3, 64, [32]).model
    assert heads_of(model) == {4}
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 64)


@pytest.mark.parametrize(
    ("name", "num_heads", "message"),
    [
        ("vit_small_patch16_224", 5, r"divide the width .*num_heads=5 .*is 384 wide; set .*num_heads=(4|6)$"),
        ("resnet18", 12, r"num_heads=12 is .*a plain transformer; 'resnet18' has none; leave it out, or choose a ViT"),
        ("swin_tiny_patch4_window7_224", 12, r"has 3, 6, 12, 24 in its stages; leave it out"),
    ],
)  # fmt: skip
def test_refusals(name: str, num_heads: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_backbone(BackboneConfig(name=name, num_heads=num_heads), 3, 224)


def test_pretrained_weights_have_their_own_heads() -> None:
    with pytest.raises(
        UserError, match=r"pretrained=true .*own attention heads; .*num_heads=12 as well; leave"
    ):
        compose(["backbone.name=vit_small_patch16_224", "backbone.pretrained=true", "backbone.num_heads=12"])


def test_the_hash_knows_heads_and_nothing_of_their_absence() -> None:
    plain, null = (
        compose(["backbone.name=test_vit"]),
        compose(["backbone.name=test_vit", "backbone.num_heads=null"]),
    )
    other = compose(["backbone.name=test_vit", "backbone.num_heads=4"])
    assert config_hash(plain) == config_hash(null) != config_hash(other)
