"""A state dict for `torchvision.models.resnetXX`.

- [0] torchvision, https://github.com/pytorch/vision
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from ssl_zoo.exporters.card_snippets import stem_lines, tensor_shapes
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
from ssl_zoo.exporters.schema import ExportConfig
from ssl_zoo.exporters.torchvision_resnet import as_torchvision

__all__ = ["write"]

FILE = "model.pth"


def write(encoder: ExportedEncoder, folder: Path, config: ExportConfig) -> ExportedFiles:
    """Writes a state dict for `torchvision.models.resnetXX`.

    Raises:
        UserError: torchvision has no such model.
    """
    model = as_torchvision(encoder, "torchvision")
    with (folder / FILE).open("wb") as file:  # by its name torch would not say that a disk is full
        torch.save({name: weight.clone() for name, weight in model.state_dict().items()}, file)
    lines = stem_lines(encoder)
    first = encoder.model.conv1
    assert isinstance(first, nn.Conv2d)
    if not lines and encoder.channels != 3:
        lines = [
            f"model.conv1 = nn.Conv2d({first.in_channels}, {first.out_channels}, kernel_size=7, stride=2, padding=3, "
            "bias=False)"
        ]
    code = [
        "import torch",
        "import torchvision",
        "from torch import nn",
        "",
        f"model = torchvision.models.{encoder.architecture}(weights=None)",
        "model.fc = nn.Identity()",
        *lines,
        f'model.load_state_dict(torch.load("{FILE}", weights_only=True), strict=True)',
        f"model.eval()  # {tensor_shapes(encoder)}",
    ]
    return ExportedFiles(files={FILE: "the state dict, by torchvision's names"}, code="\n".join(code))
