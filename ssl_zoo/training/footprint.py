"""The memory that a run will take, estimated without taking it.

The method is built, stepped and measured on torch's fake tensors, which have shapes and no values: the whole batch
passes forward, backward and through the optimizer in the time of one small step, and `LiveBytes` counts what would be
alive. What torch's operations take inside themselves, and what the allocator holds back, is measured; see
docs/results/memory-estimate.md.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import FakeTensor

from ssl_zoo.build import assemble, hardware_for
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, MemorySplit
from ssl_zoo.features import images_at_once
from ssl_zoo.hardware.device import Hardware
from ssl_zoo.hardware.live_bytes import LiveBytes
from ssl_zoo.method import Method
from ssl_zoo.parts.fifo import Fifo
from ssl_zoo.parts.matmul_conv import use_matmul_convolutions
from ssl_zoo.training.blocks import recompute_blocks
from ssl_zoo.training.divided_bytes import divided_bytes
from ssl_zoo.training.measure import PIXEL_SIDE

__all__ = ["Footprint", "footprint"]

STATES = {"sgd": 1, "lars": 1, "adamw": 2}  # values that an optimizer keeps for each weight
PREFETCHED = 2  # batches that each worker process of a loader prepares ahead


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Memory that one process of a run takes besides what it has already, in bytes on its device.

    Attributes:
        device: which that is.
        weights: parameters and buffers, those of a momentum encoder, a queue and a memory among them.
        kept: weights, their gradients and the optimizer's state.
        step: the most that is alive within a training step, `kept` included.
        measuring: the most that is alive while the encoder is measured, `kept` included.
        largest: name and shape of the largest tensor among the weights.
    """

    device: torch.device
    weights: int
    kept: int
    step: int
    measuring: int
    largest: str

    @property
    def total(self) -> int:
        """The most of `step` and `measuring`."""
        return max(self.step, self.measuring)


def footprint(config: RunConfig, data: Data) -> Footprint:
    """Imagines a step on a whole batch and a measurement. Nothing is computed, and no generator drawn from.

    Raises:
        UserError: the run cannot be built.
        Exception: the method does what is not possible without values.
    """
    untrained = dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, pretrained=False))
    with _imagined() as live:
        method, backbone = assemble(untrained, data.channels)
        method.allocate(len(data.train))
        if method.needs_labels:
            method.take_labels(torch.zeros(len(data.train), dtype=torch.int64), len(data.classes or ()))
        hardware = hardware_for(config, strides_single_pixels=backbone.strides_single_pixels)
        if hardware.device.type == "cpu" and hardware.precision == "bf16":
            use_matmul_convolutions(method)
        if config.trainer.activation_checkpointing:
            recompute_blocks(method, config.backbone.name)
        for module in method.modules():
            if isinstance(module, Fifo):
                module.assume_full()
        weights = live.live
        step, kept = _step(config, method, hardware, live, data)
        copies = (
            2 if config.trainer.strategy == "fsdp" else 1
        )  # the untrained method; the trained one, gathered
        measuring = (
            kept
            + copies * sum(p.nbytes for p in method.parameters())
            + _measuring(config, method, hardware, live, data)
        )
    name, tensor = max(method.state_dict().items(), key=lambda item: item[1].nbytes)
    largest = f"{name} ({' x '.join(map(str, tensor.shape))})"
    return Footprint(hardware.device, weights, kept, step, measuring, largest)


@contextmanager
def _imagined() -> Iterator[LiveBytes]:
    live = LiveBytes()
    # torch's own copy of a fake tensor asks for its storage, which does not exist; and for each operation it asks the
    # driver whether there is a GPU, a third of the time, though all that is imagined is on the CPU.
    with (
        patch.object(FakeTensor, "__deepcopy__", _copy, create=True),
        patch.object(FakeTensorMode, "avoid_device_init", property(lambda mode: True)),
        FakeTensorMode(allow_fallback_kernels=False),
        live,
    ):
        yield live


def _copy(tensor: Any, memo: dict[int, Any]) -> Any:
    copied = tensor.detach().clone()
    copied._is_param = getattr(tensor, "_is_param", False)
    memo[id(tensor)] = copied
    return copied.requires_grad_(tensor.requires_grad)


def _step(
    config: RunConfig, method: Method, hardware: Hardware, live: LiveBytes, data: Data
) -> tuple[int, int]:
    """Returns the most that is alive in a training step that is not the first, and what stays from step to step."""
    processes = config.trainer.processes
    images = config.batch_size // processes
    trained = [p for p in method.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    # Not by a step of the optimizer: torch's fused ones have no fake kernel and would step in earnest.
    state = torch.empty(STATES[config.optimizer.name] * _stepped_here(trained, config), dtype=torch.float32)
    buckets = sum(p.nbytes for p in trained) if processes > 1 else 0  # in which DDP sends the gradients
    elsewhere, gathered = divided_bytes(config, method, STATES[config.optimizer.name])
    kept = live.live + buckets - elsewhere
    pixels = data.channels * sum(view.size**2 for view in config.views)  # of all views of an image
    if isinstance(data.train, MemorySplit):
        batches = data.train.images.shape[1:].numel() * images * config.data.bit_depth // 8
    else:
        batches = (1 + PREFETCHED * config.data.workers) * pixels * images * config.data.bit_depth // 8
    augmenting = (
        kept + batches + 3 * 4 * pixels * images
    )  # float32: computed, put in order, in another layout

    views = [torch.empty(images, data.channels, view.size, view.size) for view in config.views]
    if config.trainer.channels_last:
        views = [view.contiguous(memory_format=torch.channels_last) for view in views]
    live.restart()
    # The bytes of float16 are those of bfloat16, and those of a GPU those of a CPU.
    with torch.autocast("cpu", torch.bfloat16, enabled=hardware.dtype is not None):
        loss: Tensor = method.loss(views, torch.arange(images)).loss
    method.zero_grad()  # as Lightning does: after the forward pass
    loss.backward()  # type: ignore[no-untyped-call]
    del state
    return max(augmenting, live.peak + buckets - elsewhere + gathered + batches), kept


def _stepped_here(trained: list[torch.nn.Parameter], config: RunConfig) -> int:
    """Returns the number of values that one process's optimizer keeps a state of, at the most."""
    total = sum(p.numel() for p in trained)
    if config.trainer.strategy != "zero1":
        return total
    # Whole tensors, the largest first, each to the process that has least.
    return min(total, -(-total // config.trainer.processes) + max(p.numel() for p in trained))


def _measuring(config: RunConfig, method: Method, hardware: Hardware, live: LiveBytes, data: Data) -> int:
    """Returns the bytes that measuring an encoder takes: a forward pass, and classifiers on features and on pixels."""
    scored = data.labelled is not None and data.test is not None
    labelled = (
        min(len(data.labelled), config.monitor.labelled_samples)
        if scored and data.labelled is not None
        else 0
    )
    test = len(data.test) if scored and data.test is not None else 0
    images = min(
        images_at_once(hardware.device), max(labelled, test, min(config.monitor.samples, len(data.train)))
    )
    method.eval()
    size = config.augment.size
    before = live.live
    live.restart()
    with torch.inference_mode():
        features = method.encoder.backbone(torch.empty(images, data.channels, size, size))
    passing = live.peak - before
    if not scored:
        return passing
    width = int(features.shape[1])
    if config.monitor.baselines:
        width = max(width, data.channels * min(size, PIXEL_SIDE) ** 2)
    # The labelled images, once more in float64 where the probe scales it, and the test images, once more scaled.
    return max(passing + 4 * width * (labelled + test), 4 * width * (3 * labelled + 2 * test))
