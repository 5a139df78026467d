"""The tensors of a checkpoint by name. Nothing in it is run: safetensors, or torch's unpickler for tensors alone."""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ssl_zoo.errors import UserError, printable

__all__ = ["Contents", "read_weights"]

STATES = ("state_dict", "model", "model_state_dict")  # names of the block that holds the weights
WRAPPERS = re.compile(r"(^|\.)((module|_orig_mod)\.)+")  # what DDP and torch.compile put before names


@dataclass(frozen=True)
class Contents:
    """What a checkpoint holds."""

    weights: dict[str, Tensor]  # a block beside the model's (teacher, student) is a prefix of its names
    others: tuple[str, ...]  # top-level names of what is no weights: optimizer, epoch …
    facts: dict[str, Any]  # numbers and names among them, such as epoch and arch


def read_weights(file: Path) -> Contents:
    """Reads a checkpoint onto the CPU.

    Raises:
        UserError: it cannot be read, holds no tensors, or would run code.
    """
    contents = _load(file)
    if not isinstance(contents, Mapping):
        raise UserError(
            f"a checkpoint must hold tensors by name; '{file}' holds {_a(type(contents).__name__)}; save the model's "
            "state_dict() instead"
        )
    blocks = {str(key): value for key, value in contents.items() if _is_state(value)}
    if not blocks:
        blocks = {STATES[0]: {key: value for key, value in contents.items() if isinstance(value, Tensor)}}
    weights = dict[str, Tensor]()
    for block, state in blocks.items():
        prefix = "" if block in STATES else f"{block}."
        for key, weight in state.items():
            name = WRAPPERS.sub(r"\1", prefix + str(key))
            if name in weights:
                raise UserError(
                    f"each weight must have a name of its own; '{file}' holds '{name}' twice; save one model in a file"
                )
            weights[name] = weight
    if not weights:
        raise UserError(
            f"a checkpoint must hold tensors by name; '{file}' holds {', '.join(map(str, contents)) or 'nothing'}; "
            "save the model's state_dict() instead"
        )
    others = {
        str(k): v
        for k, v in contents.items()
        if k not in blocks and not (isinstance(v, Tensor) and k in weights)
    }
    plain = {key: value for key, value in others.items() if isinstance(value, (int, float, str))}
    return Contents(weights, tuple(others), plain)


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _load(file: Path) -> Any:
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        # DINO's checkpoints hold the command's arguments, an object without any code of its own.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        held = f"an object of {named[1]}" if named else "more than tensors"
        raise UserError(
            f"a checkpoint is read without running code from it; '{file}' holds {held}, which would run some, or it is "
            "no checkpoint; if you trust its origin, let torch read it once and keep the tensors alone: "
            'torch.save(torch.load(FILE, weights_only=False)["state_dict"], "weights.pth")'
        ) from error
    except (
        SafetensorError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        reason = printable(next(iter(str(error).splitlines()), "") or type(error).__name__)
        raise UserError(
            f"a checkpoint must be a whole .pth, .pth.tar, .pt, .ckpt or .safetensors; '{file}' cannot be read "
            f"({reason}); download it again, or save the model's state_dict()"
        ) from error


def _a(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"
