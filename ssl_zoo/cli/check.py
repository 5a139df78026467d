"""`ssl-zoo check method=NAME [clauses=[NAME,…]]`: a line per clause that a method keeps, breaks or is spared."""

from __future__ import annotations

from collections.abc import Sequence

from ssl_zoo.cli.output import print_json
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_names
from ssl_zoo.config.overrides import read_override
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import Unfinished, UserError, unknown_name
from ssl_zoo.terminal.console import Console, styled

__all__ = ["read_check", "show_check"]

STYLES = {"ok": "green", "broken": "bold red", "not applicable": "dim"}


def read_check(overrides: Sequence[str]) -> tuple[str, list[str] | None, list[str]]:
    """Returns the method's name, the clauses asked for (None: all) and the other overrides; imports no torch.

    Raises:
        UserError: no method is named, there is none of that name, or the other overrides are wrong.
    """
    names = [override.partition("=")[2] for override in overrides if override.startswith("method=")]
    if len(names) != 1:
        raise UserError(
            f"check takes method=NAME once; received it {len(names)} times; see ssl-zoo list methods"
        )
    known = dict.fromkeys([*group_names("method"), *METHODS.names()])
    if names[0] not in known:
        raise unknown_name("method", names[0], known)
    clauses: list[str] | None = None
    for override in overrides:
        if override.startswith("clauses="):
            _, value = read_override(override)
            clauses = [str(name) for name in (value if isinstance(value, list) else [value])]
    others = [override for override in overrides if not override.startswith(("method=", "clauses="))]
    if others:
        compose([f"method={names[0]}", *others])
    return names[0], clauses, others


def show_check(
    name: str, chosen: Sequence[str] | None, overrides: Sequence[str], *, as_json: bool = False
) -> None:
    """Checks a method and prints a line per clause, or at the end a list of `clause`, `outcome` and `sentence`.

    Raises:
        Unfinished: it breaks a clause.
        UserError: there is no such clause.
    """
    from ssl_zoo.testing import check_clauses, clauses

    console, demands, broken = Console(stderr=as_json), clauses(), list[str]()
    records = list[dict[str, str]]()
    for clause, outcome, sentence in check_clauses(name, *overrides, clauses=chosen):
        console.print(
            styled((f"{outcome:15} ", STYLES[outcome]), f"{clause:16} {sentence or demands[clause]}")
        )
        broken += [clause] if outcome == "broken" else []
        records.append({"clause": clause, "outcome": outcome, "sentence": sentence or demands[clause]})
    if as_json:
        print_json(records)
    if broken:
        count = f"{len(broken)} clause{'s' * (len(broken) > 1)}"
        raise Unfinished(f"method '{name}' breaks {count} of the contract: {', '.join(broken)}")
