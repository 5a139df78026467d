"""Gaussian blur, each image with its own standard deviation, as two batched matrix products."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

__all__ = ["blur_with", "gaussian_blur", "gaussian_kernel", "kernel_side"]


def kernel_side(share: float, size: int) -> int:
    """Returns the odd number nearest to ``share * size``, at least 3 and within reach of a reflection."""
    return min(max(3, 2 * int(share * size / 2) + 1), 2 * size - 1)


def gaussian_blur(images: Tensor, sigma: Tensor, kernel_size: int) -> Tensor:
    """Blurs each image, with reflected borders, as torchvision's ``F.gaussian_blur``.

    Args:
        images: (N, C, H, W) floats.
        sigma: (N,) standard deviations in pixels.
        kernel_size: side of the kernel in pixels, odd, at most 2 min(H, W) - 1.

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: the kernel is even or reaches beyond the reflected image.
    """
    most = 2 * min(images.shape[2:]) - 1
    if kernel_size % 2 == 0 or kernel_size > most:
        raise ValueError(
            f"kernel_size must be odd and at most 2 * side - 1 = {most}; received {kernel_size}; use "
            f"kernel_side(share, size)"
        )
    return blur_with(images, gaussian_kernel(sigma, kernel_size))


def gaussian_kernel(sigma: Tensor, kernel_size: int) -> Tensor:
    """Returns the right halves (N, K // 2 + 1) of kernels that sum to 1, for sigma (N,) and an odd side K."""
    offset = torch.arange(kernel_size // 2 + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offset / sigma.unsqueeze(1)) ** 2)
    return kernel / (2 * kernel.sum(dim=1, keepdim=True) - 1)  # the middle, exp(0) = 1, counts once


def blur_with(images: Tensor, kernel: Tensor, out: Tensor | None = None) -> Tensor:
    """Convolves images (N, C, H, W) along both axes with the kernels of ``gaussian_kernel``."""
    n, channels, height, width = images.shape
    reach = kernel.shape[1] - 1
    bx = (kernel @ _taps(reach, width, images.device)).view(n, width, width)
    by = bx if height == width else (kernel @ _taps(reach, height, images.device)).view(n, height, height)
    x = torch.bmm(images.reshape(n, channels * height, width), bx.mT).view(images.shape)
    return torch.matmul(by.unsqueeze(1), x, out=out)


@functools.lru_cache(maxsize=16)
def _taps(reach: int, side: int, device: torch.device) -> Tensor:
    """How often output i sees input j at distance d, borders reflected: (reach + 1, side * side)."""
    with torch.inference_mode(False):
        output = torch.arange(side, device=device)
        taps = torch.zeros(reach + 1, side, side, device=device)
        for distance in range(-reach, reach + 1):
            source = (output + distance).abs()
            source = torch.where(source >= side, 2 * (side - 1) - source, source)
            taps[abs(distance), output, source] += 1
        return taps.view(reach + 1, side * side)
