"""The folder of a report: a new one, or that of an earlier report of the same runs, which is replaced whole."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.json_files import load_json
from ssl_zoo.files.locks import is_empty
from ssl_zoo.files.whole_folder import FRESH, atomic_folder
from ssl_zoo.files.writing import is_temporary
from ssl_zoo.run_dir.checkpoints import LAST
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["RECORD", "choose_folder", "write"]

RECORD = "report.json"
IDENTITY = ("folder", "checkpoint", "config_hash", "digest", "finished")  # of a run, in the record


def choose_folder(out: str | None, runs: Sequence[SavedRun]) -> Path:
    """Chooses the folder to write; nothing is created.

    Args:
        out: as given; null: `report` in the run's folder (`report-NAME` of a checkpoint that is not its last), or
            `comparison-of-NUMBER-HASH` in the folder that all runs share.
        runs: one or several.

    Raises:
        UserError: it holds other files, or cannot be written.
    """
    folders = [run.folder.resolve() for run in runs]
    if out is not None:
        folder = Path(out).expanduser().absolute()
    elif len(runs) == 1:
        last = runs[0].path.name == LAST
        folder = folders[0] / ("report" if last else f"report-{runs[0].path.stem}")
    else:
        checkpoints = sorted(f"{run.path.resolve()} {run.digest}" for run in runs)
        digest = hashlib.sha256("\n".join(checkpoints).encode(errors="surrogateescape")).hexdigest()[:8]
        folder = (
            Path(os.path.commonpath([path.parent for path in folders]))
            / f"comparison-of-{len(runs)}-{digest}"
        )
    check_writable(folder, "a report needs a folder that can be written", "name another with out=")
    if not is_empty(folder) and not _is_earlier(folder, runs):
        raise UserError(
            f"out must be new, empty or an earlier report of the same runs; '{folder}' holds other files; name another "
            "with out="
        )
    return folder


def write(
    folder: Path, files: Mapping[str, bytes], record: Mapping[str, Any], runs: Sequence[SavedRun]
) -> None:
    """Writes all files and the record, whole or not at all; what `choose_folder` allowed is replaced."""
    contents = {**record, "runs": [_identity(run) for run in runs], "files": sorted([*files, RECORD])}
    with atomic_folder(folder, last=RECORD) as fresh:
        for name, file in files.items():
            (fresh / name).write_bytes(file)
        (fresh / RECORD).write_text(json.dumps(contents, indent=2, default=str) + "\n", encoding="utf-8")


def _identity(run: SavedRun) -> dict[str, Any]:
    return {
        "folder": str(run.folder.resolve()),
        "checkpoint": run.path.name,
        "config_hash": run.config_hash,
        "digest": run.digest,
        "finished": run.is_finished,
    }


def _is_earlier(folder: Path, runs: Sequence[SavedRun]) -> bool:
    """Whether the folder holds an earlier report of these weights, and nothing that it did not write.

    A kill while one report took the place of another leaves files of both, and the other's record in its temporary
    folder.
    """
    records = [
        record for file in (folder / RECORD, *folder.glob(f".*/{FRESH}/{RECORD}")) if (record := _read(file))
    ]
    same = any(
        len(record["runs"]) == len(runs)
        and all(any(_are_same(earlier, _identity(run)) for earlier in record["runs"]) for run in runs)
        for record in records
    )
    written = {name for record in records for name in record["files"]}
    return same and {file.name for file in folder.iterdir() if not is_temporary(file)} <= written


def _read(file: Path) -> dict[str, Any] | None:
    """Reads the record of a report; None where there is none, or none of ours."""
    try:
        record = load_json(file)
        runs = [{key: run[key] for key in IDENTITY} for run in record["runs"]]
        return {"runs": runs, "files": {str(name) for name in record["files"]}}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _are_same(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the weights are the same, wherever they lie, or the checkpoint is that of a run trained on since."""

    def agree(*keys: str) -> bool:
        return all(earlier[key] == now[key] for key in keys)

    return agree("digest", "config_hash") or (
        agree("folder", "checkpoint", "config_hash") and not earlier["finished"]
    )
