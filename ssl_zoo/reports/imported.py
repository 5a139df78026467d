"""The section of a report that says where an imported encoder comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssl_zoo.pages.page import Block, Prose, Section, Table
from ssl_zoo.run_dir.saved_run import SavedRun

__all__ = ["origin"]


def origin(run: SavedRun) -> Section | None:
    """Tabulates the checkpoint that a run was imported from; None for a run that was trained here."""
    if not run.is_imported:
        return None
    method, data, record = run.config.method, run.config.data, run.import_record
    backbone = run.config.backbone
    attention = f", {backbone.num_heads} attention heads" if backbone.num_heads else ""
    left_out = record.get("left_out")
    heads = {str(k): len(v) for k, v in left_out.items()} if isinstance(left_out, Mapping) else {}
    facts: Any = record.get("facts")
    rows = [
        ("file", method.file),
        ("sha256", method.sha256),
        ("format", f"{method.format}: {record.get('program', 'not recorded')}"),
        ("encoder", f"{backbone.name}, stem {backbone.stem}{attention}"),
        ("left out", ", ".join(f"{what} ({count} keys)" for what, count in heads.items()) or "nothing"),
        ("images", f"RGB, {run.config.augment.size} pixels, {data.interpolation}"),
        ("pixels", f"mean {list(data.mean)}, std {list(data.std)}, of values in [0, 1]"),
        *((f"in the file: {key}", str(value)) for key, value in dict(facts or {}).items()),
    ]
    blocks: list[Block] = [
        Prose(
            "Another program trained this encoder. Its loss, its images and how long it was trained are not known "
            "here. The encoder has no projector: its embeddings are the backbone's features. The untrained encoder "
            "beside it is of the same architecture, with timm's initial weights."
        ),
        Table(
            ("what", "value"), rows, "From import.json, which lists every key that was left out.", wordy=True
        ),
    ]
    return Section("origin", "Origin", blocks)
