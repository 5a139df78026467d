"""Device, precision and compilation: what the machine offers, and what `auto` chooses of it."""

from __future__ import annotations

import os
from typing import NamedTuple

import torch

from ssl_zoo.errors import UserError

__all__ = ["COMPILE", "Hardware", "choose_hardware", "cpu_has_bf16", "pick_device", "use_threads"]

# Seen with torch 2.15 on one core: ResNet-18 at 32 pixels took 56 s to compile and then trained 5 to 15 % faster,
# the backbone of digits 40 s and 10 %. On a GPU it hasn't been measured. A decision by the clock would give the same
# command different bits: a rule must be one of the configuration (docs/speed.md, On a GPU).
COMPILE = (
    "on a CPU compiling takes about a minute and a C++ compiler for 5 to 15 %, on a GPU it is not measured; set "
    "compile=true for a run of hours"
)
LIGHTNING = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


class Hardware(NamedTuple):
    """Device and precision of a run, with the reason for them."""

    device: torch.device
    precision: str  # fp32, bf16 or fp16
    reason: str
    compile: bool = False

    @property
    def lightning(self) -> str:
        """The precision as Lightning spells it."""
        return LIGHTNING[self.precision]

    @property
    def dtype(self) -> torch.dtype | None:
        """The type that autocast computes in; None in fp32, which needs none."""
        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision)


def cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bf16 natively (AMX or AVX512-BF16)."""
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, check, bool)()) for check in checks)


def pick_device(accelerator: str) -> torch.device:
    """Returns the device that `accelerator` names; `auto` takes a GPU where there is one.

    Raises:
        UserError: this machine has no such device.
    """
    usable = {"gpu": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    kind = next(name for name, has in usable.items() if has) if accelerator == "auto" else accelerator
    if not usable[kind]:
        have = ", ".join(name for name, has in usable.items() if has)
        raise UserError(
            f"accelerator={kind} is not on this machine, which has {have}; use auto or one of them"
        )
    return torch.device({"gpu": "cuda", "mps": "mps", "cpu": "cpu"}[kind])


def use_threads(threads: int | None, key: str = "threads") -> None:
    """Sets torch's CPU threads; None leaves them.

    Raises:
        UserError: more than there are cores.
    """
    cores = os.cpu_count() or 1
    if threads is not None and threads > cores:
        raise UserError(
            f"{key} must be at most the number of cores, {cores}; received {threads}; set {key}={cores}"
        )
    if threads is not None:
        torch.set_num_threads(threads)


def choose_hardware(
    accelerator: str, precision: str, *, strider: str | None = None, size: int = 0, compiles: bool = False
) -> Hardware:
    """Decides device and precision.

    Args:
        accelerator: auto, cpu, gpu or mps.
        precision: auto, fp32, bf16 or fp16.
        strider: the name of a backbone that has a strided convolution over 1 x 1 maps; None: it has none, or nothing
            is trained. On a CPU the bf16 weight gradient of such a convolution is uninitialised memory (seen in
            torch 2.15).
        size: pixels, for the message.
        compiles: whether to compile.

    Raises:
        UserError: the device or the precision asked for is not there, or would compute garbage.
    """
    device = pick_device(accelerator)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        why = "this GPU computes bf16 natively" if native else "this GPU has no native bf16"
    else:
        native = device.type == "cpu" and cpu_has_bf16()
        why = "this CPU multiplies bf16 natively (AMX or AVX512-BF16)" if native else "no native bf16 here"
    if strider is not None and device.type == "cpu":
        if precision == "bf16":
            raise UserError(
                f"precision=bf16 computes wrong gradients on a CPU where '{strider}' strides over single "
                f"pixels, as it does for images of {size}; use precision=fp32, larger images "
                "or backbone.stem=small"
            )
        native, why = (
            False,
            "bf16 gradients are wrong on a CPU where a convolution strides over single pixels",
        )
    if precision == "auto":
        return Hardware(device, "bf16" if native else "fp32", why, compiles)
    if precision == "fp16" and device.type != "cuda":
        raise UserError(
            f"precision=fp16 needs a GPU, and the run is on {device.type}; use precision=bf16 or fp32"
        )
    return Hardware(device, precision, "asked for", compiles)
