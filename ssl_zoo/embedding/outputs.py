"""The finished file: NAME.parquet, or NAME.npy with NAME.files.csv and NAME.json. It is there whole or not at all."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from ssl_zoo.embedding.images import ImageList, ImageRow
from ssl_zoo.embedding.store import Store
from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.locks import hold
from ssl_zoo.files.paths import NAME
from ssl_zoo.files.writing import synchronize
from ssl_zoo.run_dir.run_files import read_record

__all__ = ["KEY", "check_out", "finish", "metadata_of", "remove_parts"]

KEY = "ssl_zoo"  # of the metadata in a parquet file


def check_out(out: Path) -> None:
    """Refuses an output that is there already or cannot be written.

    Raises:
        UserError: so it is.
    """
    if out.suffix == ".parquet":
        _pyarrow(out)
    if out.exists():
        raise UserError(
            f"out must be a new file; '{out}' exists already; choose another, or move it elsewhere"
        )
    parts = parts_of(out)
    for name in (each.name for each in (parts, *companions(out))):
        if len(os.fsencode(name)) > NAME:
            raise UserError(
                f"out must leave room for '{name}', which comes with it, in the {NAME} bytes of a file's name; "
                f"received '{out}'; choose a shorter name"
            )
    if parts.exists() and not parts.is_dir():
        raise UserError(f"what is done is kept in a folder '{parts}', which is a file; choose another out")
    for path in () if parts.is_dir() else companions(out):
        if path.exists():
            raise UserError(
                f"'{out}' comes with '{path.name}', which exists already; choose another out, or move it elsewhere"
            )
    rule = "out must be in a folder that can be written to"
    check_writable(out.absolute().parent, rule, "choose another", out)


def metadata_of(out: Path) -> dict[str, Any] | None:
    """The metadata of a finished file; None where there is none, or none of ours."""
    if not all(path.is_file() for path in (out, *companions(out))):
        return None
    if out.suffix == ".npy":
        values = read_record(companions(out)[1])
    else:
        arrow, parquet = _pyarrow(out)
        try:
            values = json.loads((parquet.read_schema(out).metadata or {})[KEY.encode()])
        except (OSError, arrow.ArrowException, KeyError, ValueError):
            return None
    return values if isinstance(values, dict) and {"rows", "left_out", "run"} <= set(values) else None


def parts_of(out: Path) -> Path:
    """Returns the folder of the part of an embedding that is done."""
    return out.with_name(out.name + ".parts")


def remove_parts(out: Path) -> None:
    """Removes what a process that was killed at its very end has left beside a finished file."""
    parts = parts_of(out)
    if parts.is_dir():
        with suppress(UserError), hold(parts):  # else the process is still at it
            shutil.rmtree(parts, ignore_errors=True)


def companions(out: Path) -> tuple[Path, ...]:
    """The files that come with a .npy file: file names with labels, and metadata."""
    if out.suffix != ".npy":
        return ()
    return out.with_name(out.stem + ".files.csv"), out.with_name(out.stem + ".json")


def finish(out: Path, store: Store, images: ImageList, metadata: dict[str, Any]) -> None:
    """Writes the output from the store, row group by row group, and removes the store."""
    rows = (_readable(row) for row in images.rows(without=store.committed.left_out))
    columns = [name for name in ImageRow._fields if name != "split" or len(images.parts) > 1]
    if out.suffix == ".parquet":
        finished = store.folder / "out.parquet"
        _write_parquet(finished, store, rows, columns, metadata)
    else:
        finished = store.features
        store.complete()
        files, about = companions(out)
        _write_csv(store.folder / "files.csv", rows, columns)
        synchronize(store.folder / "files.csv")
        write_json(store.folder / "about.json", metadata)
        os.replace(store.folder / "files.csv", files)
        os.replace(store.folder / "about.json", about)
    os.replace(finished, out)  # last: what is named `out` is complete
    store.remove()


def _write_csv(path: Path, rows: Iterator[ImageRow], columns: list[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(row._asdict() for row in rows)


def _write_parquet(
    path: Path, store: Store, rows: Iterator[ImageRow], columns: list[str], metadata: dict[str, Any]
) -> None:
    arrow, parquet = _pyarrow(path)
    kind = arrow.float16() if store.dtype.itemsize == 2 else arrow.float32()
    fields = [(name, arrow.string()) for name in columns]
    schema = arrow.schema([*fields, ("features", arrow.list_(kind, store.width))])
    schema = schema.with_metadata({KEY: json.dumps(metadata)})
    repeated = [name for name in columns if name != "file"]
    # Hardly any two features are alike, so that a dictionary of them would be in the way.
    with path.open("wb") as file, parquet.ParquetWriter(file, schema, use_dictionary=repeated) as writer:
        for features in store.chunks():  # (n, F)
            beside = [row._asdict() for row in islice(rows, len(features))]
            arrays = [arrow.array([row[name] for row in beside], arrow.string()) for name in columns]
            flat = arrow.array(features.reshape(-1), kind)  # (n * F,)
            arrays.append(arrow.FixedSizeListArray.from_arrays(flat, store.width))
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
    synchronize(path)


def _readable(row: ImageRow) -> ImageRow:
    """Returns a row that is UTF-8: other bytes of a file's name are written as \\xNN."""
    return row._replace(file=row.file.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))


def _pyarrow(out: Path) -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise UserError(
            f"a .parquet file needs pyarrow, which is not installed; received out={out}; pip install "
            f"'ssl-zoo[parquet]', or set out={out.with_suffix('.npy')}"
        ) from error
