"""A protocol: a YAML file of the group `protocol`, this package's, a plugin's or the user's.

    kind: knn              the code, a file in `evaluation/protocols/`, or a plugin's
    knn: {k: [20]}         its settings, the block of that name
    defaults: [knn]        a protocol whose settings hold besides

or, to do several together,

    protocols: [linear_cached, finetune]
    other_data: true       only on data that the run was not trained on
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from ssl_zoo.config.groups import group_dirs, group_file, load_group
from ssl_zoo.errors import UserError, shown, suggest
from ssl_zoo.evaluation.protocols import PROTOCOLS

__all__ = ["GROUP", "Protocol", "expand"]

GROUP = "protocol"


class Protocol(NamedTuple):
    """The contents of a protocol's YAML."""

    name: str
    kind: str
    settings: dict[str, Any]  # the block of the kind's name, under that name
    file: Path
    transfer: str | None  # the protocol that asked for data which the run was not trained on


def expand(name: str, transfer: str | None = None, above: tuple[str, ...] = ()) -> list[Protocol]:
    """Returns a protocol, or those that it lists.

    Raises:
        UserError: there is no such protocol; its YAML cannot be read, holds something else, or lists itself.
    """
    file = group_file(GROUP, name)
    if name in above:
        raise UserError(
            f"a protocol lists others, not itself; '{file}' comes round to '{name}'; take it out there"
        )
    block = _checked(load_group(GROUP, name, group_dirs()).values, file)
    if block.get("other_data"):
        transfer = transfer or name
    if "protocols" in block:
        return [each for inner in block["protocols"] for each in expand(inner, transfer, (*above, name))]
    kind = block["kind"]
    return [Protocol(name, kind, {kind: block.get(kind) or {}}, file, transfer)]


def _checked(block: dict[str, Any], file: Path) -> dict[str, Any]:
    """Returns the block of a protocol's YAML.

    Raises:
        UserError: it is no protocol's.
    """
    kinds = PROTOCOLS.names()
    if ("kind" in block) == ("protocols" in block):
        raise UserError(
            f"a protocol's YAML says its kind ({', '.join(kinds)}), or lists protocols; '{file}' says neither or "
            "both; see configs/protocol/knn.yaml"
        )
    kind = block.get("kind", "knn")
    if kind not in kinds:
        raise UserError(
            f"kind must be one of {', '.join(kinds)}; '{file}' says {shown(kind)}{suggest(str(kind), kinds)}"
        )
    known = {"other_data", *(("kind", kind) if "kind" in block else ("protocols",))}
    unknown = [str(key) for key in block if key not in known]
    if unknown:
        raise UserError(
            f"a protocol's YAML of this kind holds {', '.join(sorted(known))}; '{file}' has '{unknown[0]}' as "
            "well; take it out, or say it on the command line"
        )
    if not isinstance(block.get("other_data", False), bool) or not isinstance(block.get(kind) or {}, dict):
        raise UserError(
            f"other_data must be true or false, and '{kind}' a block of keys; '{file}' has something else"
        )
    listed = block.get("protocols", ["knn"])
    if not isinstance(listed, list) or not listed or not all(isinstance(inner, str) for inner in listed):
        raise UserError(
            f"protocols must be a list of names; '{file}' has {shown(listed)}; write protocols: [knn, finetune]"
        )
    return block
