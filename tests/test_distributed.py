"""Two processes with half a batch each equal one process with all of it: losses, gradients, weights, state."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.methods import build, make_views
from helpers.two_processes import CASES, IMAGES, Seen, coupled_batch

from ssl_zoo.metrics import measure_embeddings

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.usefixtures("forked")]

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, forked: None) -> list[dict[str, Any]]:
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "helpers.two_processes", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=HERE)
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


def test_the_monitors_figures_are_means_over_the_processes(found: list[dict[str, Any]]) -> None:
    first, second = (part["monitored"] for part in found)
    assert first == second
    alone = [measure_embeddings(*Seen(rank).views) for rank in (0, 1)]
    for key, value in first["metrics"].items():
        assert value == pytest.approx(
            (alone[0][key] + 2 * alone[1][key]) / 3
        )  # the second has twice the images
    assert (first["loss"], first["images"]) == (0.5, IMAGES)


def test_a_loss_over_gathered_tensors_has_the_gradient_of_the_whole_batch(
    found: list[dict[str, Any]],
) -> None:
    """Against loops over images and channels in one process, in float64: `gather` needs no factor."""
    views, weight = coupled_batch()
    columns = []  # of each view, a list of 3 lists of IMAGES values with mean 0 and variance 1
    for view in views:
        z = [[sum(x[k] * weight[k, d] for k in range(4)) for x in view] for d in range(3)]
        means = [sum(column) / IMAGES for column in z]
        z = [[value - mean for value in column] for column, mean in zip(z, means, strict=True)]
        spreads = [(sum(value**2 for value in column) / IMAGES) ** 0.5 for column in z]
        columns.append([[value / s for value in column] for column, s in zip(z, spreads, strict=True)])
    expected = torch.zeros((), dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            c = sum(columns[0][i][n] * columns[1][j][n] for n in range(IMAGES)) / IMAGES
            expected = expected + (c - float(i == j)) ** 2
    expected.backward()
    for part in found:
        torch.testing.assert_close(part["coupled"]["loss"], expected.detach())
        torch.testing.assert_close(part["coupled"]["gradient"], weight.grad)


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
        ("nnclr", "assign.store.vectors"),
        ("swav, queue", "assign.queues.0.vectors"),
        ("simsiam, moving average", "memory.vectors"),
        ("ressl", "negatives.store.vectors"),
    ):
        assert int(found[0]["both"][case]["state"][name].abs().sum(dim=1).count_nonzero()) > 8
    assert found[0]["both"]["dino"]["state"]["assign.center"].all()
