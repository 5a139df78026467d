"""The columns of a table that hold its images and its labels, chosen by their types where they are not named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssl_zoo.data.arrow_table import ArrowColumn, open_column
from ssl_zoo.data.hub import Rows
from ssl_zoo.errors import UserError, suggest

__all__ = ["NO_LABELS", "TableLabels", "image_column", "label_column", "labels_of"]

NO_LABELS = "none"  # data.label_column, where labels are passed over
USUAL = ("label", "labels")  # of a column of labels that is not said to be one


class TableLabels(NamedTuple):
    """Labels of rows."""

    numbers: NDArray[np.int64]  # (N,), positions among the names
    names: tuple[str, ...]  # of those that there are, in order


def image_column(rows: Rows, named: str | None) -> str:
    """Returns the column of the images: the one that is named, else the only one that can be.

    Raises:
        UserError: there is none, or several.
    """
    features = rows.features
    if named is not None:
        if named not in features or not (_is_image(features[named]) or _may_be_image(features[named])):
            raise UserError(
                "data.image_column names a column of images, of encoded bytes or of arrays; received "
                f"'{named}'; there are {_listed(features)}{suggest(named, features)}"
            )
        return named
    images = [name for name, feature in features.items() if _is_image(feature)]
    images = images or [name for name, feature in features.items() if _may_be_image(feature)]
    if len(images) != 1:
        raise UserError(
            f"{rows.key}={rows.spec} must have a column of images; {len(images) or 'none'} of the columns could be: "
            f"{_listed(features)}; set data.image_column=NAME"
        )
    return images[0]


def label_column(rows: Rows, named: str | None) -> str | None:
    """Returns the column of the labels: the one that is named, else the only one that can be; None without.

    Raises:
        UserError: there is no such column, it holds no classes, or several could be the labels.
    """
    features = rows.features
    if named == NO_LABELS and named not in features:
        return None
    if named is not None:
        if named not in features:
            raise UserError(
                f"data.label_column names a column of labels; received '{named}'; there are "
                f"{_listed(features)}{suggest(named, features)}"
            )
        return _checked(rows, named)
    declared = [name for name, feature in features.items() if type(feature).__name__ == "ClassLabel"]
    usual = [name for name in USUAL if name in features]
    for found in (declared, usual):
        if len(found) == 1:
            return _checked(rows, found[0])
    if not declared and not usual:
        return None
    raise UserError(
        f"labels are one column; {' and '.join(declared or usual)} of {rows.key}={rows.spec} could be them; set "
        f"data.label_column to one of them, or data.label_column={NO_LABELS} to train without labels"
    )


def labels_of(rows: Rows, column: str | None) -> TableLabels | None:
    """Reads the labels of rows; None where no row has one.

    Raises:
        UserError: some rows have one.
    """
    if column is None:
        return None
    import pyarrow as pa
    import pyarrow.compute as pc

    values = open_column(rows.parts, column).take(pa.array(rows.positions))
    encoded = pc.dictionary_encode(values).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # no rows' chunks are joined by older versions
        encoded = encoded.chunk(0)
    found = encoded.dictionary.to_pylist()
    feature = rows.features[column]
    declared = list(feature.names) if type(feature).__name__ == "ClassLabel" and feature.names else None
    codes = pc.fill_null(encoded.indices, -1).to_numpy().astype(np.int64)  # (N,)
    none = [code for code, value in enumerate(found) if declared is not None and value < 0]  # of the hidden
    missing = np.isin(codes, [-1, *none])
    if missing.all():
        return None
    if missing.any():
        row = ArrowColumn(rows.parts, column).name(int(rows.positions[missing.argmax()]))
        raise UserError(
            f"each row or none must have a label; '{column}' of {rows.key}={rows.spec} lacks {int(missing.sum())} of "
            f"{len(codes)}, such as that of {row}; leave these rows out, or set data.label_column={NO_LABELS} to "
            "train without labels"
        )
    order = sorted(range(len(found)), key=found.__getitem__)
    order = [code for code in order if code not in none]
    number = np.zeros(len(found), np.int64)
    number[order] = np.arange(len(order))
    names = tuple(str(found[code]) if declared is None else declared[found[code]] for code in order)
    return TableLabels(number[codes], names)


def _checked(rows: Rows, column: str) -> str:
    """Returns the name of a column that holds one class a row."""
    feature = rows.features[column]
    kind = getattr(feature, "dtype", "")
    if type(feature).__name__ != "ClassLabel" and not (
        type(feature).__name__ == "Value"
        and kind.startswith(("int", "uint", "string", "large_string", "bool"))
    ):
        raise UserError(
            f"a label is one class for each row, a whole number or text; '{column}' of {rows.key}={rows.spec} holds "
            f"{_type(feature)}; set data.label_column to another of {_listed(rows.features)}, or to {NO_LABELS} to "
            "train without labels"
        )
    return column


def _is_image(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _may_be_image(feature: Any) -> bool:
    """Whether a column holds bytes, bytes with a path as `datasets` saves an image, or arrays."""
    if isinstance(feature, dict):
        return set(feature) == {"bytes", "path"}
    if type(feature).__name__ in ("Array2D", "Array3D"):
        return True
    return type(feature).__name__ == "Value" and "binary" in feature.dtype


def _listed(features: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} ({_type(feature)})" for name, feature in features.items())


def _type(feature: Any) -> str:
    if isinstance(feature, dict):
        return "fields " + ", ".join(feature)
    return str(feature.dtype) if type(feature).__name__ == "Value" else type(feature).__name__
