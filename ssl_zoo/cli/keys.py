"""The keys of each verb: `ssl-zoo VERB --help`, and `ssl-zoo config --describe KEY`, which looks among all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

from ssl_zoo.config.describe import Key, as_text, keys_of, settings_of
from ssl_zoo.config.registries import METHODS, SOURCES
from ssl_zoo.config.schema import RunSettings, SiameseConfig
from ssl_zoo.config.validate import nearest_key
from ssl_zoo.errors import UserError
from ssl_zoo.registry import Registry, resolve

__all__ = ["SCHEMAS", "declared", "describe", "verb_help"]

# Imported when they are asked for. A suite is no verb: its keys are those of its YAML file.
SCHEMAS = {
    "eval": "ssl_zoo.evaluation.protocols:eval_config",
    "bench": "ssl_zoo.suites.options:BenchConfig",
    "suite": "ssl_zoo.suites.schema:SuiteConfig",
    "report": "ssl_zoo.reports.options:ReportConfig",
    "export": "ssl_zoo.exporters.schema:ExportConfig",
    "embed": "ssl_zoo.embedding.schema:EmbedConfig",
}
CHOICES = """\
method, data, recipe and experiment choose YAML files by name, see `ssl-zoo list`; the keys below set single values.
Defaults are those of the schema; `ssl-zoo config` prints the values of a run, which its YAML files set.
"""
IMAGES = "data=NAME and data.* name other images than the run's, see `ssl-zoo train --help`.\n"
NOTES = {
    "train": CHOICES,
    "eval": IMAGES,
    "report": IMAGES,
    "embed": IMAGES,
    "bench": "Every other key is one of `ssl-zoo train` and holds for all rows.\n",
}


def declared(name: str) -> Iterator[Key]:
    """Yields the keys of a verb, or of a suite's YAML file."""
    if name == "train":
        yield from keys_of(RunSettings)
        yield Key(
            "method", "", "", "The method, a point of the grid; method=NAME has the values of its paper."
        )
        yield from keys_of(SiameseConfig, "method")
    else:
        schema = resolve(SCHEMAS[name])
        yield from keys_of(schema if isinstance(schema, type) else schema())


def verb_help(verb: str, usage: str) -> str:
    """Returns a verb's usage and its keys with types, ranges, defaults and meanings."""
    name = "train" if verb == "config" else verb
    if name not in ("train", *SCHEMAS):
        return usage
    return "\n".join([usage, NOTES.get(name, ""), as_text([*declared(name)], _width())])


def describe(key: str) -> str:
    """Returns the help of a key, or of a block of keys, from wherever it is declared, and the YAML files that set it.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    tables = {name: [*declared(name)] for name in ("train", *SCHEMAS)}
    tables |= _of_plugins(key, {entry.name for entry in tables["train"]})
    texts = []
    for name, keys in tables.items():
        chosen = [entry for entry in keys if entry.name == key or entry.name.startswith(f"{key}.")]
        if chosen:
            heading = "in a suite's YAML file" if name == "suite" else f"ssl-zoo {name}"
            texts.append(f"{heading}\n\n{as_text(chosen, _width())}")
    if not texts:
        known = [entry.name for keys in tables.values() for entry in keys]
        raise UserError(f"unknown key '{key}'{nearest_key(key, known)}")
    settings = settings_of(key)
    wide = max((len(file) for file, _ in settings), default=0)
    lines = [f"  {file:{wide}}  {value}\n" for file, value in settings]
    return "\n".join(texts) + "".join(["\nset by\n\n", *lines] if lines else [])


def _of_plugins(key: str, known: set[str]) -> dict[str, list[Key]]:
    """Returns the further keys that installed methods have under `method`, or data sources under `data`."""
    block = key.partition(".")[0]
    registries: dict[str, Registry[Any]] = {"method": METHODS, "data": SOURCES}
    if block not in registries or key in known:
        return {}
    registry = registries[block]
    configs = {name: registry.get(name).config for name in registry.announced()}
    return {
        f"train {block}={name}": [entry for entry in keys_of(config, block) if entry.name not in known]
        for name, config in configs.items()
    }


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 120)
