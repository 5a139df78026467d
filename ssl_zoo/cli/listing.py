"""`ssl-zoo list`: what there is to choose from."""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ssl_zoo.cli.output import print_json
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_dirs, group_file, group_names, load_group
from ssl_zoo.config.registries import METHODS, SOURCES
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.suites.listing import summaries
from ssl_zoo.terminal.console import Console, styled

if TYPE_CHECKING:
    from ssl_zoo.equation import GridPoint

__all__ = ["show_list"]

GROUPS = {
    "methods": "method",
    "data": "data",
    "recipes": "recipe",
    "experiments": "experiment",
    "protocols": "protocol",
}


def show_list(overrides: Sequence[str], *, as_json: bool = False) -> None:
    """Prints a list, or all lists.

    Args:
        overrides: the kind, and a pattern of names; without them all kinds.
        as_json: as JSON: for each kind a list of `name` and `summary`.

    Raises:
        UserError: there is no such list, or nothing in it matches the pattern.
    """
    known = [*GROUPS, "suites", *REGISTRIES, "backbones"]
    what = overrides[0] if overrides else None
    pattern = overrides[1] if len(overrides) > 1 else None
    if len(overrides) > 2:
        raise UserError(f"list takes one kind and one pattern; received '{' '.join(overrides)}'")
    if what is not None and what not in known:
        raise unknown_name("list", what, known)
    console, lists = Console(wide=True), dict[str, list[dict[str, str]]]()
    for kind in known[:-1] if what is None else [what]:
        entries = _entries(kind, pattern)
        if not entries and what is None:
            continue
        if not entries:
            raise UserError(
                f"no {kind} match '{pattern}'; see ssl-zoo list {kind}" if pattern else f"there are no {kind}"
            )
        lists[kind] = [{"name": name, "summary": Text.assemble(note).plain} for name, note in entries.items()]
        if not as_json:
            _show(console, kind, entries)
    if as_json:
        print_json(lists)


def _entries(kind: str, pattern: str | None) -> dict[str, str | Text]:
    """Returns the names of a kind that match, each with what is said of it."""

    def chosen(names: Iterable[str]) -> list[str]:
        return [name for name in names if pattern is None or _match(name, pattern)]

    if kind == "backbones":
        return dict.fromkeys(chosen(_backbones()), "")
    if kind == "methods":
        names = dict.fromkeys([*group_names("method"), *METHODS.announced()])
        return {name: _method(name) for name in chosen(names)}
    if kind in REGISTRIES or kind == "suites":
        notes = REGISTRIES[kind]() if kind in REGISTRIES else summaries()
        return {name: notes[name] for name in chosen(notes)}
    note = _data if kind == "data" else functools.partial(_summary, GROUPS[kind])
    return {name: note(name) for name in sorted(chosen(group_names(GROUPS[kind])), key=_by_number)}


def _by_number(name: str) -> list[tuple[str, int]]:
    """Returns a sort key that puts byol_200 before byol_1000."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _match(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name, pattern if set(pattern) & set("*?[") else f"*{pattern}*")


def _show(console: Console, kind: str, entries: Mapping[str, str | Text]) -> None:
    if kind == "backbones":
        console.print("\n".join(entries))
        return
    table = Table(
        title=kind, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2)
    )
    table.add_column(no_wrap=True, overflow="fold")
    for name, note in entries.items():
        table.add_row(name, note)
    console.print(table)


def _method(name: str) -> Text:
    """Describes a method, or says why `method=NAME` cannot be trained."""
    from ssl_zoo.equation import GridPoint  # which imports torch

    try:
        entry = METHODS.get(compose([f"method={name}"]).method.name)
    except UserError as error:  # a broken plugin or YAML: the others are still of use
        return styled((str(error).splitlines()[0], "red"))
    if entry.name != name:
        return styled(entry.summary, (f" (a YAML of its own, on {entry.name})", "dim"))
    paper = getattr(entry.load(), "paper", None)
    plugin = METHODS.announced().get(name)
    origin = f" (from {plugin.module})" if plugin is not None else ""
    return styled(_parts(paper) if isinstance(paper, GridPoint) else entry.summary, (origin, "dim"))


def _parts(point: GridPoint) -> str:
    """Describes the parts of a method."""
    parts = [
        point.similarity,
        "stop-gradient" if point.stop_gradient else "",
        f"predictor {point.predictor}" if point.predictor != "identity" else "",
        "momentum encoder" if point.momentum_encoder else "",
        f"negatives {point.negatives}" if point.negatives != "none" else "",
        f"assignment {point.assignment}" if point.assignment != "identity" else "",
        "" if point.symmetric else "asymmetric",
    ]
    return ", ".join(part for part in parts if part)


def _sources() -> dict[str, str]:
    return {name: entry.summary for name, entry in SOURCES.all().items()}


def _formats() -> dict[str, str]:
    from ssl_zoo.exporters.formats import EXPORTERS

    return {name: entry.summary for name, entry in EXPORTERS.all().items()}


def _metrics() -> dict[str, str]:
    from ssl_zoo.metrics import METRICS  # which imports torch

    return {name: metric.title for name, metric in METRICS.all().items()}


REGISTRIES = {"sources": _sources, "formats": _formats, "metrics": _metrics}


def _backbones() -> list[str]:
    import timm

    return list(timm.list_models())


def _data(name: str) -> Text:
    """Describes a data set, and says how what it needs is installed where that is not there."""
    summary = _summary("data", name)
    try:
        source = SOURCES.get(load_group("data", name, group_dirs()).values["data"]["source"])
    except (UserError, KeyError, TypeError):  # a broken YAML: the others are still of use
        return styled(summary)
    if source.package is None or find_spec(source.package) is not None:
        return styled(summary)
    return styled(summary, (f" (needs {source.package}: pip install 'ssl-zoo[{source.name}]')", "red"))


def _summary(group: str, name: str) -> str:
    """Returns the first line of comment in a YAML file."""
    lines = group_file(group, name).read_text(errors="replace", encoding="utf-8").splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("# ")), "")
