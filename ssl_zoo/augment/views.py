"""Views of a batch: drawn and computed on the device of the images.

lightly's transforms take one PIL image at a time. Batched, views of the same distribution are faster, small ones over
ten times on one core (`benchmarks/speed/augmentation.py`), and a GPU needs no transfer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby

import torch
from torch import Tensor, nn

from ssl_zoo.augment.affine import affine
from ssl_zoo.augment.autoaugment import AutoAugmentStep
from ssl_zoo.augment.blur import blur_with, gaussian_kernel, kernel_side
from ssl_zoo.augment.color import grayscale, solarize
from ssl_zoo.augment.crop import Crop
from ssl_zoo.augment.cutout import cutout
from ssl_zoo.augment.jitter import jitter_steps
from ssl_zoo.augment.noise import gaussian_noise
from ssl_zoo.augment.parameters import Parameters, draw
from ssl_zoo.augment.per_image import Step
from ssl_zoo.augment.pixels import constant, joined, normalize, to_float
from ssl_zoo.augment.rotate import rotate_steps
from ssl_zoo.augment.sobel import sobel
from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.errors import UserError

__all__ = ["Augment", "view_steps"]

CACHED = 147456  # values per thread that are processed together: 576 KiB, with temporaries an L2 cache


class Augment(nn.Module):
    """Makes the views of a batch, each image of each view with its own random parameters.

    Operations follow one another in the order of `ViewConfig`'s keys; the result is normalised. They include all
    of [0], Figures 4 and 5. Consecutive views of equal settings are drawn and computed together.

    Args:
        views: settings of each view.
        mean: C values, of pixels in [0, 1].
        std: C values above 0.

    Raises:
        UserError: mean and std don't have one value per channel; a view computes with colours, of other than 1 or 3
            channels.

    - [0] SimCLR, 2020, https://arxiv.org/abs/2002.05709
    """

    def __init__(self, views: Sequence[ViewConfig], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != len(std) or not mean:
            raise UserError(
                f"mean and std need one value per channel; received {len(mean)} and {len(std)}; set data.mean and "
                "data.std"
            )
        coloured = {key for view in views for key in view.needs_colours}
        if len(mean) not in (1, 3) and coloured:
            raise UserError(
                f"{', '.join(sorted(coloured))} compute with red, green and blue; received mean and std of {len(mean)} "
                "channels; set them to 0"
            )
        self.views = tuple(views)
        self.mean = tuple(mean)
        self.std = tuple(std)

    def forward(
        self,
        images: Tensor | Sequence[Tensor],
        generator: torch.Generator,
        part: tuple[int, int] = (0, 1),
    ) -> list[Tensor]:
        """Makes the views.

        Args:
            images: one batch (N, C, H, W), uint8 or uint16, or per view one that has been cropped to its size already,
                (N, C, size, size). Left unchanged.
            generator: the only source of randomness, on the images' device.
            part: (rank, world): the images are the rank-th of ``world`` equal consecutive parts of a larger
                batch. Processes whose generators are in the same state then make together the views that one
                process would make of the whole batch: the draws are the same, the values equal to rounding.

        Returns:
            Per view a float32 tensor (N, C, size, size), normalised. The same call gives the same bits on the same
            machine with the same number of threads. On another machine, with other threads or in other parts, the
            draws are the same and the values equal to rounding, as kernels depend on the size of a batch and on the
            threads.

        Raises:
            ValueError: the images have another type, shape or number than stated, the generator another
                device, or there is no such part.
        """
        if not 0 <= part[0] < part[1]:
            raise ValueError(
                f"part must be (rank, world) with 0 <= rank < world; received {part}; use (0, 1) for a whole batch"
            )
        cropped = not isinstance(images, Tensor)
        batches = [images] * len(self.views) if isinstance(images, Tensor) else list(images)
        if len(batches) != len(self.views):
            raise ValueError(
                f"cropped images need one batch per view, {len(self.views)}; received {len(batches)}"
            )
        for view, batch in zip(self.views, batches, strict=True):
            self._check(batch, view.size if cropped else None, generator)
        result: list[Tensor] = []
        for (view, _), group in groupby(
            zip(self.views, batches, strict=True), lambda pair: (pair[0], pair[1].shape)
        ):
            result += self._make_equal([batch for _, batch in group], view, generator, cropped, part)
        return result

    def _make_equal(
        self,
        batches: list[Tensor],
        view: ViewConfig,
        generator: torch.Generator,
        cropped: bool,
        part: tuple[int, int],
    ) -> Sequence[Tensor]:
        """Makes views of equal settings together, as larger batches cost less per image."""
        (n, channels, *_), count, device = batches[0].shape, len(batches), batches[0].device
        rank, world = part
        out = torch.empty(count * n, channels, view.size, view.size, device=device)
        # `out` is an ordinary tensor; intermediate ones are cheaper in inference mode. Pixels keep float32.
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            images = joined(batches)
            whole = torch.Size((count * world * n, *images.shape[1:]))
            parameters = draw(view, whole, generator, device, cropped)
            if world > 1:
                positions = torch.arange(count * world * n, device=device).view(count, world, n)
                parameters = parameters.rows(positions[:, rank].flatten())
            at_once = CACHED * torch.get_num_threads() // (channels * view.size**2)
            if device.type != "cpu":
                self._make(images, view, parameters, None, len(images), out)
            elif at_once <= 1:  # sorting would gain nothing
                self._make(images, view, parameters, None, 1, out)
            else:
                order = parameters.grouped(len(images))
                ordered = torch.empty_like(out)
                self._make(images, view, parameters.rows(order), order, at_once, ordered)
                torch.index_select(ordered, 0, order.argsort(), out=out)
        return out.view(count, n, *out.shape[1:]).unbind()

    def _make(
        self,
        images: Tensor,
        view: ViewConfig,
        parameters: Parameters,
        order: Tensor | None,
        at_once: int,
        out: Tensor,
    ) -> None:
        """Makes a view of ``images[order]``, ``at_once`` images at a time, so that they stay in a CPU's cache."""
        first, steps = view_steps(view, parameters, images.shape, self.mean)
        for start in range(0, len(images), max(1, at_once)):
            rows = slice(start, start + at_once)
            x = first(images[rows] if order is None else images.index_select(0, order[rows]), start)
            for step in steps:
                x = step(x, start)
            normalize(x, self.mean, self.std, out=out[rows])

    def _check(self, images: Tensor, size: int | None, generator: torch.Generator) -> None:
        shape = ("N", len(self.mean), size or "H", size or "W")
        fits = images.ndim == 4 and all(
            isinstance(expected, str) or actual == expected
            for actual, expected in zip(images.shape, shape, strict=True)
        )
        if not fits or images.dtype not in (torch.uint8, torch.uint16):
            raise ValueError(
                f"images must be uint8 or uint16 ({', '.join(map(str, shape))}); received {images.dtype} "
                f"{tuple(images.shape)}; convert them, or set data.channels and the views' size"
            )
        if generator.device.type != images.device.type:
            raise ValueError(
                f"the generator must be on the images' device, {images.device}; received one on "
                f"{generator.device}; make it with torch.Generator('{images.device}')"
            )


def view_steps(
    view: ViewConfig, parameters: Parameters, images: torch.Size, mean: tuple[float, ...]
) -> tuple[Callable[[Tensor, int], Tensor], list[Callable[[Tensor, int], Tensor]]]:
    """Returns the function that turns integer images into floats, and the operations that follow.

    Args:
        view: sizes and thresholds; its probabilities are not read.
        parameters: of each image.
        images: their shape, (N, C, H, W).
        mean: C values, which ``cutout`` fills in.
    """
    p = parameters
    _, channels, height, width = images
    steps: list[Callable[[Tensor, int], Tensor]] = []
    first: Callable[[Tensor, int], Tensor]
    if p.boxes is not None:
        first = Crop(p.boxes, p.flip, height, width, view.size, view.crop.interpolation)
    else:
        first = _uncropped
        if p.flip is not None:
            steps.append(Step(_mirror, p.flip))
    if p.autoaugment is not None:
        steps.append(AutoAugmentStep(view.autoaugment, p.autoaugment))
    if p.affine is not None:
        steps.append(Step(affine, *p.affine))
    if p.rotate is not None:
        steps += rotate_steps(p.rotate)
    if p.jitter is not None:
        steps += jitter_steps(channels, *p.jitter, operations=view.jitter.operations)
    if p.gray is not None and channels > 1:
        steps.append(Step(grayscale, p.gray))
    if p.blur is not None:
        kernel = gaussian_kernel(p.blur.sigma, kernel_side(view.blur.kernel, view.size))
        steps.append(Step(partial(blur_with, padding=view.blur.padding), p.blur.on, kernel))
    if p.noise is not None:
        steps.append(Step(partial(gaussian_noise, std=view.noise.std), *p.noise))
    if p.sobel is not None:
        steps.append(Step(sobel, p.sobel))
    if p.solarize is not None:
        steps.append(Step(partial(solarize, threshold=view.solarize.threshold), p.solarize))
    if p.cutout is not None:
        fill = constant(mean, p.cutout.on.device)
        steps.append(Step(partial(cutout, fill=fill), *p.cutout))
    return first, steps


def _uncropped(images: Tensor, start: int) -> Tensor:
    return to_float(images.transpose(0, 1).contiguous()).transpose(0, 1)


def _mirror(images: Tensor, out: Tensor | None = None) -> Tensor:
    mirrored = images.flip(3)
    return mirrored if out is None else out.copy_(mirrored)
