"""Training a detector: SGD with momentum, a linear warm-up and steps, by iterations.

- [0] MoCo's detection settings, 2019, https://github.com/facebookresearch/moco/tree/main/detection
- [1] Detectron2's defaults, https://github.com/facebookresearch/detectron2 (config/defaults.py)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.batches import Sample, training_batches
from ssl_zoo.evaluation.detection.detector import Detector
from ssl_zoo.evaluation.detection.images import Collection
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.hardware.device import Hardware

__all__ = ["Training", "rate", "to_images", "train_detector"]

REPORTS = 20  # lines of progress
WARMUP_START = 0.001  # fraction of the rate
NORMS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Training:
    """Losses and duration of a training."""

    losses: tuple[float, ...]  # of each iteration, the sum of all
    seconds: float


def rate(config: DetectionConfig, iteration: int) -> float:
    """The learning rate of an iteration, counted from 0.

    ``lr * batch_size / 16``, times ``0.001 + 0.999 * iteration / warmup`` during the warm-up, times 0.1 for each
    milestone passed.
    """
    value = config.lr * config.batch_size / 16
    if iteration < config.warmup_iterations:
        value *= WARMUP_START + (1 - WARMUP_START) * iteration / config.warmup_iterations
    passed = sum(iteration >= round(fraction * config.iterations) for fraction in config.milestones)
    return value * 0.1**passed


def train_detector(
    detector: Detector,
    collection: Collection,
    config: DetectionConfig,
    seed: int,
    hardware: Hardware,
    log: Callable[[str], None] = lambda line: None,
) -> Training:
    """Trains a detector, on the device that its weights are on.

    BN counts the whole batch, which the paper's eight GPUs do together; weight decay leaves norms out, as
    Detectron2's does. Draws from torch's global generator (which anchors and regions are trained on).

    Args:
        detector: as `build_detector` makes it, moved to the device; in training mode afterwards.
        collection: the images, each with a box; see `for_training`.
        config: of the protocol.
        seed: of the order of images and of flips.
        hardware: device and precision.
        log: is given a line of progress now and then.

    Raises:
        UserError: an image can't be read, or the loss is no finite number any more.
    """
    optimizer = torch.optim.SGD(_groups(detector.model, config.weight_decay), lr=config.lr, momentum=0.9)
    scaler = torch.amp.GradScaler(hardware.device.type, enabled=hardware.dtype is torch.float16)
    batches = training_batches(collection, config.iterations, config.batch_size, seed, config.workers)
    detector.train()
    losses: list[float] = []
    every = max(1, config.iterations // REPORTS)
    start = time.monotonic()
    for iteration, samples in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = rate(config, iteration)
        images = to_images(samples, hardware.device)
        targets = [_target(sample, hardware.device) for sample in samples]
        loss: Tensor = torch.stack(list(detector.model(images, targets).values())).sum()
        losses.append(loss.item())
        if losses[-1] - losses[-1] != 0:
            raise UserError(
                f"a detector's loss must be finite; at iteration {iteration + 1} of {config.iterations} it is "
                f"{losses[-1]}; lower detection.lr, received {config.lr}, or raise detection.warmup_iterations"
            )
        optimizer.zero_grad()
        scaled: Tensor = scaler.scale(loss)
        torch.autograd.backward(scaled)
        scaler.step(optimizer)
        scaler.update()
        if (iteration + 1) % every == 0:
            seconds = (time.monotonic() - start) / (iteration + 1) * (config.iterations - iteration - 1)
            recent = losses[-every:]
            log(
                f"iteration {iteration + 1} of {config.iterations}: loss {sum(recent) / len(recent):.3f}, "
                f"rate {rate(config, iteration):.3g}, {seconds / 60:.0f} min left"
            )
    return Training(tuple(losses), time.monotonic() - start)


def to_images(samples: list[Sample], device: torch.device) -> list[Tensor]:
    """Images (3, H, W) in [0, 1], float32, on the device."""
    return [torch.from_numpy(sample.image).to(device).float() / 255 for sample in samples]


def _target(sample: Sample, device: torch.device) -> dict[str, Tensor]:
    target = {"boxes": sample.boxes, "labels": sample.labels}
    if sample.masks is not None:
        target["masks"] = sample.masks
    return {name: torch.from_numpy(values).to(device) for name, values in target.items()}


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    norms = {id(p) for m in model.modules() if isinstance(m, NORMS) for p in m.parameters(recurse=False)}
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if id(p) not in norms], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in norms], "weight_decay": 0.0},
    ]
