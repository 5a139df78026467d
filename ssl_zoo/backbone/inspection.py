"""What a backbone makes of images of a size, measured on an empty one."""

from __future__ import annotations

import torch
from torch import nn

from ssl_zoo.errors import UserError

__all__ = ["inspect_backbone", "single_pixel_fraction"]


def inspect_backbone(model: nn.Module, name: str, channels: int, size: int) -> tuple[int, bool]:
    """Returns the width of the features and whether a strided convolution gets single pixels.

    Both are measured on an empty image: the width of some models differs from their `num_features`.

    Raises:
        UserError: the model cannot read images of this size.
    """
    try:
        features, sides = _encode_empty_image(model, channels, size)
    except Exception as error:
        raise UserError(
            f"backbone '{name}' cannot read {channels} x {size} x {size} images: {str(error).splitlines()[0]}; "
            "set another size (augment.size, augment.views.NAME.size) or choose another backbone"
        ) from error
    single = (side == 1 and max(conv.stride) > 1 and max(conv.kernel_size) > 1 for conv, side in sides)
    return int(features.shape[1]), any(single)


def single_pixel_fraction(model: nn.Module, channels: int, size: int) -> float | None:
    """Returns the fraction of a model's spatial convolutions that get maps of 1 x 1; None without any.

    Args:
        model: that reads images (1, channels, size, size).
        channels: of the images.
        size: pixels.
    """
    _, sides = _encode_empty_image(model, channels, size)
    single = [side == 1 for conv, side in sides if max(conv.kernel_size) > 1]
    return sum(single) / len(single) if single else None


def _encode_empty_image(
    model: nn.Module, channels: int, size: int
) -> tuple[torch.Tensor, list[tuple[nn.Conv2d, int]]]:
    """Returns the features of an empty image, and each convolution with the side of its map; modes are restored."""
    sides: list[tuple[nn.Conv2d, int]] = []

    def note_side(convolution: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(convolution, nn.Conv2d)
        sides.append((convolution, max(inputs[0].shape[2:])))

    hooks = [m.register_forward_pre_hook(note_side) for m in model.modules() if isinstance(m, nn.Conv2d)]
    modes = {module: module.training for module in model.modules()}
    device = next((parameter.device for parameter in model.parameters()), None)
    try:
        with torch.no_grad():
            return model.eval()(torch.zeros(1, channels, size, size, device=device)), sides
    finally:
        for module, training in modes.items():
            module.training = training
        for hook in hooks:
            hook.remove()
