"""JPEGs of 500 x 375 pixels, as ImageNet's: decoding on GPU and CPU, and how long a ResNet-50 waits for them.

    python -m ssl_zoo.benchmarks.gpu.large_images --json FILE [--folder DIR] [--workers N] [--toy]

The files are those of `speed.images`, mosaics of the images below DIR. nvjpeg's pixels are not libjpeg's, so that a run
would depend on where it decodes: whether that is worth a key is what the first part answers. In the second part the
device is waited for in each step, so that what the loop then waits for is the next batch alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torchvision.io import ImageReadMode, decode_jpeg

from ssl_zoo.augment import Augment
from ssl_zoo.build import build_method
from ssl_zoo.config.schema import ViewConfig
from ssl_zoo.data import FileSplit
from ssl_zoo.data.train_loader import move_images

from ..speed.augmentation import MEAN, STD
from ..speed.images import write_photos

__all__ = ["decoding", "main", "waiting"]

ROUNDS = 3


def decoding(files: Sequence[Path], device: torch.device) -> dict[str, float]:
    """Returns images per second on one core and on a GPU, and the difference of their pixels in gray levels."""
    raw = [torch.frombuffer(bytearray(file.read_bytes()), dtype=torch.uint8) for file in files]

    def on_cpu() -> list[Any]:
        return [decode_jpeg(data, ImageReadMode.RGB) for data in raw]

    def on_gpu() -> Any:
        images = decode_jpeg(raw, ImageReadMode.RGB, device=device)
        torch.cuda.synchronize()
        return images

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    figures = {"cpu": len(files) / _seconds(on_cpu)}
    torch.set_num_threads(threads)
    if device.type == "cuda":
        figures["gpu"] = len(files) / _seconds(on_gpu)
        gaps = [(a.int() - b.cpu().int()).abs() for a, b in zip(on_cpu(), on_gpu(), strict=True)]
        figures["greatest difference"] = float(max(gap.max() for gap in gaps))
        figures["mean difference"] = statistics.mean(float(gap.float().mean()) for gap in gaps)
    return figures


def waiting(
    folder: Path,
    names: Sequence[str],
    device: torch.device,
    *,
    backbone: str,
    size: int,
    batch_size: int,
    workers: int,
    steps: int,
) -> dict[str, float]:
    """Returns images per second of SimSiam's steps, and the fraction of the time that they wait for a batch."""
    views = [ViewConfig(size=size)] * 2
    overrides = ["method=simsiam", "data=cifar10", f"backbone.name={backbone}", "backbone.stem=standard"]
    method = build_method([*overrides, f"augment.size={size}"]).to(device)
    augment, generator = Augment(views, MEAN, STD), torch.Generator(device).manual_seed(0)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.01, momentum=0.9)
    needed = batch_size * (steps + 2)
    repeated = tuple(names[number % len(names)] for number in range(needed))
    batches = iter(FileSplit(folder, repeated, None, 3, workers).train_loader(batch_size, views, seed=0))
    waited = started = 0.0
    for step in range(steps + 2):
        if step == 2:  # the first two start processes and choose kernels
            waited, started = 0.0, time.perf_counter()
        asked = time.perf_counter()
        images, index = next(batches)
        waited += time.perf_counter() - asked
        made = augment(move_images(images, device), generator)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = method.loss(made, index.to(device)).loss
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # waits for the device
    seconds = time.perf_counter() - started
    return {
        "images per second": steps * batch_size / seconds,
        "waiting": waited / seconds,
        "workers": workers,
        "batch size": batch_size,
        "size": size,
    }


def _seconds(make: Callable[[], object]) -> float:
    make()
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        make()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints and writes the figures."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, required=True, help="file that gets the figures")
    parser.add_argument("--folder", type=Path, help="of small images, for the mosaics")
    parser.add_argument("--workers", type=int, default=cores)
    parser.add_argument("--toy", action="store_true", help="few images and a tiny network")
    options = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    count, steps = (8, 2) if options.toy else (512, 20)
    network: dict[str, Any] = {"backbone": "resnet50", "size": 224, "batch_size": 256}
    if options.toy:
        network = {"backbone": "test_resnet", "size": 32, "batch_size": 4}
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The image decoding", DeprecationWarning)  # torchvision's
        names = write_photos(Path(name), count, options.folder)
        decoded = decoding([Path(name) / file for file in names], device)
        waited = waiting(Path(name), names, device, workers=options.workers, steps=steps, **network)
    output = f"decoding {decoded['cpu']:.0f} images/s on a core"
    if "gpu" in decoded:
        output += (
            f", {decoded['gpu']:.0f} on the GPU, which differ by {decoded['mean difference']:.2f} on average and "
            f"{decoded['greatest difference']:.0f} at most"
        )
    output += (
        f"; {network['backbone']} at {network['size']} px: {waited['images per second']:.0f} images/s, "
        f"{waited['waiting']:.1%} of the time waiting for {options.workers} workers"
    )
    sys.stdout.write(output + "\n")
    options.json.write_text(
        json.dumps({"decoding": decoded, "training": waited, "output": output}, indent=2) + "\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
