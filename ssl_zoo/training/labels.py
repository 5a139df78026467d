"""The labels of the training images, for a method that asks for them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data
from ssl_zoo.errors import UserError

__all__ = ["Labels", "labels_for"]

FIX = "choose data whose training images all have labels, such as a folder with a folder for each class"


class Labels(NamedTuple):
    """What `Method.take_labels` takes."""

    labels: Tensor  # (images,) int64
    classes: int


def labels_for(config: RunConfig, data: Data) -> Labels | None:
    """Returns the labels of all training images; None for a method that does not ask for them.

    Raises:
        UserError: it asks for them and there are none, or of some images alone, or of one class.
    """
    if not METHODS.get(config.method.name).load().needs_labels:
        return None
    rule = f"method={config.method.name} needs the label of each training image"
    count = len(data.train)
    if data.labelled is None or data.classes is None:
        raise UserError(f"{rule}; {data_name(config)} has none; {FIX}")
    labels = data.train.labels
    if labels is None or bool((labels < 0).any()):
        known = len(data.labelled) if labels is None else int((labels >= 0).sum())
        raise UserError(
            f"{rule}; of {data_name(config)} {known:,} of {count:,} have one; {FIX}, or train another method and "
            "fine-tune on those with labels, ssl-zoo eval protocol=finetune"
        )
    if len(data.classes) < 2:
        raise UserError(f"{rule}, of two classes or more; {data_name(config)} has one; {FIX}")
    return Labels(labels, len(data.classes))


def data_name(config: RunConfig) -> str:
    """Returns how the data was named."""
    return f"data={config.data.name}" if config.data.train is None else f"data.train={config.data.train}"
