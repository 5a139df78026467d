"""How a run's method is built: a transformer's patch embedding that is never trained."""

from __future__ import annotations

import pytest
import torch

import ssl_zoo
from ssl_zoo.equation import Siamese
from ssl_zoo.errors import UserError

FROZEN = (
    "method=mocov3",
    "data=cifar10",
    "recipe=null",
    "backbone.freeze_patch_embedding=true",
    "augment.size=32",
)


def test_a_frozen_patch_embedding_stays_and_all_else_moves() -> None:
    small = [
        "method.projector.hidden_dim=16",
        "method.projector.output_dim=8",
        "method.predictor.hidden_dim=16",
    ]
    method = ssl_zoo.build_method([*FROZEN, *small, "backbone.name=test_vit", "backbone.stem=standard"])
    assert isinstance(method, Siamese)
    before = {name: value.clone() for name, value in method.encoder.backbone.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], lr=1.0)
    method.loss([torch.randn(4, 3, 32, 32) for _ in range(2)], torch.arange(4)).loss.backward()
    optimizer.step()
    after = method.encoder.backbone.state_dict()
    still = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert still == {"patch_embed.proj.weight", "patch_embed.proj.bias"}


def test_a_backbone_without_patches_is_refused() -> None:
    with pytest.raises(UserError, match=r"'resnet18' has none; set .*false or choose a ViT"):
        ssl_zoo.build_method([*FROZEN, "backbone.name=resnet18", "backbone.stem=small"])
