"""Sharpening: targets are a softmax at a temperature of its own, below the predictions'.

- [0] DINO, 2021, https://arxiv.org/abs/2104.14294 (Sec. 3.1). Code: https://github.com/facebookresearch/dino,
  main_dino.py, `DINOLoss`, whose warmup moves once per epoch
- [1] ReSSL, 2021, https://arxiv.org/abs/2107.09282 (Eq. 4)
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softmax

from ssl_zoo.config.schema import SharpeningConfig
from ssl_zoo.parts.schedule import Progress

__all__ = ["Sharpening"]


class Sharpening:
    """The softmax of the targets, at a temperature of its own that may warm up.

    Args:
        config: its temperature and warmup.
        temperature: of the predictions, for targets without one of their own.
    """

    def __init__(self, config: SharpeningConfig, temperature: float) -> None:
        self.config = config
        self.usual = temperature if config.temperature is None else config.temperature
        self.temperature = self.usual  # of this step, which follows from the progress

    def before_step(self, progress: Progress) -> None:
        """Sets the temperature of an optimizer step."""
        start, epochs = self.config.warmup_temperature, self.config.warmup_epochs
        epoch = progress.step // progress.steps_per_epoch
        self.temperature = self.usual
        if start is not None and epoch < epochs:
            self.temperature = start + (self.usual - start) * epoch / max(1, epochs - 1)

    def __call__(self, scores: Tensor) -> Tensor:
        """Maps scores (N, K) to distributions (N, K)."""
        return softmax(scores / self.temperature, dim=1)
