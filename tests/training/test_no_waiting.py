"""A training step never waits for a GPU: found without one, on tensors that have a device and no values.

In torch's fake mode a tensor can be on "cuda" anywhere. Whatever would wait for the device, or mix devices, raises:
`.item()`, `bool()`, `.tolist()`, `nonzero`, a mask as an index; copies to and from the CPU are refused here.
The backward pass and Lightning's loop, which need a device, are run on the CPU, and reading a value is refused.
`tests/gpu` asks a real GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from helpers.methods import EVERY_OPERATION
from helpers.runs import SIAMESE_METHODS
from helpers.runs import overrides as of_tiny_run
from ssl_zoo.benchmarks.speed.step_clock import observed
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ssl_zoo
from ssl_zoo.augment import Augment, blur, crop, pixels
from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.data import Batch
from ssl_zoo.training import module as module_file
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.optim import build_optimizer

CUDA = torch.device("cuda:0")
IMAGES = 64
KEPT: Sequence[Any] = (pixels.constant, crop._table, blur._taps)  # made once for a device
AUGMENT = (
    "data.channels=3", "data.mean=[0.5,0.5,0.5]", "data.std=[0.2,0.2,0.2]",
    "augment.affine.degrees=10", "augment.jitter.hue=0.1",
    *(f"augment.{name}{'' if isinstance(value, float) else '.p'}=0.5" for name, value in EVERY_OPERATION.items()),
)  # fmt: skip
CASES = {
    **{name: of_tiny_run(name) for name in SIAMESE_METHODS},
    "every augmentation": of_tiny_run("simsiam", *AUGMENT),
    "swav, with a queue": of_tiny_run("swav", "method.sinkhorn.queue_size=64"),
    "memory bank": of_tiny_run("moco", "method.negatives=memory_bank", "method.memory.negatives=16"),
    "moving average": of_tiny_run("simsiam", "method.assignment=moving_average"),
    "LARS": of_tiny_run("simsiam", "optimizer.name=lars"),
}  # fmt: skip


class Waited(AssertionError):
    """Something made the CPU wait for the device."""


class NoCopies(TorchDispatchMode):
    """Refuses copies between the CPU and the device, which wait for it unless their memory is pinned."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        before, after = (
            {x.device.type for x in tree_leaves(part) if isinstance(x, torch.Tensor)}
            for part in ((args, kwargs), result)
        )
        if before and after and before != after:
            raise Waited(f"{func} copies from {before} to {after}")
        return result


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fake mode, with nothing kept from real tensors or for them."""

    def generator(device: torch.device) -> Any:
        made = SimpleNamespace(device=device)
        made.manual_seed = lambda seed: made
        return made

    monkeypatch.setattr(torch, "Generator", generator)  # one of CUDA needs a driver
    for name in ("rand", "randint"):
        draw = getattr(torch, name)
        monkeypatch.setattr(
            torch, name, lambda *args, draw=draw, generator=None, **options: draw(*args, **options)
        )
    monkeypatch.setattr(module_file, "_seed_global_state", lambda *_: None)
    monkeypatch.setattr(TrainingModule, "global_step", 1)
    monkeypatch.setattr(TrainingModule, "current_epoch", 0)
    monkeypatch.setattr(TrainingModule, "device", CUDA)
    # Parts that are copies of others are of the same mode.
    monkeypatch.setattr(FakeTensorMode, "__deepcopy__", lambda mode, memo: mode, raising=False)
    for kept in KEPT:
        kept.cache_clear()
    with FakeTensorMode(allow_fallback_kernels=False):
        yield
    for kept in KEPT:
        kept.cache_clear()


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by copy.deepcopy
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_no_step_waits(case: list[str], fake: None) -> None:
    config = compose(case)
    with torch.device(CUDA):
        method, _ = build(config, config.data.channels)
        method.allocate(IMAGES)
        images = torch.zeros(IMAGES, config.data.channels, 8, 8, dtype=torch.uint8)
        index = torch.arange(IMAGES)
    augment = Augment(config.views, config.data.mean, config.data.std)
    module = TrainingModule(config, method, augment, images=IMAGES, batches=2)
    optimizer = build_optimizer(config.optimizer, method, IMAGES)

    def step() -> None:
        loss = module.training_step(Batch(images, index), 1)
        assert loss.device == CUDA
        for parameter in method.parameters():
            if parameter.requires_grad:  # the backward pass needs a driver
                parameter.grad = torch.zeros_like(parameter)
        method.after_backward(module.progress)
        if not optimizer.defaults.get("fused"):  # one kernel, of which there is no fake
            optimizer.step()
        method.after_step(module.progress)

    step()  # fills the tables
    with NoCopies():
        step()


READS = {"_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal", "unique_dim", "_unique2"}


class NoReads(TorchDispatchMode):
    """Refuses what looks at a tensor's values, for which a GPU would have to be waited."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        masks = [x for x in tree_leaves(args[1:]) if isinstance(x, torch.Tensor) and x.dtype is torch.bool]
        if name in READS or (name in ("index", "index_put_") and masks):
            raise Waited(f"{func} reads values")
        return func(*args, **(kwargs or {}))


class ReadNothing(pl.Callback):
    """From the end of the second batch to the start of the last."""

    clock = None
    steps = 0

    def __init__(self) -> None:
        self.mode = NoReads()

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == trainer.num_training_batches - 1:
            self.mode.__exit__(None, None, None)
            self.steps = batch_idx - 2

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if batch_idx == 1:
            self.mode.__enter__()


@pytest.mark.parametrize(
    "overrides",
    [
        ("method=simsiam",),
        ("method=byol", "optimizer.name=lars"),
        ("method=moco", "optimizer.clip_grad_norm=1"),
    ],
)
def test_the_loop_reads_no_value(
    overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Lightning's loop, backward pass and optimizer too; of augmentation a CPU has a form of its own, which reads."""

    class Fixed(torch.nn.Module):
        def __init__(self, views: Any, *_: Any) -> None:
            super().__init__()
            self.count = len(views)

        def forward(self, images: torch.Tensor, *_: Any, **__: Any) -> list[torch.Tensor]:
            return [images.float() / 255] * self.count

    callback: Any = ReadNothing()
    monkeypatch.setattr("ssl_zoo.training.fit.Augment", Fixed)
    run = of_tiny_run(
        "simsiam", f"run_dir={tmp_path / 'run'}", "epochs=1", "monitor.baselines=false", *overrides
    )
    with observed(callback):
        ssl_zoo.train(run, silent=True)
    assert callback.steps == 2
