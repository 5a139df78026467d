"""Opening a torchvision data set, and fetching its files first where they are not there."""

from __future__ import annotations

import os
import shutil
import tarfile
from http.client import HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ssl_zoo.errors import UserError

__all__ = ["open_published"]


def open_published(kind: Any, root: Path, **part: Any) -> Any:
    """Returns `kind(root, **part)`, downloaded first where its files are missing or damaged.

    Args:
        kind: a class of torchvision.datasets with `base_folder`, `filename`, `url` and `tgz_md5`.
        root: the folder that holds, or will hold, `base_folder`.
        part: which part of the data set.

    Raises:
        UserError: the files could not be fetched; nothing is left behind then.
    """
    try:
        return kind(root, **part)  # checks the files' MD5 sums
    except RuntimeError:
        _download(kind, root)
    try:
        return kind(root, **part)
    except RuntimeError as error:
        raise _not_fetched(kind, root, error) from error


def _download(kind: Any, root: Path) -> None:
    """Fetches the archive into a temporary folder and moves its files into place when it is complete.

    So an interrupted download leaves no half of a file, and of the many runs of a suite that may start at
    once none reads or removes what another is writing. An archive that was put into `root` by hand, on a
    machine without network, is unpacked instead.
    """
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise UserError(
            f"data.root must be a folder; received '{root}', and '{there}' is a file; set data.root=FOLDER"
        )
    try:
        with TemporaryDirectory(dir=there, prefix=".ssl-zoo-") as staging:
            archive = root / kind.filename
            if archive.is_file():
                shutil.copy(archive, staging)
            kind(staging, download=True)
            folder = root / kind.base_folder
            folder.mkdir(parents=True, exist_ok=True)
            for file in (Path(staging) / kind.base_folder).iterdir():
                os.replace(file, folder / file.name)
    except (OSError, RuntimeError, EOFError, HTTPException, tarfile.TarError) as error:
        raise _not_fetched(kind, root, error) from error


def _not_fetched(kind: Any, root: Path, error: Exception) -> UserError:
    return UserError(
        f"the files of {kind.__name__} are missing or damaged and could not be fetched from {kind.url} ({error}); "
        f"looked in '{root / kind.base_folder}'; connect to the network, or put {kind.filename} (MD5 "
        f"{kind.tgz_md5}) into '{root}', or set data.root to the folder that holds {kind.base_folder}"
    )
