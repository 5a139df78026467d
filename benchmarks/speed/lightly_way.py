"""A method as lightly's documentation writes it: its transforms, dataset, losses and a Lightning Trainer.

The network is the same: our backbone, and heads of the same layers, which are lightly's `ProjectionHead`. So are the
strength of the augmentation as far as lightly's transform has it, batch size, learning rate, momentum and weight
decay. All else is as in lightly's examples: float32, a DataLoader with worker processes, Lightning's own defaults.

- [0] lightly, https://docs.lightly.ai/self-supervised-learning/examples/simsiam.html (byol, simclr, moco)
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset
from torchvision.datasets import VisionDataset
from torchvision.transforms.functional import to_pil_image

from ssl_zoo.backbone import build_backbone
from ssl_zoo.config.schema import RunConfig, SiameseConfig, ViewConfig
from ssl_zoo.data import load_data
from ssl_zoo.errors import UserError
from ssl_zoo.from_lightly import (
    BYOLTransform,
    BYOLView1Transform,
    BYOLView2Transform,
    LightlyDataset,
    MoCoV2Transform,
    MultiViewCollate,
    MultiViewTransform,
    NegativeCosineSimilarity,
    NTXentLoss,
    SimCLRTransform,
    SimSiamTransform,
    deactivate_requires_grad,
    update_momentum,
)
from ssl_zoo.parts.heads import build_predictor, build_projector
from ssl_zoo.run_dir.naming import differing_axes
from ssl_zoo.training.optim import peak_lr

from .pause import die_with_parent

__all__ = ["LightlyMethod", "build_loader", "build_model", "build_transform", "check"]

Views = tuple[list[Tensor], Tensor, list[str]]  # two (N, C, size, size), labels (N,), file names


def check(config: RunConfig) -> None:
    """Refuses what lightly's examples lack.

    Raises:
        UserError: another method, another variant of a method, or more than two views.
    """
    name = config.method.name
    if name not in STEPS:
        raise UserError(
            f"lightly's way is written for {', '.join(sorted(STEPS))}; received method={name}; choose one of them, "
            "or leave lightly out of --contenders"
        )
    changed = differing_axes(config)
    if changed or len(config.views) != 2:
        what = ", ".join(f"{axis}={value}" for axis, value in changed.items()) or f"{len(config.views)} views"
        raise UserError(
            f"lightly's way is the paper's method on two views; received {what}; leave that out, or leave lightly out "
            "of --contenders"
        )


class LightlyMethod(pl.LightningModule):
    """Four methods of the examples, which differ in their step."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        check(config)
        method = config.method
        assert isinstance(method, SiameseConfig)
        backbone = build_backbone(config.backbone, config.data.channels, config.augment.size)
        self.run = config
        self.momentum = method.momentum_encoder.decay
        self.backbone = backbone.model
        self.projection_head = build_projector(method.projector, backbone.num_features)
        dim = method.projector.output_dim if method.projector.layers else backbone.num_features
        self.prediction_head = build_predictor(method.predictor, dim)
        if method.momentum_encoder.enabled:
            self.backbone_momentum = copy.deepcopy(self.backbone)
            self.projection_head_momentum = copy.deepcopy(self.projection_head)
            deactivate_requires_grad(self.backbone_momentum)
            deactivate_requires_grad(self.projection_head_momentum)
        queue = (method.queue.size, dim) if method.negatives == "queue" else 0
        contrasts = method.similarity == "info_nce"
        self.criterion = NTXentLoss(method.temperature, queue) if contrasts else NegativeCosineSimilarity()
        self.step: Callable[..., Tensor] = STEPS[method.name]

    def forward(self, x: Tensor) -> Tensor:
        """Maps images (N, C, H, W) to embeddings (N, D)."""
        z: Tensor = self.projection_head(self.backbone(x))
        return z

    def forward_momentum(self, x: Tensor) -> Tensor:
        """Maps images to embeddings of the momentum encoder, without gradient as in the examples."""
        z: Tensor = self.projection_head_momentum(self.backbone_momentum(x))
        return z.detach()

    def update(self) -> None:
        """Updates the momentum encoder."""
        update_momentum(self.backbone, self.backbone_momentum, m=self.momentum)
        update_momentum(self.projection_head, self.projection_head_momentum, m=self.momentum)

    def training_step(self, batch: Views, batch_idx: int) -> Tensor:
        """Computes the loss of a batch."""
        (x0, x1), _, _ = batch
        return self.step(self, x0, x1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Returns SGD, as in the examples, with the run's settings."""
        wanted = self.run.optimizer
        lr = peak_lr(wanted, self.run.batch_size * self.run.trainer.accumulate)
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return torch.optim.SGD(trained, lr=lr, momentum=wanted.momentum, weight_decay=wanted.weight_decay)


def _simsiam(model: LightlyMethod, x0: Tensor, x1: Tensor) -> Tensor:
    z0, z1 = model(x0), model(x1)
    p0, p1 = model.prediction_head(z0), model.prediction_head(z1)
    loss: Tensor = 0.5 * (model.criterion(z0.detach(), p1) + model.criterion(z1.detach(), p0))
    return loss


def _byol(model: LightlyMethod, x0: Tensor, x1: Tensor) -> Tensor:
    model.update()
    p0, z0 = model.prediction_head(model(x0)), model.forward_momentum(x0)
    p1, z1 = model.prediction_head(model(x1)), model.forward_momentum(x1)
    loss: Tensor = 0.5 * (model.criterion(p0, z1) + model.criterion(p1, z0))
    return loss


def _simclr(model: LightlyMethod, x0: Tensor, x1: Tensor) -> Tensor:
    loss: Tensor = model.criterion(model(x0), model(x1))
    return loss


def _moco(model: LightlyMethod, x0: Tensor, x1: Tensor) -> Tensor:
    model.update()
    loss: Tensor = model.criterion(model(x0), model.forward_momentum(x1))
    return loss


STEPS = {"simsiam": _simsiam, "byol": _byol, "simclr": _simclr, "moco": _moco}


def build_transform(config: RunConfig) -> MultiViewTransform:
    """Returns lightly's transform of the method, with the run's settings: a PIL image to two tensors (C, size, size).

    It has the rotation of an affine augmentation, but no shear, noise or cutout.
    """

    def options(view: ViewConfig) -> dict[str, Any]:
        jitter, mean, std = view.jitter, config.data.mean, config.data.std
        return {
            "input_size": view.size,
            "cj_prob": jitter.p,
            "cj_strength": jitter.strength,
            "cj_bright": jitter.brightness,
            "cj_contrast": jitter.contrast,
            "cj_sat": jitter.saturation,
            "cj_hue": jitter.hue,
            "min_scale": view.crop.scale[0],
            "random_gray_scale": view.grayscale,
            "gaussian_blur": view.blur.p,
            "sigmas": view.blur.sigma,
            "hf_prob": view.flip,
            "rr_prob": view.affine.p,
            "rr_degrees": view.affine.degrees or None,
            "normalize": {"mean": list(mean), "std": list(std)},  # of one channel where the images have one
        }

    first, second = config.views
    if config.method.name == "byol":
        other = BYOLView2Transform(**options(second), solarization_prob=second.solarize.p)
        return BYOLTransform(BYOLView1Transform(**options(first)), other)
    kinds = {"simsiam": SimSiamTransform, "simclr": SimCLRTransform, "moco": MoCoV2Transform}
    return kinds[config.method.name](**options(first))


class _Pictures(VisionDataset):  # type: ignore[misc]
    """PIL images and labels, as torchvision's own datasets of arrays in memory give them."""

    def __init__(self, images: Tensor) -> None:
        super().__init__(root="")
        self.images = images  # uint8 (N, C, H, W)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        picture = to_pil_image(self.images[index])
        return self.transform(picture) if self.transform is not None else picture, 0


def build_loader(config: RunConfig, workers: int) -> DataLoader[Any]:
    """Returns the DataLoader of the examples. A folder of images is read image by image, as in lightly."""
    transform = build_transform(config)
    dataset: Dataset[Any]
    if config.data.source == "imagefolder":
        dataset = folder = LightlyDataset(config.data.train, transform=transform)
        limit = config.data.limit
        if limit is not None and limit < len(folder):
            chosen = torch.randperm(len(folder), generator=torch.Generator().manual_seed(0))[:limit]
            dataset = Subset(folder, chosen.tolist())
    else:
        images = getattr(load_data(config.data).train, "images", None)
        assert images is not None, "all other sources are in memory"
        dataset = LightlyDataset.from_torch_dataset(_Pictures(images), transform=transform)
    return DataLoader(
        dataset,
        batch_size=config.batch_size,
        collate_fn=MultiViewCollate(),
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        worker_init_fn=lambda _: die_with_parent(),
    )


def build_model(config: RunConfig) -> LightlyMethod:
    """Returns the module, with weights drawn from the run's seed."""
    torch.manual_seed(config.seed)
    return LightlyMethod(config)
