"""The words of the verbs that take a saved run: their own keys, and `data=` with `data.*` as in training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from ssl_zoo.config import compose, merge, read_word, to_mapping
from ssl_zoo.errors import UserError
from ssl_zoo.saved import SavedRun
from ssl_zoo.schema import DataConfig
from ssl_zoo.validation import validate

__all__ = ["data_for", "read_options"]


def read_options(words: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Splits `key=value` words into nested plain values and the words about the data.

    Returns:
        For instance `({"knn": {"k": [20]}}, ["data=cifar10", "data.limit=100"])`.

    Raises:
        UserError: a word cannot be read, or gives a value to what is a block of keys.
    """
    values: dict[str, Any] = {}
    about_data = []
    for word in words:
        key, value = read_word(word)
        if key == "data" or key.startswith("data."):
            about_data.append(word)
            continue
        for part in reversed(key.split(".")):
            value = {part: value}
        values = merge(values, value)
    return values, about_data


def data_for(words: Sequence[str], run: SavedRun | None) -> DataConfig:
    """The data that `data=` and `data.*` name; without `data=` the run's own, changed by what `data.*` says.

    Images are preprocessed as the run's encoder saw them, whatever the data: its number of channels, mean and
    standard deviation, unless `data.channels`, `data.mean` or `data.std` is among the words.

    Raises:
        UserError: an unknown name, key or value; no data at all.
    """
    said = dict(read_word(word) for word in words)
    if run is None and "data" not in said:
        raise UserError(
            "without a run the images must be named; received no data=; set data=NAME, see ssl-zoo list"
        )
    own = {} if run is None else to_mapping(run.config)["data"]
    seen = {key: own[key] for key in ("channels", "mean", "std") if own}
    changes = {key.removeprefix("data."): value for key, value in said.items() if key != "data"}
    if "data" not in said:
        return validate(DataConfig, {**own, **changes}, "data")
    if "data.channels" in said:
        seen = {}  # of another number of channels
    kept = {key: value for key, value in seen.items() if f"data.{key}" not in said}
    mapping = {**dataclasses.asdict(compose(list(words)).data), **kept}
    return validate(DataConfig, mapping, "data")
