"""Length of a run that fits into the time left, and whether to compile it, from the measured throughput."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Decision", "compiling", "decide"]

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


def compiling(measured: dict[str, Any]) -> tuple[float, float] | None:
    """Returns the speed-up of a compiled step and the seconds that compiling takes; None if not measured."""
    plain, compiled = (measured["contenders"].get(name) for name in ("bare", "bare-compiled"))
    if plain is None or compiled is None:
        return None
    gain = compiled["views_per_second"]["median"] / plain["views_per_second"]["median"]
    return gain, max(0.0, compiled["warmup_seconds"] - plain["warmup_seconds"])
