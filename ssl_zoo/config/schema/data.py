"""The block `data`: where the images come from and what they are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from ssl_zoo.config.schema.types import Count, Folder, Fraction, Index, NonNegative, Positive, section


def _whole(value: object) -> object:
    """Lets no `true` pass for 1, as Literal does, nor 8.0 for 8."""
    if type(value) is not int:
        raise PydanticKnownError("literal_error", {"expected": "8 or 16"})
    return value


def _commit(text: str) -> str:
    """Takes no branch and no tag: without network `datasets` would read whatever version is in its cache."""
    if not re.fullmatch("[0-9a-f]{40}", text):
        raise ValueError(
            f"must be a commit, 40 hexadecimal digits; received '{text}'; look it up in the data set's history on the "
            "hub, or leave it out"
        )
    return text


@section
class DataConfig:
    """Source of the images, and their properties."""

    name: Annotated[str, Field(max_length=100)]
    """Name of the data, part of the run directory's name. Not a path."""
    source: str
    """Which code reads the images: digits, imagefolder, or another registered data source."""
    train: Folder | None = None
    """Folder of the training images, for source=imagefolder: with a folder per class, or without labels. For
    source=huggingface a split: train, or a part of one, train[:10%]. For source=webdataset shards:
    'shards-{000..099}.tar', 'shards-*.tar' or their folder."""
    test: Folder | None = None
    """Folder, split or shards of the test images, as of `train`. null: no test set, but for `holdout`."""
    root: Folder = "~/.cache/ssl-zoo"
    """Folder in which downloads are kept, and scans of folders with 20,000 files or more."""
    limit: Count | None = None
    """Number of training images: a fixed, class-balanced part of them. null: all."""
    holdout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the training images that are held out of training and serve as the test set."""
    channels: Annotated[int, Field(ge=1, le=4096)] = 3
    """Channels of an image: 1 for grayscale, 3 for colours, to which photos are converted; any other number as the
    files have it. auto, as when left out: 3 for a folder with 8-bit photos, else the files' own number."""
    bit_depth: Annotated[Literal[8, 16], BeforeValidator(_whole)] = 8
    """Bits per value that reach the network. Where it is not given, images of 16 bits or floats set it to 16; 8 would
    take their upper byte."""
    on_error: Literal["raise", "skip"] = "raise"
    """Treatment of an unreadable image: end the command, or leave it out. skip decodes every file once at the start."""
    cache_mb: NonNegative = 2048.0
    """Decoded images are kept in memory if they take at most so many MiB."""
    workers: Index = 2
    """Processes that decode images which are not kept in memory."""
    mean: tuple[Fraction, ...] = (0.485, 0.456, 0.406)
    """Mean per channel, of values in [0, 1]. The default is ImageNet's; of other than 8-bit colour images it is
    measured."""
    std: tuple[Positive, ...] = (0.229, 0.224, 0.225)
    """Standard deviation per channel, of values in [0, 1]. The default is as of the mean."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    """How images are resized for evaluation, antialiased. bicubic: as some imported encoders were; of 8 bits only."""

    NAMED_BY: ClassVar[tuple[str, ...]] = ("train", "test")
    """Keys that name the images."""

    @property
    def training_images(self) -> tuple[Any, ...]:
        """What names the training images: equal of equal ones."""
        return (self.source, None if self.train is None else str(Path(self.train).expanduser().resolve()))

    @property
    def named(self) -> str:
        """The override that names the images, for messages."""
        return f"data={self.name}" if self.train is None else f"data.train={self.train}"

    def __post_init__(self) -> None:
        if not self.name.strip() or self.name.startswith(".") or set(self.name) & set("/\\"):
            raise ValueError(
                f"data.name must be a name, not empty, without / and \\ and not beginning with a dot; received "
                f"'{self.name}'; set data.name=NAME"
            )
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError(
                f"data.mean and data.std need one value per channel; received {len(self.mean)} and "
                f"{len(self.std)} for data.channels={self.channels}; set as many, or leave data.channels out"
            )
        if self.interpolation == "bicubic" and self.bit_depth != 8:
            raise ValueError(
                f"data.interpolation=bicubic is of images of 8 bits; received data.bit_depth={self.bit_depth}; leave "
                "one of the two out"
            )


@section
class DatasetConfig(DataConfig):
    """A Dataset that was passed from Python, `ssl_zoo.train([...], data=dataset)`. These keys are filled in."""

    dataset: str | None = None
    """Class of the Dataset."""
    length: Count | None = None
    """Number of its training images."""
    digest: str | None = None
    """Digest of some images and their labels, by which another Dataset is told apart."""


@section
class HuggingFaceConfig(DataConfig):
    """A data set that Hugging Face's `datasets` reads."""

    path: Annotated[str, Field(min_length=1)] | None = None
    """Folder that `save_to_disk` wrote; .parquet files: one, a folder or a pattern; or OWNER/NAME on the hub."""
    config_name: Annotated[str, Field(min_length=1)] | None = None
    """Configuration of the data set. null: the only one."""
    revision: Annotated[str, AfterValidator(_commit)] | None = None
    """Commit on the hub, 40 hexadecimal digits. null: the newest."""
    image_column: Annotated[str, Field(min_length=1)] | None = None
    """Column of the images, encoded bytes or arrays. null: the only one."""
    label_column: Annotated[str, Field(min_length=1)] | None = None
    """Column of the labels, one class for each row. null: the only ClassLabel, or `label`, or `labels`; without, there
    are no labels. none: no labels."""
    length: Count | None = None
    """Number of the training images, filled in."""
    digest: str | None = None
    """Digest of labels and images, filled in: a resumed run knows its images by it."""

    NAMED_BY: ClassVar[tuple[str, ...]] = (
        *("path", "config_name", "revision", "train", "test", "image_column", "label_column"),
    )

    @property
    def training_images(self) -> tuple[Any, ...]:
        return (self.source, self.path, self.config_name, self.revision, self.train, self.image_column)

    @property
    def named(self) -> str:
        return f"data.path={self.path}"

    def __post_init__(self) -> None:
        if "/" in self.name:
            raise ValueError(
                f"data.name is shown in reports and run directories; received '{self.name}'; name the data set by "
                f"data.path='{self.name}', and leave data.name out"
            )
        super().__post_init__()


@section
class WebDatasetConfig(DataConfig):
    """Images in shards, tar files as webdataset has them: data.train='shards-{000..099}.tar'."""

    label: str = "auto"
    """Where the label of an image KEY.jpg is. cls: the text of KEY.cls; json.FIELD: of KEY.json; folder: the image's
    folder in the shard; none: there are none. auto: the first of cls, json.label and folder that there is."""
    shuffle_shards: Count = 16
    """Number of shards whose images are shuffled together; the order of shards is drawn anew each epoch."""
    spool_gb: Positive = 32.0
    """Space for copies of shards that are elsewhere, compressed or written by a command, in GiB, in `root`."""

    NAMED_BY: ClassVar[tuple[str, ...]] = ("train", "test", "label")

    def __post_init__(self) -> None:
        super().__post_init__()
        field = self.label.partition("json.")
        if self.label not in ("auto", "cls", "folder", "none") and (field[0] or not field[1] or not field[2]):
            raise ValueError(
                f"data.label must be auto, cls, folder, none or json.FIELD; received '{self.label}'; set one of them"
            )
