"""Writes a plain file of weights, which describes itself in its metadata.

- [0] safetensors, https://github.com/huggingface/safetensors
"""

from __future__ import annotations

from pathlib import Path

from ssl_zoo.exporters.card_snippets import build_with_timm
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles, save_weights
from ssl_zoo.exporters.schema import ExportConfig

__all__ = ["write"]

FILE = "backbone.safetensors"
METADATA = f"""\
from safetensors import safe_open

with safe_open("{FILE}", framework="numpy") as file:
    metadata = file.metadata()  # method, data, verdict, digest, commit, ..., all of them text"""


def write(encoder: ExportedEncoder, folder: Path, config: ExportConfig) -> ExportedFiles:
    """Writes one plain file of weights, which says in its metadata what it is."""
    save_weights(encoder, folder / FILE)
    return ExportedFiles(
        files={FILE: "the weights, by timm's names, with metadata"},
        code=build_with_timm(encoder, FILE),
        further=(("What the file says of itself", METADATA),),
    )
