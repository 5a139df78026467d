"""Whether a timm ResNet is torchvision's: the same names, the same shapes, the same features."""

from __future__ import annotations

import timm
import torch
from torch import nn
from torchvision import models

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.encoder import ExportedEncoder

__all__ = ["as_torchvision", "torchvision_names"]


def torchvision_names() -> list[str]:
    """The residual networks that both libraries build under one name."""
    ours = models.resnet.__name__
    names = [
        name
        for name in models.list_models(module=models)
        if models.get_model_builder(name).__module__ == ours
    ]
    names = [name for name in names if timm.is_model(name)]
    return sorted(names, key=lambda name: (not name.startswith("resnet"), len(name), name))


def as_torchvision(encoder: ExportedEncoder, asked: str) -> nn.Module:
    """Torchvision's model with the encoder's weights, its classifier replaced by the identity.

    The two are compared, name by name, shape by shape and feature by feature: that they are called the same proves
    nothing.

    Args:
        encoder: a ResNet; its stem may be small, and its images gray.
        asked: the format, for the message.

    Raises:
        UserError: torchvision has no such model.
    """
    name, state = encoder.architecture, encoder.state
    known = torchvision_names()
    if name not in known:
        raise _refused(asked, name, "torchvision has no model of this name among its ResNets", known)
    model = models.get_model(name, weights=None)
    assert isinstance(model, models.ResNet)
    model.fc = nn.Identity()
    width = model.conv1.out_channels
    if encoder.small_stem:
        model.conv1 = nn.Conv2d(encoder.channels, width, kernel_size=3, padding=1, bias=False)
        model.maxpool = nn.Identity()
    elif encoder.channels != 3:
        model.conv1 = nn.Conv2d(encoder.channels, width, kernel_size=7, stride=2, padding=3, bias=False)
    wanted = {key: weight.shape for key, weight in model.state_dict().items()}
    if wanted != {key: weight.shape for key, weight in state.items()}:
        raise _refused(asked, name, "its weights differ from torchvision's in names or shapes", known)
    model.load_state_dict(state, strict=True)
    images = encoder.probe()
    with torch.inference_mode():
        features = model.eval()(images)
    if not torch.allclose(features, encoder.features(images), rtol=1e-3, atol=1e-4):
        raise _refused(asked, name, "torchvision computes other features from the same weights", known)
    built: nn.Module = model
    return built


def _refused(asked: str, name: str, reason: str, known: list[str]) -> UserError:
    return UserError(
        f"format={asked} holds the ResNets of torchvision: {', '.join(known)}; received backbone '{name}' ({reason}); "
        "use format=timm, safetensors or onnx"
    )
