"""Links out of docs/ into the repository lead to the source on the project's page, and fail where no such file is.

`[verdict.py](../ssl_zoo/monitors/verdict.py)` so works in the repository itself and in the site.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

__all__ = ["setup", "source_finder"]

logger = logging.getLogger(__name__)
BRANCH = "main"
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
FENCED = re.compile(r"^(```+|~~~+).*?^\1", re.MULTILINE | re.DOTALL)  # code, whose comments are no headings


def source_url(repository: str, top: Path, path: Path) -> str:
    """Returns the address of a file or folder of the checkout `top` on the project's page."""
    kind = "tree" if path.is_dir() else "blob"
    return f"{repository}/{kind}/{BRANCH}/{path.relative_to(top).as_posix()}"


class LinksIntoRepository(SphinxTransform):
    """Makes references to the repository of links that MyST takes for downloads, for pages or for unknown."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        """Called by Sphinx for each page that it has read."""
        docs = Path(self.env.srcdir)
        top = docs.parent
        for node in list(self.document.findall(_is_link)):
            path, anchor = self._target(node)
            if path is None or not path.exists() or not path.is_relative_to(top):
                continue  # MyST complains of what does not exist
            if path.is_relative_to(docs) and not path.is_dir():
                continue
            if anchor and path.suffix == ".md" and anchor not in _anchors(path):
                logger.warning(
                    "%s has no heading '%s'", path.relative_to(top), anchor, location=node, type="myst"
                )
            uri = source_url(self.config.repository, top, path) + (f"#{anchor}" if anchor else "")
            reference = nodes.reference("", "", *node.children, refuri=uri)
            node.replace_self(reference)

    def _target(self, node: nodes.Element) -> tuple[Path | None, str | None]:
        """Returns the file or folder that a link names, whether it exists or not, and its anchor."""
        target, anchor = str(node["reftarget"]), node.get("reftargetid")
        if node.get("refdomain") == "doc":  # a Markdown file, by its name without the suffix
            return (Path(f"{target}.md") if Path(target).is_absolute() else None), anchor
        path, _, anchor = target.partition("#")
        if not path:
            return None, None
        return Path(self.env.relfn2path(path, self.env.docname)[1]).resolve(), anchor or None


def _is_link(node: nodes.Node) -> bool:
    kinds = (addnodes.pending_xref, addnodes.download_reference)
    return isinstance(node, kinds) and node.get("reftype") == "myst"


def _anchors(path: Path) -> set[str]:
    """Returns GitHub's anchors of a Markdown file's headings."""
    slugs = set[str]()
    for title in HEADING.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        words = re.sub(r"[^\w\- ]", "", title.lower())
        slugs.add(words.strip().replace(" ", "-"))
    return slugs


def source_finder(repository: str, top: Path) -> Callable[[str, dict[str, str]], str | None]:
    """Returns the function by which sphinx.ext.linkcode finds the source of what is documented."""

    def resolve(domain: str, info: dict[str, str]) -> str | None:
        if domain != "py" or not info.get("module"):
            return None
        target: Any = importlib.import_module(info["module"])
        try:
            for part in info["fullname"].split("."):
                target = getattr(target, part)
            target = inspect.unwrap(getattr(target, "fget", target))
            file = Path(inspect.getsourcefile(target) or "")
            lines, start = inspect.getsourcelines(target)
        except (AttributeError, TypeError, OSError):
            return None
        if not file.is_relative_to(top):
            return None
        return f"{source_url(repository, top, file)}#L{start}-L{start + len(lines) - 1}"

    return resolve


def setup(app: Sphinx) -> None:
    """Adds the setting `repository` and the transform."""
    app.add_config_value("repository", "", "env", str)
    app.add_transform(LinksIntoRepository)
