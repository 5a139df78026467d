"""Gaussian blur, each image with its own standard deviation, as two batched matrix products."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["blur_with", "gaussian_blur", "gaussian_kernel", "kernel_side"]

BAND = 64  # outputs at a time, where an axis is at least twice as long: further inputs have no weight
TINY = (
    1e-20  # smaller weights are set to 0: products with denormal numbers take a CPU a hundred times as long
)


def kernel_side(fraction: float, size: int) -> int:
    """Returns the odd number nearest to ``fraction * size``, at least 3 and within reach of a reflection."""
    return min(max(3, 2 * int(fraction * size / 2) + 1), 2 * size - 1)


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int, padding: str = "reflect") -> Tensor:
    """Blurs each image, as torchvision's ``F.gaussian_blur`` or, with zeros beyond the borders, TensorFlow's "SAME".

    Args:
        images: (N, C, H, W) floats.
        sigma: (N,) standard deviations in pixels.
        kernel_size: side of the kernel in pixels, odd, at most 2 min(H, W) - 1.
        padding: what lies beyond the borders: reflect (the image) or zeros (black, as in SimCLR's and BYOL's code).

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: the kernel is even or reaches beyond the reflected image.
    """
    most = 2 * min(images.shape[2:]) - 1
    if kernel_size % 2 == 0 or kernel_size > most:
        raise ValueError(
            f"kernel_size must be odd and at most 2 * side - 1 = {most}; received {kernel_size}; use "
            f"kernel_side(fraction, size)"
        )
    return blur_with(images, gaussian_kernel(sigma, kernel_size), padding=padding)


def gaussian_kernel(sigma: Tensor, kernel_size: int) -> Tensor:
    """Returns the right halves (N, K // 2 + 1) of kernels that sum to 1, for sigma (N,) and an odd side K."""
    offset = torch.arange(kernel_size // 2 + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offset / sigma.unsqueeze(1)) ** 2)
    kernel = functional.threshold(kernel, TINY, 0.0)
    return kernel / (2 * kernel.sum(dim=1, keepdim=True) - 1)  # the middle, exp(0) = 1, counts once


def blur_with(images: Tensor, kernel: Tensor, out: Tensor | None = None, padding: str = "reflect") -> Tensor:
    """Convolves images (N, C, H, W) along both axes with the kernels of ``gaussian_kernel``."""
    height, width = images.shape[2:]
    out = torch.empty_like(images) if out is None else out
    rows = list(_bands(kernel, height, padding))
    columns = rows if height == width else list(_bands(kernel, width, padding))
    for x, y in zip(images.unbind(1), out.unbind(1), strict=True):  # one for all would repeat the weights
        parts = [torch.bmm(x[:, :, inputs], weights.mT) for _, inputs, weights in columns]
        x = torch.cat(parts, dim=2) if len(parts) > 1 else parts[0]  # (N, H, W)
        for outputs, inputs, weights in rows:
            torch.bmm(weights, x[:, inputs], out=y[:, outputs])
    return out


def _bands(kernel: Tensor, side: int, padding: str) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yields output pixels of an axis, the input pixels within reach, and their weights (N, outputs, inputs)."""
    n, reach = len(kernel), kernel.shape[1] - 1
    band = side if side < 2 * BAND else BAND
    for start in range(0, side, band):
        stop = min(start + band, side)
        first, last = max(0, start - reach), min(side, stop + reach)
        weights = kernel @ _taps(reach, side, start, stop, padding, kernel.device)
        yield slice(start, stop), slice(first, last), weights.view(n, stop - start, last - first)


@functools.lru_cache(maxsize=64)
def _taps(reach: int, side: int, start: int, stop: int, padding: str, device: torch.device) -> Tensor:
    """Counts how often outputs from start to stop read each input at each distance, borders reflected or black.

    Returns:
        (reach + 1, outputs * inputs)
    """
    with torch.inference_mode(False):
        output = torch.arange(side, device=device)
        taps = torch.zeros(reach + 1, side, side, device=device)
        for distance in range(-reach, reach + 1):
            source = (output + distance).abs()
            source = torch.where(source >= side, 2 * (side - 1) - source, source)
            if padding == "reflect":
                taps[abs(distance), output, source] += 1
            else:
                taps[abs(distance), output, source] += (source == output + distance).float()
        return taps[:, start:stop, max(0, start - reach) : stop + reach].reshape(reach + 1, -1)
