"""Checks a method by every clause of the contract."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from ssl_zoo.config.groups import group_names
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import unknown_name
from ssl_zoo.testing import declared, devices, losses, processes, resuming, steps
from ssl_zoo.testing.contract import Broken, Clause, ContractError, NotApplicable
from ssl_zoo.testing.setting import Setting, kept_generators

__all__ = ["Checked", "check_clauses", "check_method", "clauses"]

ALL: tuple[Clause, ...] = (
    declared.composes,
    declared.cites,
    losses.finite,
    losses.finite_in_bf16,
    losses.several_sizes,
    losses.gradients,
    steps.same_seed,
    processes.two_processes,
    steps.accumulation,
    resuming.resume,
    devices.one_device,
)
CLAUSES = {clause.__name__: clause for clause in ALL}


class Checked(NamedTuple):
    """A clause that was checked, with the sentence on it where it is broken or not applicable."""

    clause: str
    outcome: Literal["ok", "broken", "not applicable"]
    sentence: str = ""


def clauses() -> dict[str, str]:
    """Returns the clauses by name, in the order in which they are checked, each with what it demands."""
    return {name: (clause.__doc__ or "").strip().split("\n")[0] for name, clause in CLAUSES.items()}


def check_method(name: str, *overrides: str, clauses: Sequence[str] | None = None) -> None:
    """Checks a method by the contract, in about 20 s on an idle CPU: `check_method("simsiam")`.

    In the tests of a plugin, with the names of its methods:

        @pytest.mark.parametrize("name", ["barlowtwins"])
        def test_contract(name: str) -> None:
            check_method(name)

    Args:
        name: of the method, as in `method=NAME`.
        overrides: of `ssl-zoo train`, over the small setting in which it is checked.
        clauses: names of those to check; None: all.

    Raises:
        ContractError: it breaks some; the message names each, with what was expected and found and the usual fix.
        UserError: there is no such method or clause, or the overrides are wrong.
    """
    broken = {
        checked.clause: checked.sentence
        for checked in check_clauses(name, *overrides, clauses=clauses)
        if checked.outcome == "broken"
    }
    if broken:
        raise ContractError(name, broken)


def check_clauses(name: str, *overrides: str, clauses: Sequence[str] | None = None) -> Iterator[Checked]:
    """Yields the outcome of each clause; see `check_method`."""
    known = dict.fromkeys([*group_names("method"), *METHODS.names()])
    if name not in known:
        raise unknown_name("method", name, known)
    chosen = [*CLAUSES] if clauses is None else [*clauses]
    for clause in chosen:
        if clause not in CLAUSES:
            raise unknown_name("clause", clause, CLAUSES)
    setting = Setting(name, overrides)
    composed = _check(declared.composes.__name__, setting)
    if composed.outcome == "broken":
        yield composed  # nothing can be built
        return
    _ = setting.config  # raises where the overrides are wrong, which is no fault of the method
    for clause in chosen:
        yield composed if clause == composed.clause else _check(clause, setting)


def _check(name: str, setting: Setting) -> Checked:
    try:
        with kept_generators():
            CLAUSES[name](setting)
    except Broken as error:
        return Checked(name, "broken", str(error))
    except NotApplicable as reason:
        return Checked(name, "not applicable", str(reason))
    except Exception as error:  # whatever the method raises
        return Checked(name, "broken", f"the method raised {type(error).__name__}: {error}")
    return Checked(name, "ok")
