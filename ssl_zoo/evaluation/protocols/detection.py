"""kind=detection: Faster R-CNN or Mask R-CNN, fine-tuned from the backbone.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Sec. 6.1, Table 5)
- [1] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Sec. 4.2), whose settings it takes
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.coco import read_coco
from ssl_zoo.evaluation.detection.coco_ap import coco_scores
from ssl_zoo.evaluation.detection.detector import Detector, build_detector, plan_stages
from ssl_zoo.evaluation.detection.images import Collection, Detections, LeftOut, for_training
from ssl_zoo.evaluation.detection.masks import need_pycocotools
from ssl_zoo.evaluation.detection.predict import find_objects
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.detection.scores import AveragePrecision
from ssl_zoo.evaluation.detection.train import Training, rate, train_detector
from ssl_zoo.evaluation.detection.voc import read_voc
from ssl_zoo.evaluation.detection.voc_ap import voc_scores
from ssl_zoo.evaluation.task import Outcome, Task

__all__ = ["check", "run"]


class _Images(NamedTuple):
    train: Collection
    test: Collection
    left_out: LeftOut


def check(task: Task) -> None:
    """Reads the annotations and looks at the backbone, which takes seconds.

    Raises:
        UserError: pycocotools or a folder is missing; the annotations are damaged, or those of training and test
            don't belong together; the encoder reads gray images or has no feature maps that fit.
    """
    need_pycocotools()
    _check_backbone(task)
    _read(task.settings)


def run(task: Task) -> Outcome:
    """Trains a detector and scores what it finds in the test images.

    The headline is AP of boxes, a fraction of 1: for VOC that of its 11-point metric, as in the paper, for COCO
    COCO's. Deterministic on a CPU: the seed decides.

    Raises:
        UserError: an image can't be read; the loss diverges.
    """
    config, hardware, subject = task.settings, task.training, task.subject
    train, test, left_out = _read(config)
    task.log(
        f"{len(train.images)} training images with {train.instances} objects of {len(train.classes)} classes, "
        f"{len(test.images)} test images"
    )
    with torch.random.fork_rng([hardware.device] if hardware.device.type == "cuda" else []):
        torch.manual_seed(task.config.seed)  # of the detector's own weights, regions and sizes
        detector = build_detector(
            subject.backbone,
            subject.title,
            len(train.classes),
            subject.mean,
            subject.std,
            config,
            hardware.dtype,
        )
        detector.model.to(hardware.device)
        training = train_detector(detector, train, config, task.config.seed, hardware, task.log)
        detections = find_objects(detector.model, test, config, hardware.device, task.log)
    scores = _score(test, detections, config)
    headline = scores[0][2]
    return Outcome(
        in_words=_in_words(config, test, scores[0][1]),
        top1=headline.ap,
        metric="AP",
        rows=tuple(
            {"of": of, "metric": metric, "AP50": s.ap50, "AP": s.ap, "AP75": s.ap75}
            for of, metric, s in scores
        ),
        details={
            **_details(task, detector, training),
            "train_images": len(train.images),
            "train_objects": train.instances,
            "left_out_of_training": left_out._asdict(),
            "test_images": len(test.images),
            "test_objects": test.instances,
            "AP_by_class": dict(zip(test.classes, headline.by_class, strict=True)),
        },
    )


def _check_backbone(task: Task) -> None:
    subject = task.subject
    if subject.channels != 3:
        raise UserError(
            f"kind=detection takes an encoder of colour images; '{subject.title}' reads {subject.channels} channel; "
            "evaluate one that was trained on 3 channels"
        )
    plan_stages(subject.backbone, subject.title, task.settings)


def _read(config: DetectionConfig) -> _Images:
    if config.train is None:
        what = "a VOC folder" if config.format == "voc" else "the folder of COCO's images"
        raise UserError(f"kind=detection takes images of its own; set detection.train={what}")
    folders = (config.train,) if isinstance(config.train, str) else config.train
    if not folders or (config.format == "coco" and len(folders) > 1):
        raise UserError(
            "detection.train takes one folder, or with format=voc several; received "
            f"{len(folders)} with format={config.format}; name one"
        )
    if config.format == "voc":
        if config.masks:
            raise UserError(
                "detection.masks=true needs outlines, which VOC's annotations don't have; set detection.masks=false, "
                "or detection.format=coco with an annotation file"
            )
        train = read_voc(folders, config.train_split)
        test = read_voc([config.test or folders[0]], config.test_split, train.classes)
    else:
        train = read_coco(folders[0], config.train_split, masks=config.masks)
        test = read_coco(config.test or folders[0], config.test_split, train.classes, masks=config.masks)
    train_paths, test_paths = (
        {os.path.realpath(image.path) for image in split.images} for split in (train, test)
    )
    shared = train_paths & test_paths
    if shared:
        raise UserError(
            f"test images must be none of the training images; {len(shared)} are both, such as '{min(shared)}'; set "
            "another detection.test_split"
        )
    if not any((~image.ignored).any() for image in test.images):
        raise UserError(
            f"a detector is tested on objects; {test.title} has none that counts; name another detection.test_split"
        )
    kept, left_out = for_training(train, crowds=config.format == "voc")
    return _Images(kept, test, left_out)


def _score(
    test: Collection, detections: list[Detections], config: DetectionConfig
) -> list[tuple[str, str, AveragePrecision]]:
    """Returns (object, metric, figures) of each metric, the headline's first."""
    classes = len(test.classes)
    scores = [("boxes", "coco", coco_scores(test.images, detections, classes, "bbox"))]
    if config.format == "voc":
        voc = voc_scores(test.images, detections, classes)
        scores = [("boxes", "voc07", voc.eleven), ("boxes", "voc area", voc.area), *scores]
    if config.masks:
        scores.append(("masks", "coco", coco_scores(test.images, detections, classes, "segm")))
    return scores


def _in_words(config: DetectionConfig, test: Collection, metric: str) -> str:
    kind = "Mask R-CNN" if config.masks else "Faster R-CNN"
    neck = "a feature pyramid" if config.neck == "fpn" else "C4"
    kept = f", its first {config.frozen_stages} stages frozen" if config.frozen_stages else ""
    how = {"voc07": "VOC's 11-point metric", "coco": "COCO's metric"}[metric]
    return (
        f"{kind} with {neck} (torchvision), fine-tuned{kept} for {config.iterations} iterations of {config.batch_size} "
        f"images, AP of boxes over overlaps of 0.5 to 0.95 by {how} on {len(test.images)} images"
    )


def _details(task: Task, detector: Detector, training: Training) -> dict[str, Any]:
    config = task.settings
    tail = training.losses[-max(1, len(training.losses) // 20) :]
    return {
        "format": config.format,
        "masks": config.masks,
        "neck": config.neck,
        "strides": list(detector.strides),
        "frozen_stages": config.frozen_stages,
        "batchnorm": "of the backbone: statistics of the whole batch on one device, running ones in the test",
        "backbone_weights_behind_the_last_map": detector.unused,
        "iterations": config.iterations,
        "batch_size": config.batch_size,
        "lr": config.lr * config.batch_size / 16,
        "lr_end": rate(config, config.iterations - 1),
        "weight_decay": config.weight_decay,
        "train_sizes": list(config.train_sizes or (config.min_size,)),
        "test_size": config.min_size,
        "precision": task.training.precision,
        "loss_first": training.losses[0],
        "loss_end": sum(tail) / len(tail),  # mean of the last twentieth
        "train_seconds": training.seconds,
    }
