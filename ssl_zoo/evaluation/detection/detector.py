"""A detector around a pretrained backbone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision.models.detection import FasterRCNN, MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.maps import Maps
from ssl_zoo.evaluation.detection.res5 import Res5, Res5Heads
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.detection.stages import Stage, find_stages, modules_by_stage, usable_stages

__all__ = ["Detector", "build_detector", "plan_stages"]

ASPECTS = (0.5, 1.0, 2.0)  # of the anchors, height / width


@dataclass(frozen=True)
class Detector:
    """A torchvision detector with a copy of the backbone in it."""

    model: GeneralizedRCNN
    frozen: tuple[nn.Module, ...]  # keep their weights and their BN statistics
    strides: tuple[int, ...]  # of the maps it looks for objects in
    unused: int  # weights of the backbone behind its last map, which are there and decide nothing

    def train(self) -> None:
        """Training mode, for all but what is frozen."""
        self.model.train()
        for module in self.frozen:
            module.eval()


def plan_stages(backbone: nn.Module, title: str, config: DetectionConfig) -> tuple[Stage, ...]:
    """The stages of a backbone, when it can carry the detector that is asked for.

    Raises:
        UserError: it can't; see also `find_stages`.
    """
    stages = find_stages(backbone, title)
    if config.frozen_stages > len(stages):
        raise UserError(
            "detection.frozen_stages counts the stages of the backbone from its input; received "
            f"{config.frozen_stages}, and "
            f"'{title}' has {len(stages)}; set detection.frozen_stages={len(stages)} or lower"
        )
    shorter, largest = min(config.train_sizes or (config.min_size,)), max(stage.stride for stage in stages)
    if config.batch_size == 1 and shorter <= largest:
        raise UserError(
            f"BN needs more than one value a channel in training; one image of {shorter} pixels has one on the map of "
            f"stride {largest}; set detection.batch_size=2 or larger sizes"
        )
    parts = ("conv1", "layer1", "layer2", "layer3", "layer4")
    if config.neck == "c4" and not all(hasattr(backbone, part) for part in parts):
        raise UserError(
            f"detection.neck=c4 makes a ResNet's last stage the head; '{title}' is no ResNet; set detection.neck=fpn"
        )
    return stages


def build_detector(
    backbone: nn.Module,
    title: str,
    classes: int,
    mean: Sequence[float],
    std: Sequence[float],
    config: DetectionConfig,
    dtype: torch.dtype | None,
) -> Detector:
    """Builds Faster R-CNN or Mask R-CNN on a copy of a backbone; its other weights are random.

    Anchors have sides of 8 strides of their map with a pyramid, and of 2, 4, 8, 16 and 32 strides on the single
    map of C4: the usual 32 to 512 pixels where strides are the usual ones.

    Args:
        backbone: a timm model without classifier; it stays as it is.
        title: of it, for messages.
        classes: without the background.
        mean: 3 values, of pixels in [0, 1], the backbone's.
        std: as `mean`.
        config: of the protocol.
        dtype: what the backbone is computed in, by autocast; None: float32. Boxes are computed in float32.

    Raises:
        UserError: the backbone can't carry this detector.
    """
    stages = plan_stages(backbone, title, config)
    body = copy.deepcopy(backbone).requires_grad_(True)
    weights = [*body.parameters(), *body.buffers()]
    groups = modules_by_stage(body, stages)
    frozen = tuple(module for group in groups[: config.frozen_stages] for module in group)
    for module in frozen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    sizes = {
        "min_size": config.train_sizes or (config.min_size,),
        "max_size": config.max_size,
        "image_mean": list(mean),
        "image_std": list(std),
        "size_divisible": max(32, *(stage.stride for stage in stages)),
    }
    if config.neck == "c4":
        model, strides = _on_one_map(body, stages, classes + 1, config, dtype, sizes)
    else:
        model, strides = _on_pyramid(body, stages, classes + 1, config, dtype, sizes)
    held = {id(tensor) for tensor in (*model.parameters(), *model.buffers())}
    assert all(id(tensor) in held for tensor in weights), "a weight of the backbone is not in the detector"
    originals = [*backbone.parameters(), *backbone.buffers()]
    assert all(torch.equal(a, b) for a, b in zip(weights, originals, strict=True)), "a weight was lost"
    unused = sum(p.numel() for module in groups[-1] for p in module.parameters(recurse=False))
    return Detector(model, frozen, strides, unused)


def _on_pyramid(
    body: nn.Module,
    stages: tuple[Stage, ...],
    labels: int,
    config: DetectionConfig,
    dtype: torch.dtype | None,
    sizes: dict[str, Any],
) -> tuple[GeneralizedRCNN, tuple[int, ...]]:
    chosen = usable_stages(stages)
    strides = (*(stage.stride for stage in chosen), 2 * chosen[-1].stride)  # the last: LastLevelMaxPool
    names = [str(i) for i in range(len(chosen))]
    width = config.fpn_channels
    parts: dict[str, Any] = {
        "rpn_anchor_generator": AnchorGenerator(tuple((8 * s,) for s in strides), (ASPECTS,) * len(strides)),
        "box_roi_pool": MultiScaleRoIAlign(names, output_size=7, sampling_ratio=2),
        "box_head": TwoMLPHead(width * 7 * 7, config.box_head_width),
        "box_predictor": FastRCNNPredictor(config.box_head_width, labels),
        "box_batch_size_per_image": config.regions_per_image,
    }
    if config.masks:
        parts["mask_roi_pool"] = MultiScaleRoIAlign(names, output_size=14, sampling_ratio=2)
        parts["mask_head"] = MaskRCNNHeads(width, (width,) * 4, 1)
        parts["mask_predictor"] = MaskRCNNPredictor(width, width, labels)
    kind = MaskRCNN if config.masks else FasterRCNN
    return kind(Maps(body, chosen, width, dtype), **parts, **sizes), strides


def _on_one_map(
    body: nn.Module,
    stages: tuple[Stage, ...],
    labels: int,
    config: DetectionConfig,
    dtype: torch.dtype | None,
    sizes: dict[str, Any],
) -> tuple[GeneralizedRCNN, tuple[int, ...]]:
    (map_stage,) = (stage for stage in stages if stage.module == "layer3")
    (last,) = (stage for stage in stages if stage.module == "layer4")
    stage = body.layer4
    assert isinstance(stage, nn.Module)
    res5 = Res5(stage, last.channels, dtype)
    body.layer4 = nn.Identity()
    stride = map_stage.stride
    model = FasterRCNN(
        Maps(body, [map_stage], 0, dtype),
        labels,
        rpn_anchor_generator=AnchorGenerator((tuple(stride * k for k in (2, 4, 8, 16, 32)),), (ASPECTS,)),
        rpn_pre_nms_top_n_train=12000,
        rpn_pre_nms_top_n_test=6000,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=1, sampling_ratio=1),  # in place of torchvision's
        box_head=nn.Identity(),  # large one, until the next line
        **sizes,
    )
    model.roi_heads = Res5Heads(res5, last.channels, labels, stride, config.masks, config.regions_per_image)
    return model, (stride,)
