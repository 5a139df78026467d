"""Methods and data sources, which a run's configuration chooses by name.

@register("simsiam")
class SimSiam(Siamese): ...

@data_source("shapes", config=ShapesConfig)
def shapes(config: ShapesConfig) -> Data: ...
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from ssl_zoo.config.schema import (
    DataConfig,
    DatasetConfig,
    HuggingFaceConfig,
    ImportedConfig,
    JointEmbeddingConfig,
    LabelsConfig,
    MethodConfig,
    RunSettings,
    SiameseConfig,
    WebDatasetConfig,
    extended,
)
from ssl_zoo.registry import Entry, Registry, resolve

__all__ = [
    "METHODS",
    "SOURCES",
    "Source",
    "data_config",
    "data_source",
    "method_config",
    "register",
    "run_settings",
]

M = TypeVar("M", bound=type[Any])
F = TypeVar("F", bound=Callable[..., Any])

METHODS: Registry[Entry] = Registry("method", "ssl_zoo.methods", Entry, package="ssl_zoo.methods")


def register(name: str, config: type[MethodConfig] = SiameseConfig) -> Callable[[M], M]:
    """Class decorator: makes a method known as `method=name`.

    Args:
        name: the name on the command line; its defaults stand in `configs/method/NAME.yaml`.
        config: the frozen dataclass that the YAML's `method:` block fills in.

    Raises:
        ValueError: another class has this name already.
    """
    return METHODS.register(name, config=config)


def method_config(block: Mapping[str, Any]) -> type[Any]:
    """Returns the class of a block `method`; of a file in `methods/` without importing it, and torch with it.

    Raises:
        UserError: as in `Registry.get` and `MethodConfig.for_block`.
    """
    name = str(block["name"])
    config: type[MethodConfig] = SiameseConfig if METHODS.is_file(name) else METHODS.get(name).config
    return config.for_block(block)


# Files in `methods/` with keys of their own: they must be known without their import.
METHODS.add(
    Entry(
        name="joint_embedding",
        target="ssl_zoo.methods.joint_embedding:JointEmbedding",
        config=JointEmbeddingConfig,
    )
)
METHODS.add(Entry(name="supervised", target="ssl_zoo.methods.supervised:Supervised", config=LabelsConfig))
METHODS.add(
    Entry(
        name="imported", target="ssl_zoo.methods._imported:Imported", config=ImportedConfig, hidden=True
    )  # no method to choose: `ssl-zoo import` writes it
)


@dataclass(frozen=True, kw_only=True)
class Source(Entry):
    """A data source: its target takes the settings and returns `Data`.

    Attributes:
        folders: whether `data.train` and `data.test` are read, folders of images; the target then also takes `whole`.
        splits: likewise, but they name parts of something else.
        shards: likewise, but they name files of many images each.
        side: pixels of all images' shorter side; None where they differ.
        image_defaults: name of the module that says what the images ask for; see `ssl_zoo.image_defaults`.
        package: one that must be installed, by the extra of the source's name.
        sample: function from a block `data` to an `ImageSample` or None, as "module:function"; of folders there is one.
    """

    folders: bool = False
    splits: bool = False
    shards: bool = False
    side: int | None = None
    image_defaults: str | None = None
    sample: str | None = None
    package: str | None = None

    @property
    def reads_train(self) -> bool:
        """Whether `data.train` and `data.test` are read."""
        return self.folders or self.splits or self.shards

    @property
    def train_is(self) -> str:
        """What `data.train` is, as messages write it."""
        return "FOLDER" if self.folders else "SHARDS" if self.shards else "SPLIT"

    def load_image_defaults(self) -> Any:
        """Returns the module `image_defaults`; None where there is none."""
        return None if self.image_defaults is None else importlib.import_module(self.image_defaults)

    def load_sample(self) -> Callable[[Mapping[str, Any]], Any]:
        """Returns the function `sample`; one that returns None where there is none."""
        target = self.sample or ("ssl_zoo.data.image_sample:sample_folder" if self.folders else None)
        if target is None:
            return lambda data: None
        function: Callable[[Mapping[str, Any]], Any] = resolve(target)
        return function


SOURCES: Registry[Source] = Registry("data source", "ssl_zoo.data", Source)


def data_source(name: str, config: type[DataConfig] = DataConfig, **attributes: Any) -> Callable[[F], F]:
    """Function decorator: makes images known as `data.source=name`; a `configs/data/*.yaml` chooses them.

    Args:
        name: the value of `data.source`.
        config: the class of its settings, `DataConfig` or one built on it with further keys of `data.`.
        attributes: the other attributes of `Source`.

    Raises:
        ValueError: another function has this name already.
    """
    return SOURCES.register(name, config=config, **attributes)


def data_config(block: Any) -> type[DataConfig]:
    """Returns the class of a block `data`, which its source decides.

    Raises:
        UserError: there is no such source.
    """
    source = block.get("source") if isinstance(block, Mapping) else None
    return SOURCES.get(source).config if isinstance(source, str) else DataConfig


def run_settings(block: Any) -> type[RunSettings]:
    """Returns the class of a run's settings with this block `data`.

    Raises:
        UserError: as in `data_config`.
    """
    config = data_config(block)
    return RunSettings if config is DataConfig else extended(RunSettings, {"data": config})


IMAGE_DEFAULTS = "ssl_zoo.image_defaults"


# Those of this package, by name: a wrong override is refused before they, and torch with them, are imported.
def _add(name: str, module: str, config: type[DataConfig] = DataConfig, **attributes: Any) -> None:
    SOURCES.add(Source(name=name, target=f"ssl_zoo.data.{module}:{name}", config=config, **attributes))


_add("digits", "digits", side=8)
_add("cifar10", "torchvision_sets", side=32)
_add("cifar100", "torchvision_sets", side=32)
_add("stl10", "torchvision_sets", side=96)
_add(
    "dataset",
    "dataset",
    config=DatasetConfig,
    image_defaults=IMAGE_DEFAULTS,
    sample="ssl_zoo.data.given:sample_given",
)
_add("imagefolder", "imagefolder", folders=True, image_defaults=IMAGE_DEFAULTS)
_add(
    "huggingface",
    "huggingface",
    config=HuggingFaceConfig,
    splits=True,
    image_defaults=IMAGE_DEFAULTS,
    sample="ssl_zoo.data.image_table:sample_table",
    package="datasets",
)
_add(
    "webdataset",
    "webdataset",
    config=WebDatasetConfig,
    shards=True,
    image_defaults=IMAGE_DEFAULTS,
    sample="ssl_zoo.data.shards.sample:sample_shards",
)
