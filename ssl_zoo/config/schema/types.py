"""The types of configuration values: each states a range once, and `section` makes a class of such keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.dataclasses import dataclass
from typing_extensions import dataclass_transform

from ssl_zoo.files.paths import check_path

T = TypeVar("T")

LARGEST = 2**31 - 1  # what every library's counters hold

Fraction = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1, le=LARGEST)]
Index = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Folder = Annotated[str, Field(min_length=1, json_schema_extra={"format": "path"}), AfterValidator(check_path)]

# Wider than any paper's; what is possible and too large for a machine `ssl_zoo.training.memory_check` refuses.
Width = Annotated[int, Field(ge=1, le=2**17)]  # of a layer or an embedding
Side = Annotated[int, Field(ge=1, le=4096)]  # pixels
Vectors = Annotated[int, Field(ge=1, le=2**24)]  # rows of a queue or a memory

Ratio = Annotated[float, Field(ge=0.01, le=100)]
Factor = Annotated[float, Field(ge=0, le=100)]  # of a colour, by which it is changed
Sigma = Annotated[float, Field(gt=0, le=1000)]  # pixels


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(Field,))
def section(cls: type[T]) -> type[T]:
    """Class decorator: a frozen, keyword-only dataclass whose values are validated strictly.

    The string under an attribute is its help: `ssl-zoo config --describe KEY` and `docs/keys.md` show it.
    """
    config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    return cast("type[T]", dataclass(frozen=True, kw_only=True, config=config)(cls))


def extended(cls: type[T], annotations: Mapping[str, Any], **defaults: Any) -> type[T]:
    """Returns a section with further keys, or with keys of other types: the blocks of what is registered.

    Args:
        cls: the section.
        annotations: the types of the keys.
        defaults: the defaults of those keys, by name.
    """
    namespace = {"__annotations__": dict(annotations), "__module__": cls.__module__, "__doc__": cls.__doc__}
    return section(type(cls.__name__, (cls,), {**namespace, **defaults}))


def check_ascending(name: str, pair: tuple[float, float]) -> None:
    """Refuses a range whose lower end lies above its upper end."""
    if pair[0] > pair[1]:
        raise ValueError(f"{name} must be [low, high] with low <= high; received {list(pair)}; swap the two")
