"""The export formats by name, and the settings of each from the overrides of `ssl-zoo export`.

@exporter("numpy", config=NumpyConfig)
def numpy(encoder: ExportedEncoder, folder: Path, config: NumpyConfig) -> ExportedFiles: ...
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ssl_zoo.config.options import read_options
from ssl_zoo.config.validate import validate, written_value
from ssl_zoo.errors import UserError, shown
from ssl_zoo.exporters.schema import ExportConfig, OnnxConfig
from ssl_zoo.registry import Entry, Registry
from ssl_zoo.run_dir.paths import checkpoint_of

__all__ = ["EXPORTERS", "Format", "exporter", "read_export"]

F = TypeVar("F", bound=Callable[..., Any])

FILES = (".safetensors", ".onnx", ".pkl", ".pt", ".pth", ".ckpt", ".json")


@dataclass(frozen=True, kw_only=True)
class Format(Entry):
    """An export format: its target writes an encoder into a folder and returns what it has written.

    Attributes:
        packages: that it needs and ssl-zoo doesn't; `extra` of ssl-zoo installs them.
        extra: see `packages`.
    """

    packages: tuple[str, ...] = ()
    extra: str = ""

    @property
    def keys(self) -> set[str]:
        """The keys that this format reads beside those of `ExportConfig`."""
        return {field.name for field in dataclasses.fields(self.config)} - _COMMON


_COMMON = {field.name for field in dataclasses.fields(ExportConfig)}

EXPORTERS: Registry[Format] = Registry("format", "ssl_zoo.exporters", Format)


def exporter(name: str, config: type[ExportConfig] = ExportConfig, **attributes: Any) -> Callable[[F], F]:
    """Function decorator: makes a format known as `format=NAME`.

    Args:
        name: the value of `format`.
        config: the class of its settings, `ExportConfig` or one built on it with further keys.
        attributes: the other attributes of `Format`.

    Raises:
        ValueError: another function has this name already.
    """
    return EXPORTERS.register(name, config=config, **attributes)


def _add(name: str, config: type[ExportConfig] = ExportConfig, **attributes: Any) -> None:
    """Adds a format of this package, whose file is imported when it is used: it needs torch."""
    target = f"ssl_zoo.exporters.to_{name}:write"
    EXPORTERS.add(Format(name=name, target=target, config=config, **attributes))


_add("timm")
_add("torchvision")
_add("safetensors")
_add("onnx", OnnxConfig, packages=("onnx", "onnxscript"), extra="onnx")
_add("detectron2")


def read_export(overrides: Sequence[str]) -> dict[str, ExportConfig]:
    """Returns the settings of each format that the overrides name.

    Raises:
        UserError: an override cannot be read; an unknown key or format; a wrong value; a key that no format reads.
    """
    values, about_data = read_options(overrides)
    if about_data:
        raise UserError(f"export reads no images; received '{about_data[0]}'; leave it out")
    named = values.get("format", [])
    names = [str(name) for name in dict.fromkeys(named if isinstance(named, list) else [named])]
    formats = [EXPORTERS.get(name) for name in names]
    if not formats:
        validate(ExportConfig, values, "")
        raise UserError(
            "format takes a name, or several as [timm,onnx]; received []; there are "
            f"{', '.join(EXPORTERS.names())}"
        )
    _check_read(values, formats)
    values["format"] = names
    others = {entry.name: set().union(*(f.keys for f in formats)) - entry.keys for entry in formats}
    configs = {
        entry.name: validate(
            entry.config, {k: v for k, v in values.items() if k not in others[entry.name]}, ""
        )
        for entry in formats
    }
    first: ExportConfig = configs[names[0]]
    if first.out is not None and Path(first.out).suffix in FILES:
        raise UserError(
            f"out names a folder, for the file and its card; received '{first.out}'; set for instance "
            f"out={Path(first.out).with_suffix('')}"
        )
    _check_hub(first)
    checkpoint_of(first.run)
    return configs


def _check_hub(config: ExportConfig) -> None:
    """Refuses a repository of another format than timm's, and keys that nothing reads without one."""
    if config.to == "folder":
        for key in ("repo", "push", "private", "license"):
            if value := getattr(config, key):
                raise UserError(
                    f"{key} is read with to=hub only; received {key}={written_value(value)}; set to=hub"
                )
        return
    if config.format != ("timm",):
        raise UserError(
            f"to=hub writes a repository of timm's layout; received format={','.join(config.format)}; set format=timm"
        )
    if config.repo is None or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", config.repo):
        raise UserError(
            f"to=hub needs repo=OWNER/NAME, letters, digits, '-', '_' and '.'; received {shown(config.repo)}"
        )
    if config.private and not config.push:
        raise UserError(
            "private is read with push=true only; received push=false; set push=true, or leave it out"
        )


def _check_read(values: Mapping[str, Any], formats: Sequence[Format]) -> None:
    """Refuses a key of another format than those that are named."""
    for other in EXPORTERS.registered():
        for key in sorted(other.keys & values.keys()):
            if not any(key in entry.keys for entry in formats):
                raise UserError(
                    f"{key} is read with format={other.name} only; received {key}={shown(values[key])} with "
                    f"format={','.join(entry.name for entry in formats)}; leave it out"
                )
