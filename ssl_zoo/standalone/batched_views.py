"""Our batched augmentation in place of a lightly transform: the same views, of a whole batch, on its device."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from ssl_zoo.augment import Augment
from ssl_zoo.config.mapping import resolve_views
from ssl_zoo.config.schema import AugmentConfig, ViewConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.distributed import rank
from ssl_zoo.errors import UserError, shown
from ssl_zoo.standalone.lightly_views import ReadViews, build_transform, read_transform

__all__ = ["BatchedViews"]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


class BatchedViews(nn.Module):
    """Makes the views of a batch of images, as a lightly transform makes those of one image.

        views = ssl_zoo.BatchedViews("SimCLRTransform", input_size=32, cj_strength=0.5)
        x0, x1 = views(images)  # uint8 (N, 3, H, W), on any device

    The distribution is the transform's: its settings are read back from lightly's own object. Random numbers follow
    `torch.manual_seed`, other ones in each process.

    Args:
        transform: name of a transform of lightly ("SimSiamTransform", "SimCLRTransform", "BYOLTransform",
            "MoCoV2Transform", "SwaVTransform", "DINOTransform" …), or one that has been made; None with `augment`.
        size: side of the views, where all have one, in place of the transform's.
        augment: views by our own keys (docs/keys.md, `augment.`), as a mapping: {"size": 32, "blur": {"p": 0}}.
        mean: of pixels in [0, 1], for `augment`; ImageNet's by default.
        std: likewise.
        settings: arguments of the lightly transform, by lightly's names.

    Raises:
        UserError: no such transform or setting; the transform does what batched views do not (vertical flips,
            rotations, operations in another order).
    """

    def __init__(
        self,
        transform: Any = None,
        *,
        size: int | None = None,
        augment: Mapping[str, Any] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__()
        if (transform is None) == (augment is None):
            raise UserError(
                "BatchedViews takes a transform of lightly or augment={…}; received "
                f"{'neither' if transform is None else 'both'}; e.g. BatchedViews('SimCLRTransform', input_size=32)"
            )
        if settings and not isinstance(transform, str):
            raise UserError(
                f"settings go with the name of a transform; received {', '.join(settings)} with {shown(transform)}; "
                "set them where the transform is made"
            )
        if augment is not None:
            config = validate(AugmentConfig, resolve_views(augment, 2), "augment")
            flat = tuple(_plain(view) for view in config.flat)
            read = ReadViews(flat, tuple(mean or IMAGENET[0]), tuple(std or IMAGENET[1]))
        else:
            if mean is not None or std is not None:
                raise UserError("mean and std go with augment={…}; with a transform set lightly's normalize=")
            made = build_transform(transform, settings) if isinstance(transform, str) else transform
            read = read_transform(made)
        if size is not None and (not isinstance(size, int) or size < 1):
            raise UserError(f"size must be a whole number of pixels, at least 1; received {shown(size)}")
        if not all(value > 0 for value in read.std):
            raise UserError(f"std must be above 0; received {shown(read.std)}")
        views = read.views if size is None else _resized(read.views, size)
        self.augment = Augment(views, read.mean, read.std)

    @property
    def views(self) -> tuple[ViewConfig, ...]:
        """Settings of each view."""
        return self.augment.views

    # A compiled step calls it as it is: it sorts by what it draws.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, images: Tensor) -> list[Tensor]:
        """Makes the views.

        Args:
            images: (N, C, H, W), uint8 or uint16, or floats in [0, 1] as `ToTensor` makes them, which are rounded to
                the 256 levels that they came from.

        Returns:
            Per view a float32 tensor (N, C, size, size), normalised.

        Raises:
            UserError: images of another type or number of channels, or floats beyond [0, 1].
        """
        if not isinstance(images, Tensor) or images.ndim != 4:
            got = tuple(images.shape) if isinstance(images, Tensor) else f"a {type(images).__name__}"
            raise UserError(
                f"images must be one tensor (N, C, H, W), of one size; received {got}; resize them when "
                "they are loaded"
            )
        if images.is_floating_point():
            images = _levels(images)
        channels = len(self.augment.mean)
        if images.dtype not in (torch.uint8, torch.uint16) or images.shape[1] != channels:
            raise UserError(
                f"images must be pixels of {channels} channels, uint8, uint16, or floats in [0, 1]; received "
                f"{images.dtype} {tuple(images.shape)}; gray ones need images.expand(-1, 3, -1, -1), or mean= and std= "
                "of one value with augment={…}; PIL images convert('RGB')"
            )
        seed = int(torch.randint(2**62, ()))
        generator = torch.Generator(images.device).manual_seed(seed + rank())
        return self.augment(images, generator)  # type: ignore[no-any-return]

    def collate(self, items: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
        """Collates items of a dataset, (image, label, …), to (views, labels, …): a `collate_fn` for DataLoader.

        Images are uint8 tensors, `ToTensor`'s floats, arrays (H, W, C) or PIL images, of one size. What else the items
        hold is collated as lightly does: numbers to a tensor, names to a list.
        """
        if not items or not all(isinstance(item, (tuple, list)) for item in items):
            got = "none" if not items else f"a {type(items[0]).__name__}"
            raise UserError(f"items must be (image, label, …), at least (image,); received {got}")
        images, *rest = zip(*items, strict=True)
        pixels = [_pixels(image) for image in images]
        shapes = sorted({tuple(image.shape) for image in pixels})
        if len(shapes) > 1:
            raise UserError(
                f"images of a batch must be of one size; received {shapes[0]} and {shapes[-1]}; resize them in the "
                "dataset's transform, Resize((SIDE, SIDE))"
            )
        return (self(torch.stack(pixels)), *map(_collated, rest))


def _pixels(image: Any) -> Tensor:
    """Returns an image as (C, H, W)."""
    if isinstance(image, Tensor):
        return image
    array = np.array(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)


def _collated(values: Sequence[Any]) -> Any:
    """Returns numbers and tensors as one tensor, other values as a list."""
    if isinstance(values[0], (int, float)):
        return torch.tensor(values)
    return default_collate(list(values)) if isinstance(values[0], (Tensor, np.generic)) else list(values)


def _levels(images: Tensor) -> Tensor:
    low, high = images.aminmax() if len(images) else (torch.zeros(()), torch.zeros(()))
    if not (low >= 0 and high <= 1):
        fix = (
            "divide them by 255"
            if low >= 0 and high <= 255
            else "leave Normalize out of the dataset's transform, as the views are normalised"
        )
        raise UserError(
            f"images must be pixels in [0, 1]; received values from {float(low):.3g} to {float(high):.3g}; {fix}"
        )
    return (images * 255).round().to(torch.uint8)


def _resized(views: tuple[ViewConfig, ...], size: int) -> tuple[ViewConfig, ...]:
    sizes = sorted({view.size for view in views})
    if len(sizes) > 1:
        raise UserError(
            f"size={size} is that of all views, but the transform makes them of {sizes}; set lightly's own arguments, "
            "crop_sizes=(…) or global_crop_size= and local_crop_size="
        )
    return tuple(_at_size(view, size) for view in views)


def _at_size(view: ViewConfig, size: int) -> ViewConfig:
    """Returns the view at another size; the kernel of its blur keeps its pixels."""
    kernel = min(1.0, view.blur.kernel * view.size / size)
    return dataclasses.replace(view, size=size, blur=dataclasses.replace(view.blur, kernel=kernel))


def _plain(view: ViewConfig) -> ViewConfig:
    return ViewConfig(**{field.name: getattr(view, field.name) for field in dataclasses.fields(ViewConfig)})
