"""Length of a run that fits into the time left, and whether to compile it, from the measured throughput."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.errors import UserError

__all__ = ["Decision", "compiling", "decide", "read_throughput"]

IMAGES, VIEWS = 50_000, 2
EPOCHS = (200, 100, 50, 20)  # tried in this order, until one fits into the time
START = 35.0  # seconds of a run that are not steps: imports, decoding, the last measurements
SLACK = 1.08  # measurements and checkpoints in between, and a rate that was measured in a short time


class Decision(NamedTuple):
    """Length of a long run, and whether it is compiled."""

    epochs: int
    compile: bool
    seconds: float  # estimated


def decide(measured: dict[str, Any] | None, left: float, *, at_once: int = 1) -> Decision | None:
    """Returns the most epochs that fit into the time, compiled if that is faster; None if none fit.

    Args:
        measured: result of `speed.compare`; None: 200 epochs, not compiled, whatever they take.
        left: seconds.
        at_once: runs at the same time.
    """
    if measured is None:
        return Decision(EPOCHS[0], False, left)
    rates = {name: each["views_per_second"]["median"] for name, each in measured["contenders"].items()}
    rate = rates.get("ssl-zoo") or max(rates.values())
    gain, cost = compiling(measured) or (1.0, 0.0)
    for epochs in EPOCHS:
        plain = at_once * epochs * IMAGES * VIEWS / rate
        seconds, compiles = min((plain * SLACK, False), (plain / gain * SLACK + cost, True))
        if START + seconds <= left:
            return Decision(epochs, compiles, START + seconds)
    return None


def read_throughput(file: Path) -> dict[str, Any]:
    """Reads the result of `speed.compare` that an earlier call has written.

    Raises:
        UserError: it is no such file.
    """
    try:
        measured: dict[str, Any] = {
            **json.loads(file.read_text(encoding="utf-8"))
        }  # TypeError unless it is a mapping
        decide(measured, 0.0)  # reads every figure that planning needs
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise UserError(
            f"--throughput must be the throughput.json of an earlier call; '{file}' cannot be read as one "
            f"({type(error).__name__}: {error}); leave it out, or name another"
        ) from error
    return measured


def compiling(measured: dict[str, Any]) -> tuple[float, float] | None:
    """Returns the speed-up of a compiled step and the seconds that compiling takes; None if not measured."""
    plain, compiled = (measured["contenders"].get(name) for name in ("bare", "bare-compiled"))
    if plain is None or compiled is None:
        return None
    gain = compiled["views_per_second"]["median"] / plain["views_per_second"]["median"]
    return gain, max(0.0, compiled["warmup_seconds"] - plain["warmup_seconds"])
