"""Memory of runs as estimated by `trainer.memory_check`, compared with the measured peak.

    python -m ssl_zoo.benchmarks.memory_estimate OUT [--only PATTERN] [--threads N] [--write docs]

Each setting is trained for two steps in its own process, on noise of the images' size. Measured is the peak of that
process's resident memory (VmHWM). The estimate is computed in the same process before it builds anything: the resident
memory then, plus the check's estimate. `OUT/results.json` holds the results; a setting in it is not measured again.
Needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ssl_zoo.run_dir.environment import git_commit, versions

__all__ = ["SETTINGS", "Estimate", "main", "markdown_page", "write_noise"]

BACKBONES = {
    "ResNet-18": ("backbone.name=resnet18", "backbone.stem=small"),
    "ResNet-50": ("backbone.name=resnet50", "backbone.stem=standard"),
    "ResNet-50, small stem": ("backbone.name=resnet50", "backbone.stem=small"),
    "ViT-S": ("backbone.name=vit_small_patch16_224", "backbone.stem=standard"),
}
SETTINGS = {  # method, backbone, pixels and batch
    f"{method}, {backbone}, {size} px, batch {batch}": (method.lower(), backbone, size, batch)
    for method, backbone, size, batch in (
        ("SimSiam", "ResNet-18", 32, 64),
        ("BYOL", "ViT-S", 224, 4),
        ("SimSiam", "ResNet-50", 224, 4),
        ("SimCLR", "ResNet-50, small stem", 32, 16),
        ("SwAV", "ResNet-18", 64, 16),
        ("MoCo", "ResNet-50", 128, 8),
        ("BYOL", "ResNet-18", 32, 64),
        ("MoCo", "ResNet-18", 96, 8),
        ("SimCLR", "ViT-S", 96, 16),
        ("BYOL", "ResNet-50", 96, 16),
        ("SimCLR", "ResNet-18", 64, 16),
        ("SwAV", "ResNet-50", 224, 4),
    )
}
COMMON = (
    "epochs=1", "recipe=null", "monitor.baselines=false", "optimizer.warmup_epochs=0", "trainer.progress=false",
    "data.workers=0", "data=imagefolder",
)  # fmt: skip
MEASURE = """
import json, sys
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.hardware.free_memory import resident
from ssl_zoo.training.memory_check import need
from ssl_zoo.training.run import run
config = compose(sys.argv[2:])
before = resident()
more = need(config, load_data(config.data))
run(config, silent=True)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
results = {"name": sys.argv[1], "start": before / 2**20, "estimate": (before + more.total) / 2**20, "peak": peak}
print(json.dumps(results))
"""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Resident memory of a setting, in MiB."""

    name: str
    start: float  # before the run
    estimate: float  # peak of the process, estimated
    peak: float  # measured


def main() -> int:
    """Measures, prints the report and may write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder for images, runs and results")
    parser.add_argument("--only", default="*", help="pattern of the settings")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--write", type=Path, help="folder that gets results/memory-estimate.md")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    file = options.out / "results.json"
    results = (
        [Estimate(**result) for result in json.loads(file.read_text(encoding="utf-8"))]
        if file.exists()
        else []
    )
    for name in SETTINGS:
        if fnmatch.fnmatch(name, options.only) and name not in {result.name for result in results}:
            results.append(_measure(name, options.out, options.threads))
            print(results[-1], file=sys.stderr, flush=True)
            file.write_text(
                json.dumps([dataclasses.asdict(result) for result in results], indent=1), encoding="utf-8"
            )
    text = markdown_page(
        results, f"python -m ssl_zoo.benchmarks.memory_estimate OUT --threads {options.threads}"
    )
    print(text)
    if options.write is not None:
        (options.write / "results" / "memory-estimate.md").write_text(text, encoding="utf-8")
    return 0 if all(abs(result.estimate / result.peak - 1) <= 0.25 for result in results) else 1


def setting_overrides(name: str, folder: Path) -> list[str]:
    """Returns the overrides of a setting whose images are in a folder."""
    method, backbone, size, batch = SETTINGS[name]
    write_noise(folder, size, 2 * batch)
    common = (f"method={method}", f"augment.size={size}", f"batch_size={batch}", f"data.train={folder}")
    return [*common, *BACKBONES[backbone], *COMMON]


def _measure(name: str, out: Path, threads: int) -> Estimate:
    slug = name.replace(", ", "-").replace(" ", "-").lower()
    chosen = [
        *setting_overrides(name, out / f"{slug}-images"),
        f"run_dir={out / slug}",
        f"trainer.threads={threads}",
    ]
    done = subprocess.run([sys.executable, "-c", MEASURE, name, *chosen], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{name} ended with status {done.returncode}\n{done.stderr[-2000:]}")
    return Estimate(**json.loads(done.stdout.splitlines()[-1]))


def write_noise(folder: Path, size: int, images: int) -> None:
    """Writes PNG files of random pixels, in turn to two class folders."""
    generator = np.random.default_rng(0)
    for number in range(images):
        file = folder / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(file)


HEADER = """# Memory estimates

Memory of a process as estimated before the run (`trainer.memory_check`), and its measured peak, in MiB; one process
each, on noise. Made by

    {command} --write docs

at commit `{commit}` with {versions}, on {cores} CPU cores in {precision}.

| setting | before | estimate | measured | estimate / measured |
|---|---:|---:|---:|---:|
"""


def markdown_page(results: Sequence[Estimate], command: str) -> str:
    """Returns the results as a page in Markdown."""
    from ssl_zoo.build import hardware_for
    from ssl_zoo.config.compose import compose

    used = versions()
    text = HEADER.format(
        command=command,
        commit=git_commit(),
        versions=", ".join(f"{name} {used[name]}" for name in ("python", "torch")),
        cores=os.cpu_count(),
        precision=hardware_for(compose()).precision,
    )
    for result in results:
        text += (
            f"| {result.name} | {result.start:,.0f} | {result.estimate:,.0f} | {result.peak:,.0f} | "
            f"{result.estimate / result.peak:.2f} |\n"
        )
    return text


if __name__ == "__main__":
    sys.exit(main())
