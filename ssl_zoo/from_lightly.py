"""All that ssl-zoo takes from lightly; no other file of ssl_zoo/, methods/ and benchmarks/ imports lightly.

    from ssl_zoo.from_lightly import NegativeCosineSimilarity

A name is imported when it is first used, so that wrong overrides are refused before torch is imported. The tests
import every one, and pyproject.toml keeps out a lightly 2, which may have other interfaces.
"""

from __future__ import annotations

import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from ssl_zoo.errors import UserError

if TYPE_CHECKING:
    from lightly.data import LightlyDataset
    from lightly.data.multi_view_collate import MultiViewCollate
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss
    from lightly.models.modules.heads import ProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum
    from lightly.transforms.byol_transform import BYOLTransform, BYOLView1Transform, BYOLView2Transform
    from lightly.transforms.moco_transform import MoCoV2Transform
    from lightly.transforms.multi_view_transform import MultiViewTransform
    from lightly.transforms.simclr_transform import SimCLRTransform
    from lightly.transforms.simsiam_transform import SimSiamTransform
    from lightly.utils.dist import gather, rank, world_size

__all__ = [
    "BYOLTransform", "BYOLView1Transform", "BYOLView2Transform", "LightlyDataset", "MoCoV2Transform",
    "MultiViewCollate", "MultiViewTransform", "NTXentLoss", "NegativeCosineSimilarity", "ProjectionHead",
    "SimCLRTransform", "SimSiamTransform", "deactivate_requires_grad", "gather", "rank", "update_momentum",
    "world_size",
]  # fmt: skip

REQUIREMENT = "lightly>=1.6,<2"
CHECKED = ("1.6.0",)  # versions with which all tests pass

LOSS = "lightly.loss"
HOMES = {
    "NegativeCosineSimilarity": LOSS,
    "ProjectionHead": "lightly.models.modules.heads",
    "deactivate_requires_grad": "lightly.models.utils",
    "gather": "lightly.utils.dist",
    "rank": "lightly.utils.dist",
    "world_size": "lightly.utils.dist",
    # of method=joint_embedding, which takes them by name
    "BarlowTwinsLoss": LOSS,
    "DCLLoss": LOSS,
    "DCLWLoss": LOSS,
    "DirectCLRLoss": LOSS,
    "HypersphereLoss": "lightly.loss.hypersphere_loss",
    "MACLLoss": LOSS,
    "NTXentLoss": LOSS,
    "TiCoLoss": LOSS,
    "VICRegLoss": LOSS,
    # of benchmarks/speed, which measures lightly's own way beside ours
    "LightlyDataset": "lightly.data",
    "MultiViewCollate": "lightly.data.multi_view_collate",
    "update_momentum": "lightly.models.utils",
    "BYOLTransform": "lightly.transforms.byol_transform",
    "BYOLView1Transform": "lightly.transforms.byol_transform",
    "BYOLView2Transform": "lightly.transforms.byol_transform",
    "MoCoV2Transform": "lightly.transforms.moco_transform",
    "MultiViewTransform": "lightly.transforms.multi_view_transform",
    "SimCLRTransform": "lightly.transforms.simclr_transform",
    "SimSiamTransform": "lightly.transforms.simsiam_transform",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'ssl_zoo.from_lightly' has no attribute '{name}'")
    try:
        value = getattr(importlib.import_module(HOMES[name]), name)
    except (ImportError, AttributeError) as error:
        try:
            received = f"lightly {version('lightly')}, which lacks it ({error})"
        except PackageNotFoundError:
            received = "no lightly"
        raise UserError(
            f"ssl-zoo takes {name} from {HOMES[name]}, of {REQUIREMENT}; received {received}; run pip install "
            f"'{REQUIREMENT}'"
        ) from error
    globals()[name] = value  # found there the next time
    return value


def other_loss(name: str) -> Any:
    """Returns what `lightly.loss` has of this name, whether ssl-zoo takes it or not; None where there is nothing."""
    return getattr(importlib.import_module(LOSS), name, None)


def other_transforms() -> dict[str, Any]:
    """Returns all transforms that lightly has, by name, whether ssl-zoo takes them or not."""
    module = importlib.import_module("lightly.transforms")
    return {name: getattr(module, name) for name in dir(module) if name.endswith("Transform")}
