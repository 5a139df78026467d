"""What a process says whose connection to another is lost, and for how long it waits for one that does not answer."""

from __future__ import annotations

import datetime
import errno

import pytest
import torch
from helpers.runs import overrides

from ssl_zoo.config.compose import compose
from ssl_zoo.errors import ProcessLost, UserError
from ssl_zoo.terminal.streams import exit_status
from ssl_zoo.training.fit import _strategy
from ssl_zoo.training.launch import launched

TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "run_dir=runs/far")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError(
                "[/third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [10.0.0.2]:1"
            ),
            "Connection closed by peer [10.0.0.2]:1",
        ),
        (
            RuntimeError("[/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms for recv"),
            "Timed out waiting 1800000ms for recv",
        ),
        (torch.distributed.DistBackendError("NCCL error\nin some file"), "NCCL error"),
    ],
)
def test_a_lost_process_is_one_line(
    error: Exception, reason: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # it has started both
    with pytest.raises(ProcessLost) as raised, launched(compose(overrides("byol", *TWO))):
        raise error
    assert exit_status(raised.value, "train") == 1
    assert capsys.readouterr().err == (
        "ssl-zoo: another process of the training has ended, or its machine does not answer any more, and so ends this "
        f"one ({reason}); what was saved before is kept; to continue: ssl-zoo train run_dir=runs/far resume=auto\n"
    )


def test_another_error_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with pytest.raises(RuntimeError, match="shapes"), launched(compose(overrides("byol", *TWO))):
        raise RuntimeError("shapes do not fit")
    with pytest.raises(OSError, match="gloo/run"), launched(compose(overrides("byol", *TWO))):
        raise OSError(errno.ENOSPC, "No space left on device", "/data/gloo/run/metrics.csv")
    duplicate = torch.distributed.DistBackendError(
        "NCCL error\nncclInvalidUsage: ...\nDuplicate GPU detected"
    )
    with (
        pytest.raises(torch.distributed.DistBackendError, match="Duplicate"),
        launched(compose(overrides("byol", *TWO))),
    ):
        raise duplicate
    with pytest.raises(RuntimeError, match="gloo/"), launched(compose(overrides("byol"))):
        raise RuntimeError("[/gloo/pair.cc:1] of a process alone")


def test_how_long_a_process_waits() -> None:
    for more, minutes in (((), 30), (("trainer.timeout_minutes=0.5",), 0.5)):
        strategy = _strategy(compose(overrides("byol", *TWO, *more)))
        assert strategy._timeout == datetime.timedelta(minutes=minutes)  # type: ignore[union-attr]
    with pytest.raises(UserError, match="timeout_minutes must be"):
        compose(overrides("byol", *TWO, "trainer.timeout_minutes=1e15"))
