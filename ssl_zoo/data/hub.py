"""Data sets of Hugging Face, opened by `datasets`: found, downloaded and converted to Arrow files by it, read by us.

No code of a data set is executed: from version 4 on `datasets` cannot.

- [0] Datasets: A Community Library for Natural Language Processing, 2021, https://arxiv.org/abs/2109.02846
"""

from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ssl_zoo.data.arrow_table import Part
from ssl_zoo.errors import UserError, suggest

__all__ = ["OpenedSet", "Rows", "open_set", "rows_of", "stamp_of"]

PARQUET = ".parquet"
SAVED = ("dataset_dict.json", "state.json")  # of a folder that save_to_disk wrote
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_PATTERN = set("*?[")


class OpenedSet(NamedTuple):
    """The splits of a data set, by name."""

    splits: Mapping[str, Any]  # datasets.Dataset


class Rows(NamedTuple):
    """A split, a part of one, or several of them."""

    key: str  # data.train or data.test
    spec: str  # as it was typed: train[:10%]
    parts: tuple[Part, ...]  # whole splits, one after the other
    positions: Any  # (n,) int64 among the rows of the parts
    features: Mapping[str, Any]


def open_set(path: str, config_name: str | None, revision: str | None) -> OpenedSet:
    """Opens a data set; of the hub it is downloaded where it is not in the cache.

    Args:
        path: a folder that `save_to_disk` wrote; a Parquet file, a pattern of such files, or a folder of them; or
            OWNER/NAME on the hub.
        config_name: the configuration of the data set; None where it has one alone.
        revision: a commit on the hub, 40 hexadecimal digits; None for the newest one.

    Raises:
        UserError: `datasets` is not installed; there is no such data set, or it cannot be read.
    """
    return _open(path, config_name, revision, stamp_of(path))


def rows_of(opened: OpenedSet, key: str, spec: str) -> Rows:
    """Returns the rows that `spec` names, in the words of `datasets`: `train`, `train[:10%]`, `train+validation`.

    Raises:
        UserError: there is no such split; it has no rows, or some twice.
    """
    from datasets import ReadInstruction

    splits = opened.splits
    sizes = {name: len(split) for name, split in splits.items()}
    known = ", ".join(f"{name} ({size} rows)" for name, size in sizes.items())
    rule = f"{key} names a split, or a part of one such as {next(iter(splits))}[:10%]; there are {known}"
    for name in (part.partition("[")[0].strip() for part in spec.split("+")):
        if name not in splits:
            raise UserError(f"{rule}; received '{spec}'; set {key} to one of them{suggest(name, splits)}")
    try:
        pieces = ReadInstruction.from_spec(spec).to_absolute(sizes)
    except (ValueError, AssertionError) as error:
        raise UserError(f"{rule}; received '{spec}', which cannot be read: {error}; name another") from error
    names = list(dict.fromkeys(piece.splitname for piece in pieces))
    starts = dict(zip(names, np.cumsum([0, *(sizes[name] for name in names)]).tolist(), strict=False))
    ranges = [np.arange(piece.from_, piece.to) + starts[piece.splitname] for piece in pieces]
    positions = np.concatenate(ranges).astype(np.int64)
    if not len(positions):
        raise UserError(f"{rule}; received '{spec}', in which there are no rows; name another")
    if len(np.unique(positions)) < len(positions):
        raise UserError(f"{key} names each row once; received '{spec}', whose parts overlap; name others")
    features = splits[names[0]].features
    if any(splits[name].features != features for name in names[1:]):
        raise UserError(f"splits that are joined have the same columns; received '{spec}'; name one of them")
    parts = tuple(
        Part(name, tuple(file["filename"] for file in splits[name].cache_files), sizes[name])
        for name in names
    )
    return Rows(key, spec, parts, positions, features)


def stamp_of(path: str) -> object:
    """Returns what changes when a file of a data set on disk does; None where there is none on disk."""
    path = os.path.expanduser(path)
    try:
        if _is_pattern(path):
            return tuple(_stat(file) for file in sorted(glob.glob(path, recursive=True))) or None
        if os.path.isdir(path):
            folders = [path, *(entry.path for entry in os.scandir(path) if entry.is_dir())]
            files = (entry.path for folder in folders for entry in os.scandir(folder))
            return tuple(_stat(file) for file in sorted(files))
        return (_stat(path),) if os.path.exists(path) else None
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=8)
def _open(path: str, config_name: str | None, revision: str | None, stamp: object) -> OpenedSet:
    try:
        import datasets
    except ImportError as error:
        raise UserError(
            "data=huggingface reads by the package datasets, which is not installed; pip install 'ssl-zoo[huggingface]'"
        ) from error
    local = os.path.expanduser(path)
    on_hub = stamp is None
    if on_hub:
        _check_name(path)
    elif revision is not None:
        raise UserError(
            f"data.revision is of a data set on the hub; received {revision} with '{path}', which is on disk; leave it "
            "out"
        )
    try:
        with _quiet(datasets):
            found = _load(datasets, path if on_hub else local, on_hub, config_name, revision)
    except Exception as error:  # whatever reads the files raises
        raise _explained(path, on_hub, error) from error
    splits = {str(name): split for name, split in found.items()}
    if not splits:
        raise UserError(f"a data set must have a split; received data.path='{path}' with none; name another")
    for name, split in splits.items():
        folders = {Path(file["filename"]).parent.name for file in split.cache_files}
        if len(split) and not folders:
            raise UserError(
                f"data.path='{path}' is read from files that are mapped into memory; '{name}' has none; save it with "
                "save_to_disk"
            )
        if revision is not None and folders - {revision}:
            raise UserError(
                f"data.revision={revision} of '{path}' is not in the cache, and the hub cannot be reached; connect to "
                "the network, or leave data.revision out for the version in the cache"
            )
    return OpenedSet(splits)


def _load(datasets: Any, path: str, on_hub: bool, config_name: str | None, revision: str | None) -> Any:
    """Returns the splits by name."""
    how = {"name": config_name, "keep_in_memory": False}
    if on_hub:
        return datasets.load_dataset(path, revision=revision, **how)
    if os.path.isdir(path):
        if any(os.path.isfile(os.path.join(path, name)) for name in SAVED):
            if config_name is not None:
                raise ValueError("it has no configurations; leave data.config_name out")
            saved = datasets.load_from_disk(path, keep_in_memory=False)
            if isinstance(saved, datasets.Dataset):
                whole = saved.split is not None and re.fullmatch(
                    r"\w+", str(saved.split)
                )  # no part of a split
                saved = {str(saved.split) if whole else "train": saved}
            return {name: _in_order(split) for name, split in saved.items()}
        if not _parquet_in(path):
            raise ValueError(
                "it is a folder that save_to_disk did not write and that holds no .parquet files; for image files set "
                f"data=imagefolder data.train='{path}'"
            )
        return datasets.load_dataset(path, **how)
    files = sorted(glob.glob(path, recursive=True)) if _is_pattern(path) else [path]
    wrong = [file for file in files if not file.lower().endswith(PARQUET)]
    if wrong:
        raise ValueError(f"a file must be .parquet, and '{wrong[0]}' is none")
    return datasets.load_dataset("parquet", data_files={"train": files}, **how)


def _in_order(split: Any) -> Any:
    """Returns a split whose rows are those of its files, in order."""
    if split._indices is not None:  # written by a datasets of 2020
        raise ValueError("its rows are chosen by an index; save it anew with flatten_indices().save_to_disk")
    return split


def _check_name(path: str) -> None:
    """Refuses what is neither on disk nor a name on the hub."""
    if _NAME.fullmatch(path):
        return
    raise UserError(
        "data.path must be a folder that save_to_disk wrote, .parquet files (one, a folder of them, or a pattern such "
        f"as 'FOLDER/*.parquet'), or OWNER/NAME on the hub; there is no '{path}' on disk, and it is no such name; "
        "name another"
    )


def _explained(path: str, on_hub: bool, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), "") or type(error).__name__
    if isinstance(error, ConnectionError) or type(error).__name__ in (
        "OfflineModeIsEnabled",
        "LocalEntryNotFoundError",
    ):
        return UserError(
            f"data.path='{path}' is not on disk, not in the cache of datasets, and the hub cannot be reached "
            f"({reason}); connect to the network once, or name a folder or .parquet files"
        )
    if re.match(
        "BuilderConfig|Config name|Couldn't find cache for .* config|it has no configurations", reason
    ):
        every = " ".join(str(error).split())
        return UserError(
            f"data.config_name chooses among the configurations of '{path}': {every}; set another"
        )
    where = "the hub" if on_hub else "disk"
    return UserError(
        f"data.path='{path}' cannot be read from {where}: {reason.rstrip('.')}; name another, or mend it"
    )


@contextmanager
def _quiet(datasets: Any) -> Iterator[None]:
    """Silences the library's log, and its bars where nobody looks at them; both are as before afterwards."""
    log, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(log)
        if not bars:
            datasets.enable_progress_bars()


def _parquet_in(folder: str) -> bool:
    return any(file.lower().endswith(PARQUET) for _, _, files in os.walk(folder) for file in files)


def _is_pattern(path: str) -> bool:
    return bool(_PATTERN & set(path)) and not os.path.exists(path)


def _stat(path: str) -> Sequence[Any]:
    status = os.stat(path)
    return path, status.st_size, status.st_mtime_ns
