"""AutoAugment: to each image one of a policy's 25 pairs of operations, each of the two with its own probability.

Policies and operations are torchvision's; only the draws are ours, so that they follow from the run's generator. As in
the official code [1] it stands after crop and flip, on pixels of 8 bits, and what an operation moves in from outside is
gray (128). So values are rounded to 256 levels, of the images that no operation changes too; where other parts of a
batch or another machine round a value differently before that, it may land on the next level.

- [0] AutoAugment, 2018, https://arxiv.org/abs/1805.09501
- [1] tensorflow/tpu, models/official/efficientnet/autoaugment.py
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.transforms.autoaugment import AutoAugment, AutoAugmentPolicy

from ssl_zoo.augment.pixels import constant, to_float

__all__ = ["AUTOAUGMENT_DRAWS", "AutoAugmentParameters", "AutoAugmentStep", "autoaugments_from"]

AUTOAUGMENT_DRAWS = (
    5  # uniform values per image: the pair, and of each operation whether it is on, and its sign
)
GRAY = 128

Applied = tuple[bool, bool]  # of the two operations


class AutoAugmentParameters(NamedTuple):
    """Parameters of AutoAugment, a row per image."""

    pair: Tensor  # (N,) int64, of the policy
    on: Tensor  # (N, 2) bool: which of the two operations are applied
    negative: Tensor  # (N, 2) bool: which of the applied have a negative magnitude, if theirs has a sign


def autoaugments_from(u: Tensor, name: str) -> AutoAugmentParameters:
    """Returns the parameters for u (AUTOAUGMENT_DRAWS, N), uniform in [0, 1).

    Args:
        u: the draws.
        name: of the policy, `imagenet` or `cifar10`.
    """
    pairs = _policy(name).policies
    pair = (len(pairs) * u[0]).to(torch.int64)
    probabilities = constant(tuple(operation[1] for each in pairs for operation in each), u.device)  # (50,)
    on = probabilities.view(-1, 2).index_select(0, pair) > u[1:3].T
    return AutoAugmentParameters(pair, on, on & (u[3:5].T < 0.5))


class AutoAugmentStep:
    """Applies AutoAugment, to images of equal parameters together.

    Which images those are is read once, for which a GPU waits.

    Args:
        name: of the policy.
        parameters: of all images.
    """

    def __init__(self, name: str, parameters: AutoAugmentParameters) -> None:
        self.policy = _policy(name)
        columns = (parameters.pair.tolist(), parameters.on.tolist(), parameters.negative.tolist())
        self.rows = [(pair, tuple(on), tuple(negative)) for pair, on, negative in zip(*columns, strict=True)]

    def __call__(self, images: Tensor, start: int = 0) -> Tensor:
        """Maps images (n, C, H, W) in [0, 1], from the `start`-th on, of 1 or 3 channels; overwrites nothing."""
        pixels = images.mul(255).round_().to(torch.uint8)
        alike: dict[tuple[int, Applied, Applied], list[int]] = {}
        for row, parameters in enumerate(self.rows[start : start + len(images)]):
            if any(parameters[1]):
                alike.setdefault(parameters, []).append(row)
        for (pair, on, negative), rows in alike.items():
            where = torch.tensor(rows, device=pixels.device)
            pixels[where] = self.policy.change(pixels[where], pair, on, negative)
        return to_float(pixels)


class _Policy(AutoAugment):  # type: ignore[misc]  # torchvision has no types
    """torchvision's, with parameters that are given instead of drawn."""

    def change(self, images: Tensor, pair: int, on: Sequence[bool], negative: Sequence[bool]) -> Tensor:
        """Applies one pair of operations to all of uint8 (n, C, H, W)."""
        never = 2.0  # torchvision applies an operation where its draw is at most its probability
        draws = torch.tensor([0.0 if each else never for each in on])
        self.given = pair, draws, torch.tensor([0 if each else 1 for each in negative])
        changed: Tensor = self(images)
        return changed

    def get_params(self, transform_num: int) -> tuple[int, Tensor, Tensor]:
        return self.given


@lru_cache
def _policy(name: str) -> _Policy:
    return _Policy(AutoAugmentPolicy(name), fill=GRAY)
