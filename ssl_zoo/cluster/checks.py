"""What can be checked where a job is submitted, and would otherwise fail when it starts."""

from __future__ import annotations

from pathlib import Path

from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.errors import UserError

__all__ = ["check_folders"]


def check_folders(data: DataConfig) -> None:
    """Refuses folders of images that are not there.

    Raises:
        UserError: no folder of training images is named, or one is not there.
    """
    if not SOURCES.get(data.source).folders:
        return
    if data.train is None:
        raise UserError(
            "data=imagefolder needs a folder of training images; received none; set data.train=FOLDER"
        )
    for key, folder in (("data.train", data.train), ("data.test", data.test)):
        if folder is not None and not Path(folder).expanduser().is_dir():
            raise UserError(f"{key} must be a folder of images; there is none at '{folder}'; name another")
