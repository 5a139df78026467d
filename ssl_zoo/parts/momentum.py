"""The decay of the momentum encoder: constant (MoCo), or rising to 1 along a cosine (BYOL).

- [0] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Eq. 2)
- [1] BYOL, 2020, https://arxiv.org/abs/2006.07733 (Sec. 3.3: 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2)
"""

from __future__ import annotations

import math

from ssl_zoo.config.schema import MomentumConfig
from ssl_zoo.method import Progress

__all__ = ["decay_at"]


def decay_at(config: MomentumConfig, progress: Progress) -> float:
    """The share of itself that the momentum encoder keeps in this optimizer step."""
    if config.schedule == "constant":
        return config.decay
    return 1 - (1 - config.decay) * (math.cos(math.pi * progress.step / progress.total_steps) + 1) / 2
