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

WIDE = 10_000  # columns where there is no terminal to wrap for: a line for each name


def show_list(overrides: Sequence[str]) -> None:
    """Prints a list, or all lists.

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
    console = Console()
    for kind in known[:-1] if what is None else [what]:
        if kind == "backbones":
            _names(console, kind, _backbones(), pattern)
        elif kind == "methods":
            _methods(console, pattern)
        elif kind in REGISTRIES:
            notes = REGISTRIES[kind]()
            _names(console, kind, notes, pattern, notes)
        elif kind == "suites":
            notes = summaries()
            _names(console, kind, notes, pattern, notes)
        else:
            names = [name for name in group_names(GROUPS[kind]) if pattern is None or _match(name, pattern)]
            names.sort(key=_by_number)
            if what is None and not names:
                continue
            note = _data if kind == "data" else functools.partial(_summary, GROUPS[kind])
            _names(console, kind, names, pattern, {name: note(name) for name in names})


def _by_number(name: str) -> list[tuple[str, int]]:
    """Returns a sort key that puts byol_200 before byol_1000."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def _match(name: str, pattern: str) -> bool:
    return fnmatch.fnmatch(name, pattern if set(pattern) & set("*?[") else f"*{pattern}*")


def _names(
    console: Console,
    kind: str,
    names: Iterable[str],
    pattern: str | None,
    notes: Mapping[str, str | Text] | None = None,
) -> None:
    chosen = [name for name in names if pattern is None or _match(name, pattern)]
    if not chosen:
        raise UserError(
            f"no {kind} match '{pattern}'; see ssl-zoo list {kind}" if pattern else f"there are no {kind}"
        )
    if notes is None:
        console.print("\n".join(chosen))
        return
    if not console.is_terminal:
        console.width = WIDE
    table = Table(
        title=kind, title_justify="left", title_style="bold", box=None, show_header=False, padding=(0, 2)
    )
    table.add_column(no_wrap=True, overflow="fold")
    for name in chosen:
        table.add_row(name, notes[name])
    console.print(table)


def _methods(console: Console, pattern: str | None) -> None:
    names = dict.fromkeys([*group_names("method"), *METHODS.announced()])
    _names(console, "methods", names, pattern, {name: _method(name) for name in names})


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
    lines = group_file(group, name).read_text(errors="replace").splitlines()
    return next((line[1:].strip() for line in lines if line.startswith("# ")), "")
