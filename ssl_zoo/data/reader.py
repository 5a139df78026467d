"""Images by their position, each read when it is asked for, in whichever process."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path

from PIL.Image import Image
from torch import Tensor

from ssl_zoo.data.bands import Bands
from ssl_zoo.data.decode import check_image, read_image
from ssl_zoo.data.headers import is_surely_readable
from ssl_zoo.data.names import Names
from ssl_zoo.data.photo import Photo, photo_of, read_photo
from ssl_zoo.data.raster import ARRAY

__all__ = ["FileReader", "ImageReader"]


class ImageReader(ABC):
    """Images that are read one by one.

    Attributes:
        channels: of the images as they are read.
        bit_depth: likewise, 8 or 16.
    """

    channels: int
    bit_depth: int

    @abstractmethod
    def __len__(self) -> int:
        """Returns the number of images."""

    @abstractmethod
    def read(self, position: int) -> Image | Bands:
        """Returns an image.

        Raises:
            Unreadable: it cannot be read.
        """

    def photo(self, position: int) -> Photo:
        """Returns an image for cropping and resizing: to read it is faster where the reader has its file.

        Raises:
            Unreadable: it cannot be read.
        """
        return photo_of(self.read(position))

    @abstractmethod
    def name(self, position: int) -> str:
        """Returns what messages call an image."""

    def check(self, position: int, *, whole: bool) -> None:
        """Checks an image by its header, or decodes it as a `whole`; see `check_image`.

        Raises:
            Unreadable: the check failed.
        """
        self.read(position)

    def prepared(self, batches: Iterable[Tensor]) -> Iterable[Tensor]:
        """Yields batches of positions (n,) as they are asked for; what they need may be fetched meanwhile."""
        return batches


class FileReader(ImageReader):
    """Images as files.

    Args:
        root: the folder.
        names: paths relative to it.
        channels: as which they are read.
        bit_depth: likewise.
    """

    def __init__(self, root: Path, names: Iterable[str], channels: int, bit_depth: int) -> None:
        self.channels, self.bit_depth = channels, bit_depth
        self._root = os.fspath(root)
        self.names = Names.of(names)

    def __len__(self) -> int:
        return len(self.names)

    def name(self, position: int) -> str:
        return self.path(position)

    def path(self, position: int) -> str:
        """Returns the path of a file."""
        return os.path.join(self._root, self.names[position])

    def read(self, position: int) -> Image | Bands:
        return read_image(self.path(position), self.channels, self.bit_depth)

    def photo(self, position: int) -> Photo:
        return read_photo(self.path(position), self.channels, self.bit_depth)

    def check(self, position: int, *, whole: bool) -> None:
        path = self.path(position)
        is_photo = self.bit_depth == 8 and self.channels in (1, 3) and not path.lower().endswith(ARRAY)
        if whole or not is_photo or not is_surely_readable(path):
            check_image(path, whole=whole, channels=self.channels, bit_depth=self.bit_depth)
