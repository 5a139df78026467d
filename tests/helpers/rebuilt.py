"""Detectron2's ResNet and its way of finding weights, written anew from their rules for the tests.

A convolution holds its norm as a child; the stem is `stem.conv1`; blocks are `resN.i` with `conv1..3` and, where the
width changes, `shortcut`. A weight of a checkpoint is that of the model whose name ends with it.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class Conv(nn.Conv2d):
    def __init__(self, a: int, b: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(a, b, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(b)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(super().forward(x))


class Block(nn.Module):
    def __init__(self, a: int, b: int, inner: int, stride: int, groups: int, basic: bool) -> None:
        super().__init__()
        self.shortcut = Conv(a, b, 1, stride) if a != b else None
        if basic:
            self.conv1, self.conv2 = Conv(a, b, 3, stride), Conv(b, b, 3)
        else:
            self.conv1, self.conv2 = Conv(a, inner, 1), Conv(inner, inner, 3, stride, groups)
            self.conv3 = Conv(inner, b, 1)
        self.basic = basic

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(F.relu(self.conv1(x)))
        if not self.basic:
            out = self.conv3(F.relu(out))
        return F.relu(out + (x if self.shortcut is None else self.shortcut(x)))


class Stem(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = Conv(3, 64, 7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.relu(self.conv1(x)), 3, 2, 1)


def build(settings: dict[str, Any]) -> nn.Module:
    """The network that a YAML's MODEL block asks for, its res5 in the head where the backbone ends with res4."""
    net = settings["RESNETS"]
    depth, width = net["DEPTH"], net["RES2_OUT_CHANNELS"]
    inner, before = net["NUM_GROUPS"] * net["WIDTH_PER_GROUP"], 64
    stages = {}
    for number, count in enumerate(BLOCKS[depth]):
        blocks = []
        for position in range(count):
            stride = 2 if number and not position else 1
            blocks.append(Block(before, width, inner, stride, net["NUM_GROUPS"], depth < 50))
            before = width
        stages[f"res{number + 2}"] = nn.Sequential(*blocks)
        width, inner = 2 * width, 2 * inner
    c4 = net["OUT_FEATURES"] == ["res4"]
    last = {"res5": stages.pop("res5")} if c4 else {}
    backbone = nn.ModuleDict({"stem": Stem(), **stages})
    if not c4:
        backbone = nn.ModuleDict({"bottom_up": backbone})
    return nn.ModuleDict({"backbone": backbone, "roi_heads": nn.ModuleDict(last)})


def pooled(model: nn.Module, images: Tensor) -> Tensor:
    """(N, 3, H, W) -> (N, F)."""
    parts = {name.rpartition(".")[2]: part for name, part in model.named_modules() if name.count(".") <= 2}
    x = parts["stem"](images)
    for name in ("res2", "res3", "res4", "res5"):
        x = parts[name](x)
    return x.mean((2, 3))


def find(model_names: list[str], saved: list[str]) -> dict[str, str]:
    """The saved name of each of the model's: the longest that is a whole suffix of it."""
    found = {}
    for name in model_names:
        fitting = [one for one in saved if name == one or name.endswith("." + one)]
        if fitting:
            found[name] = max(fitting, key=len)
    return found
