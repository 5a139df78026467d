"""The machine and the versions that a run was made with: `environment.json`."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from packaging.requirements import Requirement

if TYPE_CHECKING:
    from ssl_zoo.hardware.device import Hardware

__all__ = ["environment", "git_commit", "missing_extras", "unmet_requirements", "versions"]

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


def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that decide a figure."""
    known = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            known[package] = version(package)
        except PackageNotFoundError:
            continue
    return known


def unmet_requirements() -> list[str]:
    """Returns the requirements that this machine lacks: `filelock>=4.1 (3.20.0 is installed)`; no extras are asked for.

    pip sees to this, except where packages are copied onto a machine without network.
    """
    try:
        required = requires("ssl-zoo") or []
    except PackageNotFoundError:  # a checkout on the path, not installed
        return []
    unmet = []
    for requirement in map(Requirement, required):
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


def missing_extras() -> list[str]:
    """Returns the extras of which a package is not installed, but for the developers'."""
    try:
        extras = metadata("ssl-zoo").get_all("Provides-Extra") or []
        required = [Requirement(line) for line in requires("ssl-zoo") or []]
    except PackageNotFoundError:
        return []
    return [
        extra for extra in extras if extra != "dev" and not all(map(_is_there, _of_extra(required, extra)))
    ]


def _of_extra(required: Sequence[Requirement], extra: str) -> list[str]:
    """Returns the names of the packages that an extra adds."""
    marked = [
        each for each in required if each.marker is not None and not each.marker.evaluate({"extra": ""})
    ]
    return [
        each.name for each in marked if each.marker is not None and each.marker.evaluate({"extra": extra})
    ]


def _is_there(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def git_commit() -> str | None:
    """Returns the commit of ssl-zoo's checkout, with `+changes` where files differ; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / "pyproject.toml").is_file():
        return None
    git = ["git", "-C", str(root)]
    try:
        commit = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()
        changes = subprocess.run(
            [*git, "status", "--porcelain", "-uno"], capture_output=True, encoding="utf-8", check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+changes" if changes.stdout.strip() else "")


def environment(hardware: Hardware) -> dict[str, Any]:
    """Returns what `environment.json` holds of the machine."""
    device = hardware.device
    cuda = device.type == "cuda"
    return {
        "command": sys.argv,
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_cores": os.cpu_count(),
        "cpu_threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
        "precision": hardware.precision,
        "precision_reason": hardware.reason,
        "git_commit": git_commit(),
        "versions": versions(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
