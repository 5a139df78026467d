"""What a report of one run looks at: its images, and what its encoders make of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.pages.page import Block, Prose
from ssl_zoo.reports.encode import Outputs
from ssl_zoo.reports.image_sample import Images
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.reports.structure import clusters
from ssl_zoo.runs.saved_run import SavedRun

__all__ = ["Seen"]

CLUSTERS = 10


@dataclass(frozen=True)
class Seen:
    """A run's encoders and what they make of the images."""

    run: SavedRun
    config: ReportConfig
    data: DataConfig
    images: Images
    outputs: dict[str, Outputs]  # "trained" and, unless its initial weights cannot be had, "untrained"

    @property
    def usable(self) -> dict[str, Outputs]:
        """Those whose outputs are all finite."""
        return {name: one for name, one in self.outputs.items() if one.finite}

    @property
    def left_out(self) -> list[Block]:
        """A sentence about those that have nothing to show."""
        names = " and the ".join(f"{name} encoder" for name in self.outputs if name not in self.usable)
        return [Prose(f"Nothing of the {names} is shown: its outputs are not finite.")] if names else []

    @cached_property
    def groups(self) -> tuple[Tensor, tuple[str, ...]] | None:
        """(N,) classes with their names or, without labels, clusters; None where there is nothing to cluster."""
        if self.images.labels is not None and self.images.classes is not None:
            return self.images.labels, self.images.classes
        if "trained" not in self.usable:
            return None
        found = clusters(self.outputs["trained"].features, CLUSTERS, self.config.seed)
        return found, tuple(str(number + 1) for number in range(int(found.max()) + 1))
