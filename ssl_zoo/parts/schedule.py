"""Training progress, and what a method schedules by it: the decay of the momentum encoder.

The decay is constant (MoCo), or rises to 1 along a cosine (BYOL).

- [0] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Eq. 2)
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733 (Sec. 3.3: 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2)
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ssl_zoo.config.schema import MomentumConfig

__all__ = ["Progress", "momentum_decay"]


class Progress(NamedTuple):
    """Position of the training, for the schedules inside a method."""

    step: int  # optimizer steps done
    total_steps: int
    steps_per_epoch: int


def momentum_decay(config: MomentumConfig, progress: Progress) -> float:
    """Returns the fraction of its weights that the momentum encoder keeps in this optimizer step."""
    if config.schedule == "constant":
        return config.decay
    return 1 - (1 - config.decay) * (math.cos(math.pi * progress.step / progress.total_steps) + 1) / 2
