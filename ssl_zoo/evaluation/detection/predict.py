"""Detection of objects in images by a trained detector."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN

from ssl_zoo.evaluation.detection.batches import test_samples
from ssl_zoo.evaluation.detection.images import Collection, Detections
from ssl_zoo.evaluation.detection.masks import encode_mask
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.detection.train import to_images

__all__ = ["find_objects"]


@torch.no_grad()
def find_objects(
    model: GeneralizedRCNN,
    collection: Collection,
    config: DetectionConfig,
    device: torch.device,
    log: Callable[[str], None] = lambda line: None,
) -> list[Detections]:
    """Runs a detector over the images, one at a time, so that what it finds depends on no other image.

    Args:
        model: torchvision's, on the device; in evaluation mode afterwards.
        collection: the images.
        config: its `min_size` is the shorter side that images are resized to.
        device: the model's.
        log: is given a line of progress now and then.

    Returns:
        For each image at most 100 objects of a score above 0.05; masks are those pixels whose value is 0.5 or more.

    Raises:
        UserError: an image can't be read.
    """
    model.eval()
    model.transform.min_size = (config.min_size,)
    detections: list[Detections] = []
    total = len(collection.images)
    for sample in test_samples(collection, config.workers):
        (result,) = model(to_images([sample], device))
        masks = None
        if "masks" in result:  # (m, 1, H, W) in [0, 1]
            masks = encode_mask((result["masks"][:, 0] >= 0.5).to(torch.uint8).cpu().numpy())
        boxes, labels, scores = (result[key].cpu().numpy() for key in ("boxes", "labels", "scores"))
        detections.append(Detections(boxes, labels, scores, masks))
        if len(detections) % 1000 == 0:
            log(f"tested on {len(detections)} of {total} images")
    return detections
