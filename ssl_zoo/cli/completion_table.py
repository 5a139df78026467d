"""What shell completion offers: keys, values, folders of YAML files. Made once and kept, as making it takes a second.

Kept as `completion.json` in the user's cache folder, and made anew when a file of this package or what is installed has
changed. Nothing but the making imports the schemas; nothing imports torch.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from ssl_zoo.files.writing import write_file

__all__ = ["read_table"]

PACKAGE = Path(__file__).parent.parent
# The schemas of each verb's keys; data: the keys of the images alone.
KEYS = {
    "train": ("train",),
    "config": ("train",),
    "doctor": ("train",),
    "check": ("train",),
    "bench": ("bench", "train"),
    "eval": ("eval", "data"),
    "report": ("report", "data"),
    "runs": ("runs",),
    "embed": ("embed", "data"),
    "export": ("export",),
    "shards": ("shards", "data"),
    "import": ("import", "data"),
}
LONGEST = 72  # characters of a description


def read_table() -> dict[str, Any]:
    """Returns the table: `keys` by verb, each with a list of name, whether a path, values and meaning; and names."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ssl-zoo"
    file, stamp = folder / "completion.json", _stamp()
    try:
        kept = json.loads(file.read_bytes())
        if kept["stamp"] == stamp:
            table: dict[str, Any] = kept["table"]
            return table
    except (OSError, ValueError, KeyError, TypeError):
        pass
    table = _make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps({"stamp": stamp, "table": table}))
    except OSError:  # a folder that cannot be written: each completion takes a second
        pass
    return table


def _stamp() -> list[Any]:
    """Returns what changes when the package, or what is installed beside it, does."""
    entries = (entry for folder, _, _ in os.walk(PACKAGE) for entry in os.scandir(folder))
    ours = [entry.stat().st_mtime_ns for entry in entries if entry.name.endswith(".py")]
    packages = sorted(path for path in {*sys.path} if path.endswith(("site-packages", "dist-packages")))
    installed = [[path, os.stat(path).st_mtime_ns] for path in packages if os.path.isdir(path)]
    return [str(PACKAGE), len(ours), max(ours, default=0), installed]


def _make() -> dict[str, Any]:
    from ssl_zoo import registry
    from ssl_zoo.cli.keys import SCHEMAS, declared_keys
    from ssl_zoo.config.groups import CONFIGS
    from ssl_zoo.config.registries import METHODS
    from ssl_zoo.exporters.formats import EXPORTERS

    declared: dict[str, list[list[Any]]] = {
        name: [
            [key.name, "path" in key.kind, [*key.values], _first_sentence(key.meaning)]
            for key in declared_keys(name)
            if "=" not in key.name and not key.is_block and key.name != "method.name"
        ]
        for name in SCHEMAS
    }
    views = [key for key in declared["train"] if key[0].startswith("augment.") and ".views." not in key[0]]
    declared["train"] += [[key[0].replace("augment.", "augment.views.NAME.", 1), *key[1:]] for key in views]
    declared["data"] = [key for key in declared["train"] if key[0].startswith("data.")]
    return {
        "keys": {verb: [key for name in names for key in declared[name]] for verb, names in KEYS.items()},
        "configs": [str(folder) for folder in (CONFIGS, *registry.config_dirs())],
        "suites": str(files("ssl_zoo.benchmarks") / "suites"),
        "methods": list(METHODS.announced()),
        "formats": EXPORTERS.names(),
        "backbones": sorted(_backbones()),
    }


def _first_sentence(meaning: str) -> str:
    sentence = re.split(r"(?<=[.:;]) ", meaning, maxsplit=1)[0].rstrip(".:;")
    return sentence if len(sentence) <= LONGEST else f"{sentence[: LONGEST - 3]}..."


def _backbones() -> Iterator[str]:
    """Yields the names of timm's models, read from its source: its import takes torch's seconds."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return
    for file in (Path(spec.origin).parent / "models").glob("*.py"):
        yield from re.findall(
            r"^@register_model\s+def (\w+)\(", file.read_text(errors="replace", encoding="utf-8"), re.M
        )
