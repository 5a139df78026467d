"""The block `method` of an encoder that was trained elsewhere. `ssl-zoo import` writes it, nobody sets it."""

from __future__ import annotations

from ssl_zoo.config.schema.method import MethodConfig, ProjectorConfig
from ssl_zoo.config.schema.types import section

__all__ = ["ImportedConfig"]


@section
class ImportedConfig(MethodConfig):
    """An encoder from another program's checkpoint: a backbone without a projector, and without a loss."""

    projector: ProjectorConfig = ProjectorConfig(layers=0)
    format: str
    """Name of the checkpoint's format, for instance moco."""
    file: str
    """Name of the checkpoint, without its folder."""
    sha256: str
    """Checksum of the checkpoint, in hex digits."""

    @property
    def label(self) -> str:
        """The name for a reader."""
        return f"{self.format} (imported)"
