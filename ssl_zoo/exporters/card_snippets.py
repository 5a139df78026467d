"""Pieces of Python that the cards print."""

from __future__ import annotations

from torch import nn

from ssl_zoo.data.bands import WHITE
from ssl_zoo.data.split import SMALL_SIDE
from ssl_zoo.exporters.encoder import ExportedEncoder, is_fixed

__all__ = ["build_with_timm", "preprocessing", "stem_lines"]


def stem_lines(encoder: ExportedEncoder) -> list[str]:
    """The two lines that replace a ResNet's stem, where the encoder has a small one."""
    if not encoder.small_stem:
        return []
    first = encoder.model.conv1
    assert isinstance(first, nn.Conv2d)
    return [
        f"model.conv1 = nn.Conv2d({first.in_channels}, {first.out_channels}, kernel_size=3, padding=1, bias=False)",
        "model.maxpool = nn.Identity()",
    ]


def build_with_timm(encoder: ExportedEncoder, file: str) -> str:
    """Python that builds `model` with timm and loads a safetensors file, all weights of it."""
    stem = stem_lines(encoder)
    size = {"img_size": encoder.size} if is_fixed(encoder.run.config.backbone.name) else {}
    further = "".join(f", {name}={value}" for name, value in {**size, **encoder.model_args}.items())
    return "\n".join(
        [
            "import timm",
            "from safetensors.torch import load_file",
            *(["from torch import nn"] if stem else []),
            "",
            f'model = timm.create_model("{encoder.architecture}", num_classes=0, in_chans={encoder.channels}{further})',
            *stem,
            f'model.load_state_dict(load_file("{file}"), strict=True)',
            f"model.eval()  # {tensor_shapes(encoder)}",
        ]
    )


def tensor_shapes(encoder: ExportedEncoder) -> str:
    """Describes the shapes of input and output."""
    size = encoder.size
    return (
        f"images (N, {encoder.channels}, {size}, {size}), normalised, to features (N, {encoder.num_features})"
    )


def preprocessing(encoder: ExportedEncoder, normalizes: bool) -> str:
    """Python that makes what the encoder expects of an image, with Pillow and NumPy alone; as `Preprocess`.

    Images of 8 bits, gray or RGB, are Pillow's; others are arrays.

    Args:
        encoder: whose images.
        normalizes: the model normalises, so that its input is in [0, 1].
    """
    data = encoder.run.config.data
    normalization = [
        f"mean = np.array({list(data.mean)}, dtype=np.float32)[:, None, None]",
        f"std = np.array({list(data.std)}, dtype=np.float32)[:, None, None]",
    ]
    bands = encoder.channels not in (1, 3) or data.bit_depth == 16
    return "\n".join(
        [
            "import numpy as np",
            f"from PIL import Image{'' if bands else ', ImageOps'}",
            *([] if normalizes else ["", *normalization]),
            "",
            "",
            *(_of_arrays(encoder) if bands else _of_photos(encoder)),
            "    return pixels" if normalizes else "    return (pixels - mean) / std",
        ]
    )


def _of_photos(encoder: ExportedEncoder) -> list[str]:
    gray = encoder.channels == 1
    pixels = "np.asarray(image, dtype=np.float32) / 255"
    pixels = f"({pixels})[None]" if gray else f"({pixels}).transpose(2, 0, 1)"
    return [
        "def preprocess(image):",
        f'    """Pillow image -> float32 ({encoder.channels}, {encoder.size}, {encoder.size})."""',
        '    if image.mode in ("I", "F"):',
        '        raise ValueError("32 bits per channel have no fixed range")',
        "    image = ImageOps.exif_transpose(image)",
        '    if image.mode.startswith("I;16"):  # which convert would clip at 255',
        "        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))",
        f'    image = image.convert("{"L" if gray else "RGB"}")',
        *_view(encoder.size, encoder.run.config.data.interpolation),
        f"    pixels = {pixels}  # in [0, 1]",
    ]


def _of_arrays(encoder: ExportedEncoder) -> list[str]:
    bits = encoder.run.config.data.bit_depth
    white, cast = WHITE[bits], ".astype(np.float32)" if bits == 16 else ""
    return [
        "def view(image):",
        *_view(encoder.size, encoder.run.config.data.interpolation),
        "    return np.asarray(image, dtype=np.float32)",
        "",
        "",
        "def preprocess(image):",
        f'    """uint{bits} array ({encoder.channels}, H, W) -> float32 ({encoder.channels}, {encoder.size}, '
        f'{encoder.size})."""',
        f"    if image.dtype != np.uint{bits} or image.shape[:-2] != ({encoder.channels},):",
        f'        raise ValueError("not uint{bits} ({encoder.channels}, H, W)")',
        f"    pixels = np.stack([view(Image.fromarray(band{cast})) for band in image])",
        f"    pixels = np.rint(pixels).clip(0, {white}) / np.float32({white})  # in [0, 1]",
    ]


def _view(size: int, interpolation: str) -> list[str]:
    """The lines that make the evaluation view of a Pillow image."""
    return [
        "    shorter = min(image.size)",
        f"    side = {size} if shorter <= {SMALL_SIDE} else {round(size * 256 / 224)}",
        "    width, height = (side * length // shorter for length in image.size)",
        f"    image = image.resize((width, height), Image.Resampling.{interpolation.upper()})",
        f"    left, top = round((width - {size}) / 2), round((height - {size}) / 2)",
        f"    image = image.crop((left, top, left + {size}, top + {size}))",
    ]
