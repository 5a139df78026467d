"""What some of the images of a source are, looked at before a run is composed: sides, channels, mean and std."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ssl_zoo.data import folder_sample
from ssl_zoo.data.bands import Pixels
from ssl_zoo.data.folder_sample import Gray, Sides
from ssl_zoo.data.pixel_statistics import Statistics

__all__ = ["FolderSample", "ImageSample", "sample_folder"]

LEAST_STD = 0.01  # of gray images; those of one and the same gray have none


class ImageSample(ABC):
    """Some of the images that a block `data` names: the same ones whenever it names the same images."""

    def identity(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Returns keys of the block that tell which images they are, by which a resumed run knows them again."""
        return {}

    @property
    @abstractmethod
    def sides(self) -> Sides | None:
        """The sides of the images; None where none can be read."""

    @property
    @abstractmethod
    def pixels(self) -> Pixels | None:
        """Channels and bits; None of 8-bit photos."""

    @abstractmethod
    def statistics(self, channels: int, bit_depth: int) -> Statistics | None:
        """Measures mean and std of each channel; None where no image can be read."""

    def gray(self) -> Gray | None:
        """Measures mean and std as gray images of 8 bits; None where none can be read."""
        measured = self.statistics(1, 8)
        if measured is None:
            return None
        return Gray(round(measured.mean[0], 4), max(round(measured.std[0], 4), LEAST_STD))


class FolderSample(ImageSample):
    """Some of the images of a folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def sides(self) -> Sides | None:
        return folder_sample.sides_of(self.folder)

    @property
    def pixels(self) -> Pixels | None:
        return folder_sample.pixels_of(self.folder)

    def statistics(self, channels: int, bit_depth: int) -> Statistics | None:
        return folder_sample.statistics_of(self.folder, channels, bit_depth)

    def gray(self) -> Gray | None:
        return folder_sample.gray_of(self.folder) or super().gray()


def sample_folder(data: Mapping[str, Any]) -> ImageSample | None:
    """Returns the sample of the folder `data.train`; None where it is not set."""
    folder = data.get("train")
    return FolderSample(folder) if isinstance(folder, str) and folder else None
