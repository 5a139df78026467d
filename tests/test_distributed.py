"""Two processes with half a batch each equal one process with all of it: losses, gradients, weights, state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import build, make_views
from two_processes import CASES, IMAGES

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, str(HERE / "two_processes.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def close(ours: torch.Tensor, expected: torch.Tensor, name: str) -> None:
    """Up to float32's rounding of sums in another order: 1e-5 of the largest entry."""
    largest = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5 * largest, msg=name)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case: str, found: list[dict[str, Any]]) -> None:
    alone, both = found[0]["alone"][case], found[0]["both"][case]
    torch.testing.assert_close(both["losses"], alone["losses"], rtol=1e-5, atol=1e-6)
    for step, (a, b) in enumerate(zip(alone["gradients"], both["gradients"], strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            close(b[name], a[name], f"step {step}: {name}")
    for name, value in alone["state"].items():
        close(both["state"][name], value, name)


@pytest.mark.parametrize("case", CASES)
def test_queue_memory_and_weights_are_the_same_in_both_processes(
    case: str, found: list[dict[str, Any]]
) -> None:
    first, second = (part["both"][case]["state"] for part in found)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name


@pytest.mark.parametrize("shuffle", [False, True])
def test_shuffled_keys_meet_the_statistics_of_others(shuffle: bool, found: list[dict[str, Any]]) -> None:
    """MoCo, Sec. 3.3: each process normalises a random half of all keys, not the half that it has queries for."""
    got = found[0]["keys"][int(shuffle)]
    method, view = build("moco", "method.projector.bn_hidden=true"), make_views(1, IMAGES)[0]
    method.load_state_dict({name: value for name, value in got.items() if name != "keys"})
    torch.manual_seed(7)
    order = torch.randperm(IMAGES) if shuffle else torch.arange(IMAGES)
    halves = [method.target_encoder(view[half]) for half in order.chunk(2)]
    expected = torch.cat(halves)[order.argsort()]
    torch.testing.assert_close(got["keys"], expected)
    plain = torch.cat([method.target_encoder(half) for half in view.chunk(2)])
    assert torch.allclose(plain, expected) is not shuffle


def test_the_cases_would_notice(found: list[dict[str, Any]]) -> None:
    """What the two processes compare is not trivially equal: weights move, and the state differs by case."""
    for case, result in found[0]["alone"].items():
        assert len(set(result["losses"].tolist())) == 3, case
        assert any(gradient.abs().max() > 1e-4 for gradient in result["gradients"][0].values()), case
    for case, name in (
        ("moco", "negatives.store.vectors"),
        ("swav, queue", "assign.queues.0.vectors"),
        ("simsiam, moving average", "memory.vectors"),
    ):
        assert int(found[0]["both"][case]["state"][name].abs().sum(dim=1).count_nonzero()) > 8
