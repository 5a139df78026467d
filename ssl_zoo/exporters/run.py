"""`ssl-zoo export`: the verb."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.card import write_card
from ssl_zoo.exporters.encoder import Encoder, Written, encoder_of
from ssl_zoo.exporters.schema import ExportConfig, read_export
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.locks import is_empty
from ssl_zoo.files.writing import whole_folder
from ssl_zoo.runs.saved_run import SavedRun, open_run
from ssl_zoo.terminal.console import Console

__all__ = ["export"]

Writer = Callable[[Encoder, Path, ExportConfig], Written]


def export(overrides: Sequence[str] = (), silent: bool = False) -> Path:
    """Exports a run's backbone: `export(["run=runs/mine", "format=timm"])`.

    A folder appears whole or not at all.

    Args:
        overrides: the same overrides as on the command line.
        silent: print nothing.

    Returns:
        The folder of the export; of several formats the folder that theirs are in.

    Raises:
        UserError: the overrides, or what they name, are wrong; the format cannot hold this architecture; a package is
            missing. Nothing has been created.
    """
    config = read_export(overrides)
    if "onnx" in config.format:
        from ssl_zoo.exporters.to_onnx import require_onnx

        require_onnx()
    run = open_run(config.run)
    places = _places(config, run)
    for folder in places.values():
        _check(folder)
    encoder = encoder_of(run, config.weights, config.size)
    console = Console(quiet=silent)
    with ExitStack() as whole:
        for name, place in places.items():
            folder = whole.enter_context(whole_folder(place))
            write: Writer = importlib.import_module(f"ssl_zoo.exporters.to_{name}").write
            write_card(encoder, write(encoder, folder, config), folder)
    for place in places.values():
        console.print(str(place))
    return places[config.format[0]] if len(places) == 1 else places[config.format[0]].parent


def _places(config: ExportConfig, run: SavedRun) -> dict[str, Path]:
    """The folder of each format."""
    if config.out is None:
        return {name: run.folder / "export" / name for name in config.format}
    out = Path(config.out).expanduser()
    if len(config.format) == 1:
        return {config.format[0]: out}
    _check(out)
    return {name: out / name for name in config.format}


def _check(folder: Path) -> None:
    check_writable(folder, "out must be a folder that can be written to", "choose another with out=")
    if not is_empty(folder):
        raise UserError(
            f"out must be new or empty; '{folder}' holds files already; choose another with out=, or remove it"
        )
