"""Convolutions of small maps as matrix products, for bf16 on a CPU.

oneDNN's bf16 backward pass is slow where few output pixels meet many channels (ResNet's last stage at 32 pixels) and
in strided 1 x 1 convolutions (its shortcuts). Its threads also wait for one another at every image, which is many
times slower on a busy machine. One product over a whole batch avoids both. With x unfolded into
patches P (N * Ho * Wo, k * k * C) and the weights as a matrix W (O, k * k * C):

    y = P W^T        dW = dy^T P        dx = fold(dy W), or for stride 1 unfold(dy) W', W' being W mirrored

The modules keep their parameters and names; outside bf16 autocast they compute the usual convolution.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["MatmulConv2d", "convolve", "use_matmul_convolutions"]

MAX_PIXELS = 16  # output pixels of an image, up to which a matrix product is faster …
MIN_CHANNELS = (
    48  # … if there are so many channels on both sides: with 32 it takes twice as long, with 512 half
)


def use_matmul_convolutions(module: nn.Module) -> None:
    """Turns each plain convolution in a module into a `MatmulConv2d`, in place."""
    for conv in module.modules():
        if type(conv) is not nn.Conv2d or conv.groups > 1 or set(conv.dilation) != {1}:
            continue
        if conv.padding_mode == "zeros" and not isinstance(conv.padding, str):
            square = all(len(set(pair)) == 1 for pair in (conv.kernel_size, conv.stride, conv.padding))
            if square and conv.padding[0] < conv.kernel_size[0]:
                conv.__class__ = MatmulConv2d


class MatmulConv2d(nn.Conv2d):
    """Square convolution, computed under bf16 autocast as a matrix product where that is faster."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not self._is_faster(input):
            usual: Tensor = super()._conv_forward(input, weight, bias)
            return usual
        x, w = input.to(torch.bfloat16), weight.to(torch.bfloat16)
        y: Tensor = convolve(x, w, self.stride[0], int(self.padding[0]))
        return y if bias is None else y + bias.to(torch.bfloat16).view(-1, 1, 1)

    def _is_faster(self, x: Tensor) -> bool:
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not torch.is_autocast_enabled("cpu"):
            return False
        if torch.get_autocast_dtype("cpu") != torch.bfloat16 or x.ndim != 4:
            return False
        kernel, stride, padding = self.kernel_size[0], self.stride[0], int(self.padding[0])
        sides = [(side + 2 * padding - kernel) // stride + 1 for side in x.shape[2:]]
        wide = min(self.in_channels, self.out_channels) >= MIN_CHANNELS
        return (wide and 0 < sides[0] * sides[1] <= MAX_PIXELS) or (
            kernel == 1 and stride > 1 and padding == 0
        )


def convolve(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolves images (N, C, H, W) with weights (O, C, k, k), as `torch.nn.functional.conv2d`.

    Returns:
        (N, O, Ho, Wo) in channels_last.
    """
    y: Tensor = _Convolution.apply(x, weight, stride, padding)
    return y


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        patches = _unfold(x, weight.shape[2], stride, padding)  # (N, Ho, Wo, k * k * C)
        return (patches @ _matrix(weight).T).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (x, weight), (grad,) = ctx.saved_tensors, grads
        outputs, channels, kernel, _ = weight.shape
        dy = grad.permute(0, 2, 3, 1).reshape(-1, outputs)  # (N * Ho * Wo, O)
        dw = dx = None
        if ctx.needs_input_grad[1]:
            patches = _unfold(x, kernel, ctx.stride, ctx.padding).flatten(0, 2)
            dw = (dy.T @ patches).view(outputs, kernel, kernel, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[0] and ctx.stride == 1:
            mirrored = weight.flip(2, 3).permute(2, 3, 0, 1).reshape(-1, channels)  # (k * k * O, C)
            dx = (_unfold(grad, kernel, 1, kernel - 1 - ctx.padding) @ mirrored).permute(0, 3, 1, 2)
        elif ctx.needs_input_grad[0]:
            parts = (dy @ _matrix(weight)).view(*grad.shape[:1], *grad.shape[2:], kernel, kernel, channels)
            dx = _fold(parts, x.shape, ctx.stride, ctx.padding)
        return dx, dw, None, None


def _matrix(weight: Tensor) -> Tensor:
    """Reshapes (O, C, k, k) to (O, k * k * C)."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _unfold(x: Tensor, kernel: int, stride: int, padding: int) -> Tensor:
    """Returns the patches (N, Ho, Wo, k * k * C) of (N, C, H, W) that each output pixel depends on."""
    rows = x.permute(0, 2, 3, 1)  # (N, H, W, C)
    if kernel == 1:
        return rows[:, ::stride, ::stride].contiguous()
    rows = functional.pad(rows, (0, 0, padding, padding, padding, padding)).contiguous()
    windows = rows.unfold(1, kernel, stride).unfold(2, kernel, stride)  # (N, Ho, Wo, C, k, k)
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3)


def _fold(parts: Tensor, shape: torch.Size, stride: int, padding: int) -> Tensor:
    """Adds up the patches (N, Ho, Wo, k, k, C) at each pixel they cover: (N, C, H, W)."""
    n, channels, height, width = shape
    _, high, wide, kernel, _, _ = parts.shape
    total = parts.new_zeros(n, height + 2 * padding, width + 2 * padding, channels)
    for i in range(kernel):
        for j in range(kernel):
            total[:, i : i + stride * high : stride, j : j + stride * wide : stride] += parts[:, :, :, i, j]
    return total[:, padding : padding + height, padding : padding + width].permute(0, 3, 1, 2)
