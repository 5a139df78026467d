"""`ssl-zoo export`: the verb."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.card import write_card
from ssl_zoo.exporters.encoder import ExportedFiles, encoder_of
from ssl_zoo.exporters.formats import EXPORTERS, Format, read_export
from ssl_zoo.exporters.hub import check_login, push, write_repository
from ssl_zoo.exporters.schema import ExportConfig
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.locks import is_empty
from ssl_zoo.files.whole_folder import atomic_folder
from ssl_zoo.run_dir.saved_run import SavedRun, open_run
from ssl_zoo.terminal.console import Console

__all__ = ["export"]


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
        Unfinished: the repository is written, and could not be pushed.
    """
    configs = read_export(overrides)
    common = next(iter(configs.values()))
    if common.push:
        check_login()
    for name in configs:
        _check_packages(EXPORTERS.get(name))
    run = open_run(common.run)
    targets = _folders(common, run)
    for name, target in targets.items():
        _check(target, f", or leave format={name} out" if len(targets) > 1 else "")
    encoder = encoder_of(run, common.weights, common.size)
    console = Console(quiet=silent)
    with ExitStack() as whole:
        for name, target in targets.items():
            folder = whole.enter_context(atomic_folder(target))
            written: ExportedFiles = EXPORTERS.get(name).load()(encoder, folder, configs[name])
            if common.to == "hub":
                write_repository(encoder, written, folder, common)
            else:
                write_card(encoder, written, folder)
    for target in targets.values():
        console.print(str(target))
    if common.push:
        console.print(push(targets["timm"], common))
    first = targets[common.format[0]]
    return first if len(targets) == 1 else first.parent


def _check_packages(entry: Format) -> None:
    missing = [name for name in entry.packages if find_spec(name) is None]
    if missing:
        extra = f"'ssl-zoo[{entry.extra}]'" if entry.extra else " ".join(missing)
        raise UserError(
            f"format={entry.name} needs the packages {' and '.join(entry.packages)}; missing: {', '.join(missing)}; "
            f"install them with pip install {extra}"
        )


def _folders(config: ExportConfig, run: SavedRun) -> dict[str, Path]:
    """The folder of each format."""
    if config.out is None:
        return {
            name: run.folder / "export" / (name if config.to == "folder" else "hub") for name in config.format
        }
    out = Path(config.out).expanduser()
    if len(config.format) == 1:
        return {config.format[0]: out}
    _check(out)
    return {name: out / name for name in config.format}


def _check(folder: Path, otherwise: str = "") -> None:
    check_writable(folder, "out must be a folder that can be written to", "choose another with out=")
    if not is_empty(folder):
        raise UserError(
            f"out must be new or empty; '{folder}' holds files already; choose another with out=, or remove "
            f"it{otherwise}"
        )
