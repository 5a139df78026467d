"""The Lightning module: views from a uint8 batch, the method's loss, and the method's hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.lr_scheduler import LambdaLR

from ssl_zoo.augment import Augment
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Batch
from ssl_zoo.distributed import average, rank, world_size
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.run_dir.checkpoints import STAMP, Position
from ssl_zoo.training.clipping import clip_gradients
from ssl_zoo.training.optim import (
    build_optimizer,
    build_schedule,
    follow_schedule,
    scheduled_lr,
    weight_decay_factor,
)
from ssl_zoo.training.sharded_weights import ShardedWeights, divided_weights_explained

__all__ = ["TrainingModule", "step_seed"]


class TrainingModule(pl.LightningModule):
    """Trains a method.

    All randomness of a step follows from the seed and the number of the step, so that a resumed run
    continues exactly.

    Args:
        config: the run's configuration.
        method: the method, with its weights.
        augment: makes the views.
        images: number of training images.
        batches: number of batches in an epoch.
        about_data: describes the images and the labels that the method was given, for the checkpoint.
    """

    def __init__(
        self,
        config: RunConfig,
        method: Method,
        augment: Augment,
        *,
        images: int,
        batches: int,
        about_data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.method = method
        self.augment = augment
        self.images = images
        self.batches = batches
        self.about_data = about_data
        self.views = len(config.views)
        self.steps_per_epoch = -(-batches // config.trainer.accumulate)  # Lightning steps at an epoch's end
        self.total_steps = self.steps_per_epoch * config.epochs
        self.losses: list[Tensor] = []  # of this epoch, left on the device
        self.batches_done = 0  # counted by `EpochRows`
        self.lr: float | None = None  # of the last step that was done here
        self.weight_decays: list[float] = []  # of the optimizer's groups in the first step
        self.trained: tuple[Method, ...] = ()  # the one method, after the training; no submodule
        self.stretched = False  # whether the checkpoint is of a run of fewer or more epochs

    @property
    def progress(self) -> Progress:
        """The step that is next, of all."""
        return Progress(self.global_step, self.total_steps, self.steps_per_epoch)

    def forward(self) -> Tensor:
        """Returns zero (), which depends on each trainable parameter; see `on_train_start`."""
        return torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum() * 0

    def on_train_start(self) -> None:
        """Follows the schedule of a changed number of epochs, and lets DDP settle how it groups the gradients.

        DDP does so after its first backward pass. From there on three processes or more add up a gradient in another
        order, so that a resumed run, whose first pass is not the run's first, would differ in the last bits.
        """
        assert self._trainer is not None
        if self.stretched:
            schedule = self.lr_schedulers()
            assert isinstance(schedule, LambdaLR)
            follow_schedule(self._trainer.optimizers[0], schedule)
        model = self._trainer.strategy.model
        if isinstance(model, DistributedDataParallel):
            model().backward()
            model.zero_grad()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Computes the scalar loss of one batch, or this process's part of it: uint8 images (N, C, H, W)."""
        images, index = batch
        seed = step_seed(self.config.seed, self.current_epoch * self.batches + batch_idx)
        _seed_global_state(seed, self.device)  # for what draws from it: dropout, a plugin
        generator = torch.Generator(self.device).manual_seed(seed)  # all processes draw for the whole batch
        views = self.augment(images, generator, part=(rank(), world_size()))
        if self.config.trainer.channels_last:
            views = [view.contiguous(memory_format=torch.channels_last) for view in views]
        with divided_weights_explained():
            if batch_idx % self.config.trainer.accumulate == 0:
                self.method.before_step(self.progress)
            loss = self.method.loss(views, index).loss
        self.losses.append(loss.detach())
        return loss * self._weight(batch_idx)

    def _weight(self, batch_idx: int) -> float:
        """Undoes that Lightning divides each loss by `accumulate`, for an epoch's last step of fewer batches."""
        accumulate = self.config.trainer.accumulate
        last = self.batches % accumulate
        return accumulate / last if last and batch_idx >= self.batches - last else 1.0

    def steps_until(self, position: Position) -> int:
        """Returns the optimizer steps that are done at a position."""
        return position.epoch * self.steps_per_epoch + position.batch // self.config.trainer.accumulate

    def batches_of_step(self, batch_idx: int) -> int:
        """Returns the number of batches of the optimizer step that ends with this batch; 0 within a step."""
        done, accumulate = batch_idx + 1, self.config.trainer.accumulate
        return (done - 1) % accumulate + 1 if done % accumulate == 0 or done == self.batches else 0

    def step_within_epoch(self, batch_idx: int) -> int:
        """Returns the number, from 1, of the step that ends with this batch; 0 within a step and at an epoch's end."""
        done, accumulate = batch_idx + 1, self.config.trainer.accumulate
        return done // accumulate if done % accumulate == 0 and done != self.batches else 0

    def whole_method(self) -> Method:
        """Returns the method with whole weights, which rank zero may measure; all processes must call it."""
        strategy = None if self._trainer is None else self._trainer.strategy
        return strategy.whole_method() if isinstance(strategy, ShardedWeights) else self.method

    def on_fit_start(self) -> None:
        """Keeps the method of a run whose training had ended before: Lightning calls no hook of the training then."""
        if self.batches_done >= self.batches * self.config.epochs:
            self.trained = (self.whole_method(),)

    def on_train_end(self) -> None:
        """Keeps the trained method, in rank zero with whole weights."""
        self.trained = (self.whole_method(),)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what a continuation needs to know, as plain values and tensors."""
        checkpoint[STAMP] = {
            "config": to_mapping(self.config),
            "position": list(divmod(self.batches_done, self.batches)),
            "images": self.images,
            "losses": self.mean_losses().tolist(),
            **(self.about_data or {}),
        }

    def mean_losses(self) -> Tensor:
        """Returns the losses of this epoch's batches (B,), each the mean over the processes, which all must call it."""
        losses = [loss.to(self.device) for loss in self.losses]
        return average(torch.stack(losses)) if losses else torch.empty(0)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continues at the saved position."""
        position = Position(*checkpoint[STAMP]["position"])
        self.batches_done = position.epoch * self.batches + position.batch
        self.stretched = checkpoint[STAMP]["config"]["epochs"] != self.config.epochs
        self.losses = [torch.tensor(loss) for loss in checkpoint[STAMP]["losses"]]

    def on_after_backward(self) -> None:
        """Refuses parameters without a gradient where other processes would wait for it.

        Raises:
            UserError: names them.
        """
        if world_size() == 1 or self.config.trainer.strategy == "ddp_find_unused_parameters_true":
            return
        idle = [name for name, p in self.method.named_parameters() if p.requires_grad and p.grad is None]
        if idle:
            raise UserError(
                f"with several processes the loss must reach every parameter that requires a gradient; it does not "
                f"reach {len(idle)}, {idle[0]} among them; call requires_grad_(False) on what is not trained, such as "
                f"a copy of the encoder, and see ssl-zoo check method={self.config.method.name}"
            )

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Calls the method when gradients are complete."""
        with divided_weights_explained():
            self.method.after_backward(self.progress)

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradients by their length, that of divided and whole ones together."""
        if isinstance(self.trainer.strategy, ShardedWeights):
            if gradient_clip_val is not None:
                clip_gradients(list(self.method.parameters()), gradient_clip_val)
            return
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Steps the optimizer, then the method: once per optimizer step, under accumulation too."""
        progress = self.progress
        self.lr = scheduled_lr(self.trainer.optimizers[0])
        factor = weight_decay_factor(self.config.optimizer, progress.step, progress.total_steps)
        for group, weight_decay in zip(
            self.trainer.optimizers[0].param_groups, self.weight_decays, strict=True
        ):
            group["weight_decay"] = weight_decay * factor
        super().optimizer_step(*args, **kwargs)
        with divided_weights_explained():
            self.method.after_step(progress)

    def configure_optimizers(self) -> Any:
        """Returns optimizer and schedule, the latter stepped per optimizer step."""
        batch = self.config.batch_size * self.config.trainer.accumulate
        shards = world_size() > 1 and self.config.trainer.strategy == "zero1"
        optimizer = build_optimizer(self.config.optimizer, self.method, batch, shard_states=shards)
        self.weight_decays = [group["weight_decay"] for group in optimizer.param_groups]
        schedule = build_schedule(
            self.config.optimizer,
            optimizer,
            batch=batch,
            total_steps=self.total_steps,
            steps_per_epoch=self.steps_per_epoch,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _seed_global_state(seed: int, device: torch.device) -> None:
    """`torch.manual_seed`, without the 0.4 ms that it takes to note its call stack for absent devices."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def step_seed(seed: int, batch: int) -> int:
    """Returns the seed of all that is drawn for the run's n-th batch: 32 bits, as a CPU's generator reads no more.

    The factor, 2**32 by the golden ratio, lays the runs of neighbouring seeds far apart, so that no seed meets
    the draws of another some batches later.
    """
    return (seed * 0x9E3779B1 + batch) % 2**32
