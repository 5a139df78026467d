"""Keys that came after runs had been hashed, with the value at which a run computes what it did without them.

`config_hash` leaves such a key out while it has that value. So a new version does not train a suite's finished trials
again because it knows more keys. Whoever adds a key that changes nothing at its default adds it here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["ADDED_KEYS", "without_added"]

ADDED_KEYS: Mapping[str, Any] = {
    "augment.autoaugment": "none",
    "backbone.freeze_patch_embedding": False,
    "backbone.num_heads": None,
    "data.bit_depth": 8,
    "data.interpolation": "bilinear",
    "method.centering.decay": 0.9,
    "method.decorrelation.alone": False,
    "method.decorrelation.standardized": False,
    "method.decorrelation.weight": 0.0,
    "method.expectation_views": 0,
    "method.extra_gradient.basic": True,
    "method.extra_gradient.center": True,
    "method.extra_gradient.of": "none",
    "method.extra_gradient.residual": True,
    "method.momentum_encoder.prototypes": False,
    "method.predictor.bn_output_affine": True,
    "method.predictor.direct.eps": 0.1,
    "method.predictor.direct.every": 1,
    "method.predictor.direct.power": 0.5,
    "method.predictor.direct.rho": 0.3,
    "method.predictor.direct.shift": 0.0,
    "method.predictor.inverse": False,
    "method.predictor.on": "anchor",
    "method.predictor.optimal.every": 1,
    "method.predictor.optimal.rho": 0.0,
    "method.predictor.optimal.ridge": 1.0e-3,
    "method.predictor.symmetric": False,
    "method.predictor.weight_decay": None,
    "method.projector.activation": "relu",
    "method.sharpening.temperature": None,
    "method.sharpening.warmup_epochs": 0,
    "method.sharpening.warmup_temperature": None,
    "method.unified.rho": 0.99,
    "method.unified.weight": 100.0,
    "optimizer.final_weight_decay": None,
    "optimizer.trust_clip": False,
    "optimizer.trust_coefficient": 0.001,
    "start_from": None,
}


def without_added(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values without the added keys that change nothing, and without blocks that are then empty."""
    kept = {}
    for key, value in values.items():
        path = prefix + key
        if isinstance(value, Mapping) and value:
            if inner := without_added(value, f"{path}."):
                kept[key] = inner
        elif path not in ADDED_KEYS or value != ADDED_KEYS[path]:
            kept[key] = value
    return kept
