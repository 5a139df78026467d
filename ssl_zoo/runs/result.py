"""The contract of a run: `result.json` and `environment.json`."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from packaging.requirements import Requirement

from ssl_zoo.files.writing import write_json

if TYPE_CHECKING:
    from ssl_zoo.hardware.device import Hardware

__all__ = ["Baselines", "Result", "environment", "git_commit", "unmet_requirements", "versions"]

PACKAGES = (
    "ssl-zoo",
    "torch",
    "torchvision",
    "lightly",
    "timm",
    "pytorch-lightning",
    "scikit-learn",
    "numpy",
)


@dataclass(frozen=True, kw_only=True)
class Baselines:
    """What the same classifiers reach without any training. Fractions of 1; None without labels."""

    pixels_knn_top1: float | None = None
    pixels_linear_top1: float | None = None
    random_encoder_knn_top1: float | None = None
    random_encoder_linear_top1: float | None = None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run came to; each field is a key of `result.json`, and None is what was not measured.

    Accuracies are fractions of 1 and those of the last epoch.
    """

    method: str
    data: str
    seed: int
    epochs: int
    steps: int
    loss: float | None  # mean over the last epoch
    knn_top1: float | None
    knn_protocol: str | None
    linear_top1: float | None
    linear_top1_std: float | None  # over the draws of the labels
    linear_protocol: str | None
    baselines: Baselines
    output_std_ratio: float | None
    center_ratio: float | None
    residual_ratio: float | None
    effective_rank: float | None
    alignment: float | None
    uniformity: float | None
    verdict: str
    verdict_reason: str
    differs_from_paper: dict[str, Any]  # axes on which this run stands elsewhere than the named method
    views_per_second: float | None
    train_seconds: float  # measurements not counted
    peak_memory_mb: float
    skipped: int | None  # unreadable files that data.on_error=skip left out; None where images are no files
    config_hash: str
    git_commit: str | None
    versions: dict[str, str]
    run_dir: str

    def write(self) -> None:
        """Writes `result.json` into the run directory; figures that are not finite are written as null."""
        write_json(Path(self.run_dir) / "result.json", dataclasses.asdict(self))


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that decide a figure."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def unmet_requirements() -> list[str]:
    """What ssl-zoo needs and this machine lacks: `filelock>=4.1 (3.20.0 is installed)`; extras are not asked for.

    pip sees to this, but for packages that are copied onto a machine without network.
    """
    try:
        stated = requires("ssl-zoo") or []
    except PackageNotFoundError:  # a checkout on the path, not installed
        return []
    unmet = []
    for requirement in map(Requirement, stated):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            unmet.append(f"{requirement.name}{requirement.specifier} (not installed)")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            unmet.append(f"{requirement.name}{requirement.specifier} ({installed} is installed)")
    return unmet


def git_commit() -> str | None:
    """The commit of ssl-zoo's own checkout, with `+changes` where files differ; None when installed."""
    here = Path(__file__).resolve().parent
    if not (here.parent / "pyproject.toml").is_file():
        return None
    git = ["git", "-C", str(here.parent)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip()
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes.stdout.strip() else "")


def environment(plan: Hardware) -> dict[str, Any]:
    """What `environment.json` says of the machine."""
    device = plan.device
    cuda = device.type == "cuda"
    return {
        "command": sys.argv,
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_cores": os.cpu_count(),
        "cpu_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": plan.precision,
        "precision_reason": plan.reason,
        "git_commit": git_commit(),
        "versions": versions(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
