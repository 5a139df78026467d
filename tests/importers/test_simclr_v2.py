"""SimCLR v2's weights as SimCLRv2-Pytorch converts them: its network, written down, gives the features."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from ssl_zoo.importers.plan import plan_import
from ssl_zoo.importers.schema import read_import


def norm(channels: int, last: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(channels, eps=1e-5), last)


def conv(into: int, out: int, kernel: int = 1, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(into, out, kernel, stride, (kernel - 1) // 2, bias=False)


class Projection(nn.Module):
    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.shortcut, self.bn = conv(into, out, 1, stride), norm(out, nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.bn(self.shortcut(x))
        return found


class Bottleneck(nn.Module):
    def __init__(self, into: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.projection = Projection(into, 4 * width, stride) if first else nn.Identity()
        self.net = nn.Sequential(
            conv(into, width), norm(width, nn.ReLU()),
            conv(width, width, 3, stride), norm(width, nn.ReLU()),
            conv(width, 4 * width), norm(4 * width, nn.Identity()),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.projection(x) + self.net(x))


class Blocks(nn.Module):
    def __init__(self, count: int, into: int, width: int, stride: int) -> None:
        super().__init__()
        rest = [Bottleneck(4 * width, width, 1, False) for _ in range(count - 1)]
        self.blocks = nn.ModuleList([Bottleneck(into, width, stride, True), *rest])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x


class SimCLRv2(nn.Module):
    """Its ResNet-50 of width 1 without selective kernels."""

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(conv(3, 64, 7, 2), norm(64, nn.ReLU()), nn.MaxPool2d(3, 2, 1))
        stages = [
            Blocks(3, 64, 64, 1),
            Blocks(4, 256, 128, 2),
            Blocks(6, 512, 256, 2),
            Blocks(3, 1024, 512, 2),
        ]
        self.net, self.fc = nn.Sequential(stem, *stages), nn.Linear(2048, 10)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x).mean(dim=[2, 3])
        return features


def test_simclr_v2(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = SimCLRv2().eval()
    head = {"layers.0.weight": torch.zeros(8, 8), "layers.1.running_var": torch.ones(8)}
    torch.save({"resnet": model.state_dict(), "head": head}, tmp_path / "r50_1x_sk0.pth")
    plan = plan_import(*read_import([f"file={tmp_path / 'r50_1x_sk0.pth'}", f"run_dir={tmp_path / 'run'}"]))
    assert (plan.entry.name, plan.config.backbone.name) == ("simclrv2", "resnet50")
    assert (plan.config.data.mean, plan.config.data.std) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert set(plan.accounted.left_out.values()) == {"classifier", "projector"}
    with torch.device("meta"):
        timms = timm.create_model("resnet50", num_classes=0)
    timms.load_state_dict(plan.weights, strict=True, assign=True)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        torch.testing.assert_close(timms.eval()(x), model(x), rtol=1e-5, atol=1e-6)
