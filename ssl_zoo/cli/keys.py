"""The keys of each verb: `ssl-zoo VERB --help`, and `ssl-zoo config --describe KEY`, which looks among all of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ssl_zoo.catalog.options import RunsConfig
from ssl_zoo.config.describe import Key, as_markdown, as_text, keys_of, settings_of
from ssl_zoo.config.origins import values_of
from ssl_zoo.config.registries import METHODS, SOURCES
from ssl_zoo.config.schema import DataConfig, RunSettings, SiameseConfig
from ssl_zoo.config.validate import nearest_key, written_value
from ssl_zoo.embedding.schema import EmbedConfig
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.protocols import PROTOCOLS, eval_config
from ssl_zoo.exporters.formats import EXPORTERS
from ssl_zoo.exporters.schema import ExportConfig
from ssl_zoo.importers.schema import ImportConfig
from ssl_zoo.registry import Registry
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.sharding.schema import ShardsConfig
from ssl_zoo.suites.options import BenchConfig, SweepConfig
from ssl_zoo.suites.schema import SuiteConfig

__all__ = ["SCHEMAS", "WITH_KEYS", "declared_keys", "describe_key", "describe_value", "document", "verb_help"]

WITH_KEYS: tuple[Registry[Any], ...] = (METHODS, SOURCES, PROTOCOLS, EXPORTERS)
# A suite is no verb, but a YAML file.
SCHEMAS: dict[str, Callable[[], type[Any]]] = {
    "train": lambda: RunSettings,
    "eval": eval_config,
    "bench": lambda: BenchConfig,
    "suite": lambda: SuiteConfig,
    "report": lambda: ReportConfig,
    "runs": lambda: RunsConfig,
    "export": lambda: ExportConfig,
    "embed": lambda: EmbedConfig,
    "shards": lambda: ShardsConfig,
    "import": lambda: ImportConfig,
}
# What adds keys to a verb by being chosen: the key that chooses it, its registry, and the block of its keys.
CHOSEN: dict[str, list[tuple[str, Registry[Any], str]]] = {
    "train": [("method", METHODS, "method"), ("data.source", SOURCES, "data")],
    "export": [("format", EXPORTERS, "")],
}
TITLES = {
    "train": "A run: `ssl-zoo train`",
    "eval": "An evaluation: `ssl-zoo eval`",
    "bench": "A suite: `ssl-zoo bench`",
    "suite": "A suite's YAML file",
    "report": "A report: `ssl-zoo report`",
    "runs": "A list of runs: `ssl-zoo runs`",
    "export": "An export: `ssl-zoo export`",
    "embed": "Features of many images: `ssl-zoo embed`",
    "shards": "Shards of images: `ssl-zoo shards`",
    "import": "A checkpoint of another program: `ssl-zoo import`",
}
HEADING = """\
# Keys

Made by `python -m ssl_zoo.cli.keys > docs/keys.md` from the declarations in the schemas, for instance
[ssl_zoo/config/schema](../ssl_zoo/config/schema). `ssl-zoo VERB --help` prints a verb's keys, `ssl-zoo config
--describe KEY` explains one and lists the YAML files that set it. Defaults are those of the schema: a run has the
values of its YAML files, which `ssl-zoo config` prints.
"""
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
    "shards": "data.* names the images in files, see `ssl-zoo train --help`.\n",
    "import": "data=NAME and data.* name images for evaluations; data.mean and data.std replace the program's.\n",
    "runs": """\
Every other argument is a folder, or a condition on a field, a metric or a key of the configuration: method=byol,
seed=0..4, 'knn>80' or knn=80.., optimizer.lr!=0.1, verdict=collapsed, state=interrupted, run=*mine*.
""",
    "bench": "Every other key is one of `ssl-zoo train` and holds for all rows.\n",
}


def declared_keys(name: str) -> Iterator[Key]:
    """Yields the keys of a verb, or of a suite's YAML file; of plugins those that have been imported."""
    known = [SCHEMAS[name]()]
    yield from keys_of(known[0])
    if name == "train":
        yield from keys_of(SweepConfig)
        yield Key(
            "method", "", "", "The method, a point of the grid; method=NAME has the values of its paper."
        )
        yield from keys_of(SiameseConfig, "method")
        known += [SiameseConfig, DataConfig]
    for key, registry, block in CHOSEN.get(name, []):
        for entry in registry.registered():
            keys = [*keys_of(entry.config, block, above=known)]
            yield from [Key(f"{key}={entry.name}", "", "", entry.config.__doc__ or ""), *keys] if keys else []


def verb_help(verb: str, usage: str) -> str:
    """Returns a verb's usage and its keys with types, ranges, defaults and meanings."""
    name = "train" if verb == "config" else verb
    if name not in SCHEMAS:
        return usage
    return "\n".join([*filter(None, [usage, NOTES.get(name)]), as_text([*declared_keys(name)], _width())])


def describe_key(key: str) -> str:
    """Returns the help of a key, or of a block of keys, from wherever it is declared, and the YAML files that set it.

    Raises:
        UserError: there is none; the message has the nearest.
    """
    known = list[str]()
    for with_plugins in (False, True):
        if with_plugins:
            _import_plugins()
        tables = {name: [*declared_keys(name)] for name in SCHEMAS}
        known = [entry.name for keys in tables.values() for entry in keys if "=" not in entry.name]
        texts = [_chosen(name, keys, key) for name, keys in tables.items()]
        if any(texts):
            return "\n".join([*filter(None, texts), *_files_that_set(key)])
    known = [*dict.fromkeys(known)]
    similar = [name for name in known if key in name]
    raise UserError(f"unknown key '{key}'{nearest_key(key, similar or known)}")


def describe_value(key: str, overrides: Sequence[str]) -> str:
    """Returns the value that a key, or each key of a block, has in the run of these overrides, and where it stands.

    Raises:
        UserError: an override is wrong, or no key of such a run has that name.
    """
    values = values_of(key, overrides)
    if not values:
        raise UserError(
            f"overrides show the value that a key has in a run; '{key}' is none of the run's of {' '.join(overrides)}; "
            "leave the overrides out, or name another key"
        )
    lines = [(f"{name}={written_value(value)}", origin) for name, value, origin in values]
    wide = max(len(line) for line, _ in lines)
    return "\n".join(
        [f"with {' '.join(overrides)}\n", *(f"  {line:{wide}}  {origin}" for line, origin in lines), ""]
    )


def _chosen(name: str, keys: list[Key], key: str) -> str:
    """Returns the help of a key or block of a verb, under what has it where that is one of several to choose from."""
    chosen = list[Key]()
    owner: Key | None = None
    for entry in keys:
        if "=" in entry.name:
            owner = entry
        if entry.name == key or entry.name.startswith(f"{key}."):
            if owner is not None and owner is not entry:
                chosen.append(owner)
            owner = None
            chosen.append(entry)
    heading = "in a suite's YAML file" if name == "suite" else f"ssl-zoo {name}"
    return f"{heading}\n\n{as_text(chosen, _width())}" if chosen else ""


def _files_that_set(key: str) -> list[str]:
    settings = settings_of(key)
    wide = max((len(file) for file, _ in settings), default=0)
    return ["set by\n", *(f"  {file:{wide}}  {value}" for file, value in settings), ""] if settings else []


def _import_plugins() -> None:
    """Imports what other packages announce, whose keys are known only then."""
    for registry in WITH_KEYS:
        for name in registry.announced():
            registry.get(name)


def _width() -> int:
    return min(shutil.get_terminal_size().columns, 120)


def document() -> str:
    """Returns docs/keys.md."""
    sections = [f"## {title}\n\n{as_markdown([*declared_keys(name)])}" for name, title in TITLES.items()]
    return "\n".join([HEADING, *sections])


if __name__ == "__main__":
    print(document(), end="")
