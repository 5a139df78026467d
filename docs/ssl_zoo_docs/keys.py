"""The keys as things that can be searched and linked to, each for itself; docs/keys.md has them in tables.

{key}`optimizer.lr`, {key}`bench seeds`     link to one: a key of `ssl-zoo train`, or a verb and a key of it
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.directives import ObjectDescription

from ssl_zoo.cli.keys import HEADING, TITLES, declared_keys
from ssl_zoo.config.describe import REQUIRED, Key

__all__ = ["setup"]

PAGE = "keys"


class KeyDirective(ObjectDescription[str]):
    """A key, under the name by which it is linked to: `optimizer.lr`, or `bench seeds`."""

    option_spec: ClassVar = {"type": directives.unchanged, "default": directives.unchanged}

    def handle_signature(self, sig: str, signode: addnodes.desc_signature) -> str:
        """Writes the key, and its default as on the command line."""
        key = sig.rpartition(" ")[2]
        signode += addnodes.desc_name(key, key)
        default = self.options.get("default", "")
        if default:
            text = f"={default}" if default != REQUIRED else f" ({REQUIRED})"
            signode += addnodes.desc_annotation(text, text)
        return sig

    def transform_content(self, content_node: addnodes.desc_content) -> None:
        """Puts the type before the meaning."""
        if kind := self.options.get("type"):
            content_node.insert(0, nodes.paragraph("", "", nodes.emphasis("", kind), classes=["key-type"]))

    def add_target_and_index(self, name: str, sig: str, signode: addnodes.desc_signature) -> None:
        """Makes the key one that roles and the search find."""
        anchor = nodes.make_id(f"key {name}")
        signode["ids"].append(anchor)
        self.env.domains.standard_domain.note_object("key", name, anchor, location=signode)

    def _toc_entry_name(self, sig_node: addnodes.desc_signature) -> str:
        return ""


def page() -> str:
    """Returns docs/keys.md with a `key` directive in place of each line of its tables."""
    parts = [HEADING]
    for verb, title in TITLES.items():
        parts += [f"## {title}", "", *_entries(verb)]
    return "\n".join(parts)


def _entries(verb: str) -> Iterator[str]:
    """Yields the blocks and keys of a verb; a key that several methods have is named with the method."""
    names, chosen = set[str](), ""
    for key in declared_keys(verb):
        if key.is_block:
            chosen = f"{key.name} " if "=" in key.name else chosen
            yield f"### `{key.name}`\n\n{key.meaning}\n"
            continue
        name = key.name if verb == "train" else f"{verb} {key.name}"
        name = f"{chosen}{name}" if name in names else name
        names.add(name)
        yield _entry(name, key)


def _entry(name: str, key: Key) -> str:
    return (
        f"````{{key}} {name}\n:type: {key.kind}\n:default: {key.default or repr('')}\n\n{key.meaning}\n````\n"
    )


def _as_page(app: Sphinx, name: str, source: list[str]) -> None:
    if name == PAGE:
        source[0] = page()


def setup(app: Sphinx) -> None:
    """Adds the directive and the role, and rewrites the page when it is read."""
    app.add_object_type("key", "key", objname="key")
    app.add_directive_to_domain("std", "key", KeyDirective, override=True)
    app.connect("source-read", _as_page)
