"""The way from the command line to the loss is short: a reader meets at most six functions of this package on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from helpers.runs import overrides
from ssl_zoo.methods import simsiam

import ssl_zoo
from ssl_zoo.cli import main as cli

ROOMS = [Path(module.__file__ or "").parent for module in (ssl_zoo, simsiam)]


def test_six_own_frames_from_the_command_line_to_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways: list[list[str]] = []
    loss = simsiam.SimSiam.loss

    def looking(*arguments: Any) -> Any:
        frame, way = sys._getframe(1), []
        while frame is not None and frame.f_code is not cli.main.__code__:
            if any(room in Path(frame.f_code.co_filename).parents for room in ROOMS):
                way.append(frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name)  # type: ignore[attr-defined]
            frame = frame.f_back  # type: ignore[assignment]
        assert frame is not None, "the command line is where it begins"
        ways.append(way[::-1])
        return loss(*arguments)

    monkeypatch.setattr(simsiam.SimSiam, "loss", looking)
    run = overrides("simsiam", "epochs=1", "data.limit=64", "monitor.baselines=false")
    assert cli.main(["train", *run, f"run_dir={tmp_path / 'run'}"]) == 0
    assert ways
    assert len(ways[-1]) <= 6, ways[-1]
    assert ways[-1][0] == "train"
