"""The heads of a C4 detector: a ResNet's last stage and one more BN on each region of the stride-16 map.

torchvision has none. Boxes and masks share the stage, so that it computes, and its BN counts, every region once.

- [0] Faster R-CNN on C4: Mask R-CNN, 2017, https://arxiv.org/abs/1703.06870 (Sec. 4, Figure 4 left)
- [1] the extra BN: MoCo, 2019, https://arxiv.org/abs/1911.05722 (Appendix A.1), and Res5ROIHeadsExtraNorm of
  https://github.com/facebookresearch/moco/blob/main/detection/train_net.py
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_inference, maskrcnn_loss
from torchvision.ops import RoIAlign

__all__ = ["Res5", "Res5Heads"]


class Res5(nn.Module):
    """Regions (R, C, 14, 14) float32 to (R, F, 7, 7) float32."""

    def __init__(self, stage: nn.Module, channels: int, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.stage = stage
        self.norm = nn.BatchNorm2d(channels)
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        """Regions to features, as described above; computed in `dtype`."""
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype is not None):
            features: Tensor = self.norm(self.stage(x))
        return features.float()


class Res5Heads(RoIHeads):  # type: ignore[misc]
    """torchvision's RoIHeads, with regions of one map that pass through `Res5` once.

    Args:
        res5: the stage.
        channels: F, of its output.
        labels: classes, background included.
        stride: of the map that regions are cut from.
        masks: whether masks are kept too.
        regions: per image that are trained on, a quarter of them on objects.
    """

    def __init__(
        self, res5: Res5, channels: int, labels: int, stride: int, masks: bool, regions: int
    ) -> None:
        super().__init__(
            box_roi_pool=RoIAlign(14, 1 / stride, sampling_ratio=0, aligned=True),
            box_head=res5,
            box_predictor=FastRCNNPredictor(channels, labels),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=regions,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=0.05,
            nms_thresh=0.5,
            detections_per_img=100,
            mask_predictor=MaskRCNNPredictor(channels, 256, labels) if masks else None,
        )

    def forward(
        self,
        features: dict[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[dict[str, Tensor]] | None = None,
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Losses in training, objects otherwise.

        Args:
            features: {"0": (N, C, H / stride, W / stride)}.
            proposals: N of (P, 4), boxes in pixels of the resized images.
            image_shapes: N of (H, W).
            targets: N mappings of boxes (n, 4), labels (n,) and, with masks, masks (n, H, W); in training.
        """
        if self.training:
            assert targets is not None
            return [], self._losses(features["0"], proposals, targets)
        return self._find(features["0"], proposals, image_shapes), {}

    def _regions(self, maps: Tensor, boxes: list[Tensor]) -> Tensor:
        """(R, F, 7, 7) of the R boxes of all images."""
        regions: Tensor = self.box_head(self.box_roi_pool(maps, boxes))
        return regions

    def _losses(
        self, maps: Tensor, proposals: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> dict[str, Tensor]:
        proposals, matched, labels, regression = self.select_training_samples(proposals, targets)
        x = self._regions(maps, proposals)
        logits, deltas = self.box_predictor(x.mean(dim=(2, 3)))
        losses = dict(
            zip(
                ("loss_classifier", "loss_box_reg"),
                fastrcnn_loss(logits, deltas, labels, regression),
                strict=True,
            )
        )
        if self.mask_predictor is not None:
            positive = [label > 0 for label in labels]
            losses["loss_mask"] = maskrcnn_loss(
                self.mask_predictor(x[torch.cat(positive)]),  # (R+, labels, 14, 14)
                [p[rows] for p, rows in zip(proposals, positive, strict=True)],
                [target["masks"] for target in targets],
                [target["labels"] for target in targets],
                [m[rows] for m, rows in zip(matched, positive, strict=True)],
            )
        return losses

    def _find(
        self, maps: Tensor, proposals: list[Tensor], image_shapes: list[tuple[int, int]]
    ) -> list[dict[str, Tensor]]:
        logits, deltas = self.box_predictor(self._regions(maps, proposals).mean(dim=(2, 3)))
        kept = self.postprocess_detections(logits, deltas, proposals, image_shapes)
        results: list[dict[str, Any]] = [
            {"boxes": boxes, "scores": scores, "labels": labels}
            for boxes, scores, labels in zip(*kept, strict=True)
        ]
        if self.mask_predictor is not None:
            x = self._regions(maps, [result["boxes"] for result in results])
            masks = maskrcnn_inference(self.mask_predictor(x), [result["labels"] for result in results])
            for result, mask in zip(results, masks, strict=True):
                result["masks"] = mask  # (m, 1, 14, 14); torchvision pastes them into the image
        return results
