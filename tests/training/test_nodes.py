"""Two nodes, played by two torchrun agents on this machine: one is killed and comes back."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch
from helpers import stopping as held
from helpers.runs import overrides
from ssl_zoo.benchmarks.lost_node import lose_a_node

import ssl_zoo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores"),
]


def test_a_node_is_killed_and_comes_back(tmp_path: Path) -> None:
    """The other one says what has happened, waits, and continues with it from the last checkpoint, to the bit."""
    (tmp_path / "hold").mkdir()
    run = overrides(
        "byol", "epochs=2", "monitor.every_epochs=100", "monitor.baselines=false", "trainer.threads=1",
        "trainer.checkpoint_every_steps=2",
    )  # fmt: skip
    outcome = lose_a_node(
        [*run, f"run_dir={tmp_path / 'run'}"],
        tmp_path,
        ready=lambda: list((tmp_path / "hold").glob("*.pid")),
        command=[held.__file__],
        environment={"HOLD": f"{tmp_path / 'hold'}:7", "HOLD_RANK": "1"},
    )
    assert outcome.statuses == [0, 0], outcome.output
    (message,) = [line for line in outcome.output.splitlines() if line.startswith("ssl-zoo: ")]
    assert message.startswith(
        "ssl-zoo: another process of the training has ended, or its machine does not answer"
    )
    assert message.endswith(f"to continue: ssl-zoo train run_dir={tmp_path / 'run'} resume=auto")
    alone = ["trainer.devices=2", "trainer.accelerator=cpu", f"run_dir={tmp_path / 'whole'}"]
    ssl_zoo.train([*run, *alone], silent=True)
    first, second = (
        torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)
        for name in ("whole", "run")
    )
    assert first["ssl_zoo"]["position"] == second["ssl_zoo"]["position"] == [2, 0]
    for name, tensor in first["state_dict"].items():
        assert torch.equal(tensor, second["state_dict"][name]), name
