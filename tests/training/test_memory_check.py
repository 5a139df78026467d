"""What a run will take is known before it takes it, and a run that would not fit is refused with what would."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from helpers.runs import overrides
from ssl_zoo.benchmarks import memory_estimate
from torch import nn

import ssl_zoo
from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.errors import UserError
from ssl_zoo.hardware.free_memory import free_memory
from ssl_zoo.hardware.live_bytes import LiveBytes
from ssl_zoo.training import memory_check
from ssl_zoo.training.footprint import footprint
from ssl_zoo.training.optim import build_optimizer

GIB = 2**30
CHECKED = "trainer.memory_check=true"


def test_bytes_alive_and_their_peak() -> None:
    """Against what is written down by hand: 4 bytes a value, freed with the last reference, views free of charge."""
    with LiveBytes() as live:
        a = torch.zeros(1000)
        b = a.view(10, 100)
        c = a + 1
        assert live.live == 8000
        del a, c
        assert (live.live, live.peak) == (4000, 8000)
        live.restart()
        assert live.peak == 4000
        del b
    assert live.live == 0


def test_activations_kept_for_the_backward_pass_count() -> None:
    with LiveBytes() as live:
        layers = nn.Sequential(
            *[nn.Sequential(nn.Linear(50, 50, bias=False), nn.Sigmoid()) for _ in range(4)]
        )
        x = torch.randn(20, 50)
        weights, images = 4 * 4 * 2500, 4000
        assert live.live == weights + images
        live.restart()
        out = layers(x)
        # Of each layer sigmoid's result is kept; the linear one's only until sigmoid has read it.
        assert live.live == weights + images + 4 * 4000
        assert live.peak == weights + images + 5 * 4000
        out.sum().backward()
        assert live.live == 2 * weights + images + 4000, "the result and the weights' gradients are left"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "moco"])
def test_an_imagined_step_takes_what_a_real_one_does(method: str) -> None:
    config = compose(overrides(method))
    data = load_data(config.data)
    imagined = footprint(config, data)
    with LiveBytes() as live:
        real, _ = build(config, data.channels)
        weights = live.live
        optimizer = build_optimizer(config.optimizer, real, config.batch_size)
        for _ in range(2):
            views = [torch.rand(config.batch_size, data.channels, 8, 8) for _ in config.views]
            live.restart()
            loss = real.loss(views, torch.arange(config.batch_size)).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert imagined.weights == pytest.approx(weights, rel=0.01)
    assert imagined.step == pytest.approx(live.peak, rel=0.1)


def test_sinkhorns_queue_joins_the_imagined_step() -> None:
    """It is empty in a run's first steps, and the steps after them take more."""
    with_queue, without = (
        compose(overrides("swav", f"method.sinkhorn.queue_size={size}")) for size in (100_000, 0)
    )
    data = load_data(without.data)
    taken = [of.step - of.kept for of in (footprint(with_queue, data), footprint(without, data))]
    assert taken[0] - taken[1] > 2 * 100_000 * 12 * 4, "scores of two views' queues over 12 prototypes"


def test_a_momentum_encoder_a_queue_and_accumulated_state_count() -> None:
    config = compose(overrides("moco", "method.queue.size=4096"))
    plain = compose(overrides("simsiam", "method.predictor.kind=identity"))
    data = load_data(config.data)
    moco, simsiam = footprint(config, data), footprint(plain, data)
    queue = 4 * 4096 * 16
    assert moco.weights == pytest.approx(2 * simsiam.weights + queue, rel=0.01)
    # The weights once more as gradients and once as momentum; the momentum encoder has neither.
    assert simsiam.kept == pytest.approx(3 * simsiam.weights, rel=0.05)
    assert moco.kept == pytest.approx(4 * simsiam.weights + queue, rel=0.05)
    assert moco.largest == "encoder.backbone.layer4.0.conv1.weight (96 x 192 x 3 x 3)"


def test_what_does_not_fit_is_refused_with_values_that_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = overrides("simsiam", CHECKED, "augment.size=24", "batch_size=64", f"run_dir={tmp_path / 'run'}")
    config = compose(run)
    needed = memory_check.need(config, load_data(config.data))
    assert needed is not None
    monkeypatch.setattr(memory_check, "BESIDE", {"cpu": 0})
    kept = memory_check.GAPS * memory_check.SPARE * needed.of.kept
    free = int(kept + (needed.of.step - needed.of.kept) * 0.6)
    monkeypatch.setattr(memory_check, "free_memory", lambda device: free)
    monkeypatch.setattr("ssl_zoo.features.CPU_BATCH", 16)  # the measurement is not what does not fit
    with pytest.raises(UserError, match="a run must fit into the memory that is free") as error:
        ssl_zoo.train(run, silent=True)
    assert not (tmp_path / "run").exists()
    message = str(error.value)
    assert "trainer.memory_check=false skips this check" in message
    proposed = re.search(r"set (batch_size=\d+ trainer.accumulate=\d+), or (augment.size=\d+)", message)
    assert proposed is not None, message
    assert proposed[1] == "batch_size=32 trainer.accumulate=2"
    changed = compose([*run, *proposed[2].split()])
    memory_check.check_memory(changed, load_data(changed.data))


def test_weights_that_do_not_fit_are_refused_before_they_are_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_check, "free_memory", lambda device: 8 * GIB)
    wide = ("method.projector.output_dim=131072", "method.predictor.hidden_dim=131072")
    with pytest.raises(UserError, match=r"the largest tensor is predictor\.\S+ \(131072 x 131072\)"):
        ssl_zoo.train([*overrides("simsiam", CHECKED, *wide), f"run_dir={tmp_path / 'run'}"], silent=True)
    assert list(tmp_path.iterdir()) == []


def test_the_check_changes_nothing(tmp_path: Path) -> None:
    """The same weights to the bit, with a queue, batch statistics and an optimizer that have a state."""
    weights = []
    for check in ("true", "false"):
        run_dir = tmp_path / check
        ssl_zoo.train(
            overrides("moco", f"trainer.memory_check={check}", "epochs=1", f"run_dir={run_dir}"), silent=True
        )
        weights.append(torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_a_method_that_needs_values_is_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("no values")

    monkeypatch.setattr(memory_check, "footprint", refuse)
    config = compose(overrides())
    memory_check.check_memory(config, load_data(config.data))


@pytest.mark.parametrize(
    ("override", "rule"),
    [
        ("method.projector.hidden_dim=10000000", "at most 131072"),
        ("method.queue.size=100000000", "at most 16777216"),
        ("method.prototypes.number=100000000", "at most 1048576"),
        ("method.pairs_per_image=1000", "at most 16"),
        ("monitor.probe.draws=1000000", "at most 10000"),
        ("augment.views.global.count=100000000", "at most 64"),
        ("augment.size=100000", "at most 4096"),
    ],
)
def test_absurd_sizes_have_a_range(override: str, rule: str) -> None:
    with pytest.raises(UserError, match=rule):
        compose(["method=moco", override])


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


MEMINFO = {"proc/meminfo": "MemTotal: 64000000 kB\nMemFree: 1 kB\nMemAvailable:   32000000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 32_000_000 * 1024),
        (
            {  # v2, the limit that of a group above
                "proc/self/cgroup": "0::/jobs/one\n",
                "sys/fs/cgroup/jobs/one/memory.max": "max\n",
                "sys/fs/cgroup/jobs/one/memory.current": "5\n",
                "sys/fs/cgroup/jobs/memory.max": "4000000000\n",
                "sys/fs/cgroup/jobs/memory.current": "3000000000\n",
                "sys/fs/cgroup/jobs/memory.stat": "anon 2500000000\ninactive_file 400000000\n",
            },
            1_400_000_000,
        ),
        (
            {  # v1, in a container that sees its own group at the top
                "proc/self/cgroup": "4:memory:/docker/abc\n3:cpuset:/\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
                "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100000000\n",
            },
            1_600_000_000,
        ),
        (
            {  # v1 without a limit
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000000\n",
            },
            32_000_000 * 1024,
        ),
    ],
)
def test_free_memory_knows_the_limits_of_cgroups(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("ssl_zoo.hardware.free_memory._address_space", lambda root: iter(()))
    assert free_memory(torch.device("cpu"), tree(tmp_path, MEMINFO | files)) == expected


def test_free_memory_where_the_system_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert free_memory(torch.device("cpu"), tmp_path) is None


def test_the_estimates_page() -> None:
    found = [memory_estimate.Estimate("SimSiam, ResNet-18, 32 px, batch 64", 860.4, 1500.0, 1200.0)]
    page = memory_estimate.markdown_page(found, "the command")
    assert page.splitlines()[-1] == "| SimSiam, ResNet-18, 32 px, batch 64 | 860 | 1,500 | 1,200 | 1.25 |"
    assert len(memory_estimate.SETTINGS) == 12
