"""Gaussian noise that is a function of one seed per image.

A generator's draws depend on their number and order. Here value i of an image is a hash of (seed, i), so an image
gets the same noise whatever the other images of the batch, the number of threads and processes, and the device. The
hash is exact; logarithm and cosine are so to rounding.
The hash is SplitMix64's output function; Box and Muller make two normals of its 64 bits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["gaussian_noise", "hashed_normals"]

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # int64 arithmetic wraps round, as the hash wants
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64


def gaussian_noise(images: Tensor, seed: Tensor, std: float, out: Tensor | None = None) -> Tensor:
    """Adds noise to every value and clamps the sum to [0, 1].

    Args:
        images: (N, C, H, W) floats in [0, 1].
        seed: (N,) int64, any; each seed has its own noise.
        std: standard deviation of the noise, of values in [0, 1].
        out: where to put the result; may be ``images``.

    Returns:
        (N, C, H, W) in [0, 1].
    """
    noise = hashed_normals(seed, math.prod(images.shape[1:])).view(images.shape)
    return torch.add(images, noise, alpha=std, out=out).clamp_(0, 1)


def hashed_normals(seed: Tensor, count: int) -> Tensor:
    """Returns ``count`` standard normal values per seed (N,): (N, count) float32, within 5.8.

    - [0] Fast Splittable Pseudorandom Number Generators, 2014, https://doi.org/10.1145/2660193.2660195
    - [1] A Note on the Generation of Random Normal Deviates, 1958, https://doi.org/10.1214/aoms/1177706645
    """
    step = torch.arange(1, (count + 1) // 2 + 1, device=seed.device).mul_(GOLDEN)
    z = seed.unsqueeze(1) + step  # (N, count / 2)
    _mix(z, 30).mul_(FIRST)
    _mix(z, 27).mul_(SECOND)
    _mix(z, 31)
    unit = 2.0**-24  # 24 bits for the radius, 24 for the angle: what float32 holds exactly
    radius = (z >> 40).to(torch.float32).mul_(-unit).add_(0.5)  # uniform in (0, 1], as >> keeps the sign
    radius.log_().mul_(-2).sqrt_()
    angle = z.bitwise_and_(2**24 - 1).to(torch.float32).mul_(2 * math.pi * unit)
    normals = torch.empty(len(seed), 2, len(step), device=seed.device)
    torch.cos(angle, out=normals[:, 0])
    torch.sin(angle, out=normals[:, 1])
    return normals.mul_(radius.unsqueeze(1)).flatten(1)[:, :count]


def _mix(z: Tensor, bits: int) -> Tensor:
    """Computes ``z ^= z >> bits`` in place, zeros shifted in."""
    return z.bitwise_xor_((z >> bits).bitwise_and_(2 ** (64 - bits) - 1))
