"""Python references: annotations' names are found where they are documented, and a role that leads nowhere fails.

An annotation says `Result` or `ssl_zoo.run_dir.result.Result` where the reference has `ssl_zoo.Result`. A type that
has no entry, another library's for instance, stays text in annotations; {py:class}`…` in a page has to lead somewhere.
"""

from __future__ import annotations

import builtins
import importlib
import typing

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

__all__ = ["setup"]

OURS = "ssl_zoo"


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Node | None:
    """Resolves a reference that Sphinx could not: by the name's last part, where one object alone has it."""
    if node.get("refdomain") != "py":
        return None
    target, is_role = str(node["reftarget"]), "refwarn" in node
    last = target.rpartition(".")[2]
    if not is_role or target.startswith(f"{OURS}."):
        objects = env.domains.python_domain.objects
        found = {
            entry.node_id: (name, entry)
            for name, entry in objects.items()
            if name.rpartition(".")[2] == last and entry.objtype in ("class", "exception", "function")
        }
        if len(found) == 1 and (not is_role or _exists(target, None)):
            [(name, entry)] = found.values()
            page = app.builder.get_relative_uri(node.get("refdoc", env.docname), entry.docname)
            uri = f"{page}#{entry.node_id}"
            return nodes.reference("", "", content, internal=True, refuri=uri, reftitle=name)
    return content if not is_role and _exists(target, node.get("py:module")) else None


def _exists(target: str, module: str | None) -> bool:
    """Whether a name means something where it stands: in its module, in `typing`, in Python, or with its whole path."""
    homes = [builtins, typing, *([importlib.import_module(module)] if module else [])]
    if any(_has(home, target) for home in homes):
        return True
    path, _, name = target.rpartition(".")
    try:
        return bool(path) and (_has(importlib.import_module(path), name))
    except ImportError:
        return target == "NoneType"


def _has(home: object, target: str) -> bool:
    for part in target.split("."):
        if not hasattr(home, part):
            return False
        home = getattr(home, part)
    return True


def setup(app: Sphinx) -> None:
    """Resolves what is missing."""
    app.connect("missing-reference", _resolve)
