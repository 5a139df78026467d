"""Speed of views on one thread, and the difference of each operation from torchvision's.

    python -m ssl_zoo.benchmarks.speed.augmentation [--rounds N] [--json FILE]

Three ways make the two views of SimSiam (crop, flip, jitter, grayscale, blur) of the same images: ssl-zoo from a
batch, lightly's SimSiamTransform and torchvision's transforms from one PIL image at a time. They take turns, and the
clock is that of the process's CPU time, so that other load counts little; the first round is a warmup and not counted.
The process keeps freed memory, as `ssl-zoo train` does.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision.transforms.functional as F
from PIL import Image
from torch import Tensor

from ssl_zoo import augment
from ssl_zoo.augment.blur import kernel_side
from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.from_lightly import SimSiamTransform
from ssl_zoo.hardware.heap import keep_freed_memory

from .torchvision_views import plain_transform

__all__ = ["augmentation_table", "gaps_to_torchvision", "measure", "smooth_images"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIZES = {
    32: (32, 512, 64),
    96: (96, 128, 16),
    224: (256, 32, 8),
}  # view: image's side, batch, images one by one
WAYS = ("ssl-zoo", "lightly", "torchvision")


def smooth_images(n: int, side: int) -> Tensor:
    """Returns random images (n, 3, side, side), uint8: waves of falling strength that share a luminance."""
    generator = torch.Generator().manual_seed(side)
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    images = torch.rand(n, 3, 1, 1, generator=generator) * 0.4 + 0.3
    for octave in range(5):
        fx, fy, phase = torch.rand(3, n, 1, 1, 1, generator=generator) * 2 - 1
        wave = torch.sin(2 * math.pi * (2**octave * (fx * x + fy * y) + phase))
        images = images + wave * (0.5 + torch.rand(n, 3, 1, 1, generator=generator)) * 0.3 / 2**octave
    return (255 * images.clamp(0, 1)).to(torch.uint8)


def measure(rounds: int) -> dict[str, Any]:
    """Returns views per second of each size and way: median, least and most over the rounds, and the ratios."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    keep_freed_memory()
    try:
        speeds = {str(size): _speeds(size, rounds) for size in SIZES}
    finally:
        torch.set_num_threads(threads)
    return {
        "threads": 1,
        "cpu": _cpu(),
        "torch": torch.__version__,
        "rounds": rounds,
        "views per second": speeds,
    }


def _speeds(size: int, rounds: int) -> dict[str, Any]:
    side, batch, few = SIZES[size]
    images = smooth_images(batch, side)
    view = ViewConfig(size=size)
    generator = torch.Generator().manual_seed(0)
    batched = augment.Augment([view, view], MEAN, STD)
    pictures = [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in images[:few]]
    pair, single = SimSiamTransform(input_size=size), plain_transform(view, MEAN, STD)

    makers: dict[str, tuple[int, Callable[[], object]]] = {
        "ssl-zoo": (batch, lambda: batched(images, generator)),
        "lightly": (few, lambda: [pair(picture) for picture in pictures]),
        "torchvision": (few, lambda: [(single(picture), single(picture)) for picture in pictures]),
    }
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(rounds + 1):
        for way, (count, make) in makers.items():
            start = time.process_time()
            make()
            rates[way].append(2 * count / (time.process_time() - start))
    result: dict[str, Any] = {}
    for way, speeds in rates.items():
        counted = speeds[1:]
        result[way] = {"median": statistics.median(counted), "min": min(counted), "max": max(counted)}
    for way in WAYS[1:]:
        result[f"ratio to {way}"] = result["ssl-zoo"]["median"] / result[way]["median"]
    return result


def gaps_to_torchvision(size: int, n: int = 16) -> dict[str, dict[str, float]]:
    """Returns per operation the mean and the largest absolute difference from torchvision, of values in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    images = smooth_images(n, size)
    x = images / 255
    boxes = augment.sample_boxes(n, size, size, (0.2, 1.0), (3 / 4, 4 / 3), generator)
    whole = torch.tensor([[0, 0, size, size]] * n)
    factor, shift = (torch.rand(n, generator=generator) * r - r / 2 for r in (0.8, 0.2))
    sigma = torch.rand(n, generator=generator) * 1.9 + 0.1
    kernel = kernel_side(0.1, size)
    factor += 1
    all_on = torch.ones(n, dtype=torch.bool)
    shape = [size, size]
    std = torch.tensor(STD).view(3, 1, 1)  # normalised values are brought back to the unit of the others

    def each(make: Callable[[int], Tensor]) -> Tensor:
        return torch.stack([make(i) for i in range(n)])

    pairs = {
        "crop": (
            augment.resized_crop(images, boxes, None, size),
            each(lambda i: F.resized_crop(x[i], *boxes[i].tolist(), shape, antialias=True)),
        ),
        "flip": (augment.resized_crop(images, whole, all_on, size), F.hflip(x)),
        "brightness": (
            augment.brightness(x, factor),
            each(lambda i: F.adjust_brightness(x[i], float(factor[i]))),
        ),
        "contrast": (augment.contrast(x, factor), each(lambda i: F.adjust_contrast(x[i], float(factor[i])))),
        "saturation": (
            augment.saturation(x, factor),
            each(lambda i: F.adjust_saturation(x[i], float(factor[i]))),
        ),
        "hue": (augment.hue(x, shift), each(lambda i: F.adjust_hue(x[i], float(shift[i])))),
        "grayscale": (augment.grayscale(x), F.rgb_to_grayscale(x, num_output_channels=3)),
        "blur": (
            augment.gaussian_blur(x, sigma, kernel),
            each(lambda i: F.gaussian_blur(x[i], [kernel] * 2, [float(sigma[i])] * 2)),
        ),
        "solarize": (augment.solarize(x, 0.5), F.solarize(x, 0.5)),
        "normalise": (
            augment.normalize(images, MEAN, STD) * std,
            F.normalize(x, list(MEAN), list(STD)) * std,
        ),
    }
    gaps = {name: (ours - theirs).abs() for name, (ours, theirs) in pairs.items()}
    return {name: {"mean": float(gap.mean()), "max": float(gap.max())} for name, gap in gaps.items()}


def augmentation_table(result: dict[str, Any], gaps: dict[str, dict[str, dict[str, float]]]) -> str:
    """Returns both as Markdown."""
    lines = [
        f"{result['threads']} thread of {result['cpu']}, torch {result['torch']}, {result['rounds']} rounds; views per",
        "second: median (least..most).",
        "",
        "| view | ssl-zoo | lightly | torchvision | ratio to lightly | ratio to torchvision |",
        "|---|---|---|---|---|---|",
    ]
    for size, row in result["views per second"].items():
        cells = [f"{row[w]['median']:,.0f} ({row[w]['min']:,.0f}..{row[w]['max']:,.0f})" for w in WAYS]
        cells += [f"{row[f'ratio to {way}']:.1f}" for way in WAYS[1:]]
        lines.append(f"| {size} px | {' | '.join(cells)} |")
    lines += ["", "Difference from torchvision per operation, of values in [0, 1]: mean (largest).", ""]
    lines += [f"| operation | {' | '.join(f'{size} px' for size in gaps)} |", "|---" * (len(gaps) + 1) + "|"]
    for name in next(iter(gaps.values())):
        cells = [f"{gap[name]['mean']:.1e} ({gap[name]['max']:.1e})" for gap in gaps.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cpu() -> str:
    """Returns the processor's name and number of cores."""
    info = Path("/proc/cpuinfo")
    names = (
        [line for line in info.read_text(encoding="utf-8").splitlines() if "model name" in line]
        if info.is_file()
        else []
    )
    name = names[0].split(":")[1].strip() if names else platform.processor()
    flags = [flag for flag in ("AVX512", "AVX2") if flag in torch.backends.cpu.get_cpu_capability()]
    return f"{name} ({', '.join([*flags, f'{len(names)} cores'])})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="file that gets the figures")
    options = parser.parse_args()
    result = measure(options.rounds)
    gaps = {str(size): gaps_to_torchvision(size) for size in (32, 224)}
    sys.stdout.write(augmentation_table(result, gaps))
    if options.json:
        options.json.write_text(
            json.dumps({**result, "difference from torchvision": gaps}, indent=2) + "\n", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
