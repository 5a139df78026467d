"""The views of a batch: drawn and made on the device that the images are on.

Measured against one image at a time through PIL, a batch makes the same views some ten times faster on one
core, and on a GPU it costs no transfer: that is why this is not lightly's transform.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ssl_zoo.augment.affine import affine
from ssl_zoo.augment.blur import gaussian_blur, kernel_side
from ssl_zoo.augment.color import grayscale, solarize
from ssl_zoo.augment.crop import resized_crop
from ssl_zoo.augment.jitter import color_jitter
from ssl_zoo.augment.parameters import Parameters, draw
from ssl_zoo.augment.pixels import normalize, to_float
from ssl_zoo.augment.select import apply
from ssl_zoo.errors import UserError
from ssl_zoo.schema import ViewConfig

__all__ = ["Augment", "render"]

CACHED = 393216  # 384 KiB, within an L2 cache


class Augment(nn.Module):
    """Makes the views of a batch, each image of each view with its own random parameters.

    In this order: crop and flip, affine, jitter, grayscale, blur, solarize, normalise.

    Args:
        views: what each view is made with.
        mean: C values, of pixels in [0, 1].
        std: C values above 0.

    Raises:
        UserError: mean and std don't have one value for each of 1 or 3 channels.
    """

    def __init__(self, views: Sequence[ViewConfig], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or len(mean) not in (1, 3):
            raise UserError(
                f"mean and std need one value per channel, for 1 or 3 channels; received {len(mean)} and "
                f"{len(std)}; set data.mean and data.std"
            )
        self.views = tuple(views)
        self.mean = tuple(mean)
        self.std = tuple(std)

    @torch.no_grad()
    def forward(self, images: Tensor | Sequence[Tensor], generator: torch.Generator) -> list[Tensor]:
        """Makes the views.

        Args:
            images: one uint8 batch (N, C, H, W), or per view one that has been cropped to its size already,
                (N, C, size, size). Left unchanged.
            generator: the only source of randomness, on the images' device.

        Returns:
            Per view a float32 tensor (N, C, size, size), normalised.

        Raises:
            ValueError: the images have another type, shape or number than stated.
        """
        cropped = not isinstance(images, Tensor)
        batches = [images] * len(self.views) if isinstance(images, Tensor) else list(images)
        if len(batches) != len(self.views):
            raise ValueError(
                f"cropped images need one batch per view, {len(self.views)}; received {len(batches)}"
            )
        outputs = []
        for view, batch in zip(self.views, batches, strict=True):
            self._check(batch, view.size if cropped else None)
            outputs.append(self._view(batch, view, generator, cropped))
        return outputs

    def _view(self, images: Tensor, view: ViewConfig, generator: torch.Generator, cropped: bool) -> Tensor:
        n, _, height, width = images.shape
        parameters = draw(view, n, height, width, generator, cropped)
        with torch.autocast(images.device.type, enabled=False):  # pixels keep their precision
            if images.device.type == "cpu":
                return self._in_parts(images, view, parameters)
            return normalize(render(images, view, parameters), self.mean, self.std)

    def _in_parts(self, images: Tensor, view: ViewConfig, parameters: Parameters) -> Tensor:
        """Makes the view a part at a time, each part staying in the CPU's cache from first to last."""
        n, channels = images.shape[:2]
        out = torch.empty(n, channels, view.size, view.size)
        step = max(1, CACHED * torch.get_num_threads() // (channels * view.size**2))
        with torch.inference_mode():  # `out` is an ordinary tensor; what comes between is cheaper this way
            order = parameters.grouped(n)
            parameters = parameters.rows(order)
            grouped = torch.empty_like(out)
            for start in range(0, n, step):
                rows = slice(start, start + step)
                pixels = render(images.index_select(0, order[rows]), view, parameters.rows(rows))
                normalize(pixels, self.mean, self.std, out=grouped[rows])
            return torch.index_select(grouped, 0, order.argsort(), out=out)

    def _check(self, images: Tensor, size: int | None) -> None:
        shape = ("N", len(self.mean), size or "H", size or "W")
        fits = images.ndim == 4 and all(
            isinstance(want, str) or have == want for have, want in zip(images.shape, shape, strict=True)
        )
        if not fits or images.dtype != torch.uint8:
            raise ValueError(
                f"images must be uint8 ({', '.join(map(str, shape))}); received {images.dtype} "
                f"{tuple(images.shape)}; convert them, or set data.channels and the views' size"
            )


def render(images: Tensor, view: ViewConfig, parameters: Parameters) -> Tensor:
    """Makes one view with given parameters.

    Args:
        images: (N, C, H, W) uint8.
        view: sizes and thresholds; its probabilities are not read.
        parameters: of each image.

    Returns:
        (N, C, size, size) float32 in [0, 1].
    """
    p = parameters
    if p.boxes is not None:
        x = resized_crop(images, p.boxes, p.flip, view.size, view.crop.interpolation)
    else:
        x = to_float(images)
        if p.flip is not None:
            x = torch.where(p.flip.view(-1, 1, 1, 1), x.flip(3), x)
    if p.affine is not None:
        x = apply(p.affine, x, affine, p.angle, p.translate, p.scale, p.shear)
    if p.jitter is not None:
        x = color_jitter(x, p.jitter, p.order, p.factors, p.shift)
    if p.gray is not None:
        x = apply(p.gray, x, grayscale)
    if p.blur is not None:
        kernel = kernel_side(view.blur.kernel, view.size)
        x = apply(p.blur, x, partial(gaussian_blur, kernel_size=kernel), p.sigma)
    if p.solarize is not None:
        x = apply(p.solarize, x, partial(solarize, threshold=view.solarize.threshold))
    return x
