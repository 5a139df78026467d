"""The keys of `method=supervised`."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from ssl_zoo.config.schema.method import MethodConfig
from ssl_zoo.config.schema.types import section

__all__ = ["LabelsConfig"]


@section
class LabelsConfig(MethodConfig):
    """The keys of method=supervised."""

    min_views: ClassVar[int] = 1
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Fraction of the target that is spread evenly over all classes (https://arxiv.org/abs/1512.00567, Section 7)."""
