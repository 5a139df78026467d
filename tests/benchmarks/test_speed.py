"""Comparison of speed: contenders take turns, steps are counted, the parts of a step are timed."""

from __future__ import annotations

import itertools
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.runs import overrides
from ssl_zoo.benchmarks.speed import compare, interleave, lightly_way, report, step_clock, step_times
from ssl_zoo.benchmarks.speed.flops import flops_per_view
from ssl_zoo.benchmarks.speed.pause import Gate, Order
from torch.utils.flop_counter import FlopCounterMode

from ssl_zoo.augment import Augment
from ssl_zoo.build import build_method
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import UserError
from ssl_zoo.training.module import TrainingModule

# A contender with a worker process, as a DataLoader has them; both note when they compute.
FAKE = """
    import os, sys, time
    from ssl_zoo.benchmarks.speed.pause import Gate, pipe_exchange

    def note(who):
        with open(f"{sys.argv[1]}-{who}.txt", "a") as file:
            print(time.monotonic(), file=file)

    def noted():
        return os.path.exists(f"{sys.argv[1]}-worker.txt") and os.path.getsize(f"{sys.argv[1]}-worker.txt")

    if os.fork() == 0:
        while os.getppid() != 1:
            note("worker")
            time.sleep(0.002)
        os._exit(0)
    gate = Gate(pipe_exchange(int(sys.argv[-1]), lambda: {"imported": 1.5}, {"answer": lambda: {"is": 42}}))
    going = gate.begin()
    while going:
        note("main")
        before = noted()
        time.sleep(float(sys.argv[2]))
        while noted() == before:  # the worker has had its turn too
            time.sleep(0.001)
        going = gate.step()
"""


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[list[interleave.Contender]]:
    if not hasattr(os, "fork"):
        pytest.skip("contenders are stopped by POSIX signals")
    script = tmp_path / "fake.py"
    script.write_text(textwrap.dedent(FAKE))
    cores = interleave.available_cores(1)
    started = []
    for name, step in (("slow", 0.03), ("fast", 0.01)):
        command = [sys.executable, str(script), str(tmp_path / name), str(step)]
        started.append(interleave.Contender(name, command, log=tmp_path / f"{name}.log", cores=cores))
        started[-1].ready()
        started[-1].turn(Order(untimed=1, steps=0))
    yield started
    for contender in started:
        contender.close()


def test_nobody_computes_in_anothers_turn(fakes: list[interleave.Contender], tmp_path: Path) -> None:
    began = time.monotonic()
    reports = interleave.take_turns(fakes, Order(untimed=2, steps=3), rounds=3)
    spans = sorted(
        (report["began"], report["ended"], name) for name, group in reports.items() for report in group
    )
    assert [name for _, _, name in spans] == ["slow", "fast"] * 3
    assert all(earlier[1] < later[0] for earlier, later in itertools.pairwise(spans))
    for name, group in reports.items():
        assert [report["steps"] for report in group] == [3, 3, 3]
        times = {
            who: [float(line) for line in (tmp_path / f"{name}-{who}.txt").read_text().splitlines()]
            for who in ("main", "worker")
        }
        assert sum(t > began for t in times["main"]) == 3 * (2 + 3)
        assert any(start < t < end for start, end, _ in spans for t in times["worker"])
        others = [(start, end) for start, end, other in spans if other != name]
        assert not any(start < t < end for start, end in others for who in times for t in times[who])
    # No step is shorter than its sleep, whatever else the machine does.
    assert all(report["ended"] - report["began"] >= 3 * 0.03 for report in reports["slow"])


def test_a_contender_answers_between_turns_and_its_memory_is_seen(fakes: list[interleave.Contender]) -> None:
    assert fakes[0].ask("answer") == {"is": 42}
    assert fakes[0].turn(Order(untimed=1, steps=1))["imported"] == 1.5
    if sys.platform == "linux":
        assert fakes[0].peak_mb is not None
        assert 1 < fakes[0].peak_mb < 1000
        assert 0 < fakes[0].workers_mb < fakes[0].peak_mb


def test_a_contender_that_ends_says_what_it_printed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no such thing'); sys.exit(3)"]
    contender = interleave.Contender(
        "short", command, log=tmp_path / "log", cores=interleave.available_cores(1)
    )
    with pytest.raises(interleave.ContenderFailed, match=r"short ended with status 3:\nno such thing"):
        contender.ready()
    contender.close()


def test_the_gate_counts_only_timed_steps() -> None:
    orders: list[Order | None] = [Order(untimed=3, steps=4), Order(untimed=0, steps=2), None]
    seen: list[dict[str, Any]] = []

    def exchange(found: dict[str, Any]) -> Order | None:
        seen.append(found)
        return orders.pop(0)

    gate = Gate(exchange)
    assert gate.begin()
    going = [gate.step() for _ in range(3 + 4 + 2)]
    assert going == [True] * 8 + [False]
    assert [found.get("steps") for found in seen] == [None, 4, 2]


def test_each_moment_is_charged_to_one_part(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = iter([0, 1, 3, 6, 10, 15, 21, 28, 36])  # all differences differ
    monkeypatch.setattr(step_clock.time, "monotonic", lambda: float(next(readings)))
    clock = step_clock.StepClock()  # 0
    clock.reset()  # 1
    clock.start("[LightningModule]M.optimizer_step")  # 3, after 2 of the rest
    clock.start("[Strategy]SingleDeviceStrategy.training_step")  # 6, after 3 of the optimizer
    with clock.profile("[Callback]C.on_before_zero_grad"):  # not a part of its own
        pass
    clock.timed("augment", lambda: None)()  # 10 and 15, after 4 of the forward pass and 5 of its own
    clock.stop("[Strategy]SingleDeviceStrategy.training_step")  # 21, after 6 of the forward pass
    clock.stop("[LightningModule]M.optimizer_step")  # 28, after 7 of the optimizer
    parts = {"load": 0, "augment": 5, "forward": 10, "backward": 0, "optimizer": 10, "rest": 2 + 8}
    assert clock.read() == parts  # 36


def test_quick_counts_what_was_trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Against counts of our own, of images and of time, around the training."""
    batches: list[int] = []
    lasted: list[float] = []
    step, train = TrainingModule.training_step, step_times.fit

    def counted(self: TrainingModule, batch: Any, batch_idx: int) -> Any:
        batches.append(len(batch.images))
        return step(self, batch, batch_idx)

    def timed(*args: Any, **kwargs: Any) -> Any:
        began = time.monotonic()
        try:
            return train(*args, **kwargs)
        finally:
            lasted.append(time.monotonic() - began)

    monkeypatch.setattr(TrainingModule, "training_step", counted)
    monkeypatch.setattr(step_times, "fit", timed)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    speed = step_times.quick(overrides(), steps=12, least=0, most=1e9)
    assert speed.steps == 12
    assert batches == [32] * (3 + 12)
    assert 0 < speed.seconds < lasted[0]
    assert speed.views_per_second > sum(batches) * 2 * (12 / 15) / lasted[0]
    assert speed.views_per_second == pytest.approx(12 * 32 * 2 / speed.seconds)
    assert sum(speed.fractions.values()) == pytest.approx(1)
    assert tuple(speed.fractions) == step_clock.PARTS
    assert all(0 < fraction < 1 for fraction in speed.fractions.values())
    merged = {**speed.fractions, "network": speed.fractions["forward"] + speed.fractions["backward"]}
    assert merged[speed.bottleneck] == max(merged.values())
    assert speed.advice == step_times.advice(speed.bottleneck, "fp32", "cpu")
    assert speed.images == 160
    assert speed.epoch_seconds == pytest.approx(160 * 2 / speed.views_per_second)
    assert 100 < speed.peak_memory_mb < 10_000
    assert list(tmp_path.iterdir()) == []  # nothing is left


def test_a_slow_part_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a second whenever it is read, and by a hundred while views are made."""
    make, clock = Augment.forward, itertools.count()

    def slow(self: Augment, *args: Any, **kwargs: Any) -> Any:
        for _ in range(100):
            next(clock)
        return make(self, *args, **kwargs)

    monkeypatch.setattr(Augment, "forward", slow)
    monkeypatch.setattr(step_clock, "time", SimpleNamespace(monotonic=lambda: float(next(clock))))
    speed = step_times.quick(overrides(), steps=3, least=0, most=1e9)
    assert speed.bottleneck == "augment"
    assert speed.fractions["augment"] > 0.8


def test_several_processes_are_refused() -> None:
    with pytest.raises(UserError, match=r"one process; received trainer.devices=2.*set both to 1"):
        step_times.quick(overrides("simsiam", "trainer.devices=2"))


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(lightly_way.STEPS))
def test_lightlys_way_is_the_same_network_and_batch(method: str) -> None:
    config = compose(overrides(method, "method.projector.layers=2"))
    views, labels, names = next(iter(lightly_way.build_loader(config, workers=0)))
    assert [view.shape for view in views] == [(32, 1, 8, 8)] * 2
    assert len(labels) == len(names) == 32
    assert views[0].min() == pytest.approx(-0.3 / 0.37)  # black, normalised as ours
    assert not torch.equal(*views)
    theirs = lightly_way.build_model(config)
    ours = build_method(overrides(method, "method.projector.layers=2"))
    assert _sizes(theirs) == _sizes(ours)
    loss = theirs.training_step((views, labels, names), 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for p in theirs.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (overrides("swav"), r"written for byol, moco, simclr, simsiam; received method=swav; .*--contenders"),
        (overrides("simsiam", "method.stop_gradient=false"), r"received stop_gradient=False"),
        (overrides("simclr", "augment.views.extra.count=3"), r"received \d views"),
    ],
)
def test_what_lightlys_examples_have_not_is_refused(chosen: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        lightly_way.check(compose(chosen))


def test_wrong_options_cost_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    for chosen, message in (
        (["method=swav"], "lightly's way is written for"),
        (["--contenders", "ssl-zoo,lightning", "method=simsiam"], "unknown contender 'lightning'"),
        (["--threads", "4096", "method=simsiam"], "--threads must be from 1 to the number of cores"),
        (["--rounds", "0", "method=simsiam"], "--rounds must be at least 1; received 0"),
    ):
        assert compare.main(chosen) == 2
        assert message in capsys.readouterr().err


def test_flops_are_those_of_a_step() -> None:
    """Counted once more, for another batch, around a training step's loss."""
    chosen = overrides()
    config, method = compose(chosen), build_method(chosen)
    with FlopCounterMode(display=False) as counter:
        method.loss([torch.randn(16, 1, 8, 8) for _ in range(2)], torch.arange(16)).loss.backward()
    assert flops_per_view(chosen) == counter.get_total_flops() / (16 * len(config.views))


def test_figures_and_ratios() -> None:
    ours = report.contender_figures(
        [{"began": 0, "ended": 2, "steps": 4}, {"began": 5, "ended": 6, "steps": 4}], 10
    )
    theirs = report.contender_figures(
        [{"began": 2, "ended": 4, "steps": 2}, {"began": 6, "ended": 7, "steps": 2}], 10
    )
    assert ours["views_per_second"] == {"median": 30, "min": 20, "max": 40, "rounds": [20, 40]}
    found = report.ratios({"ssl-zoo": ours, "lightly": theirs})
    assert found == {"ssl-zoo / lightly": {"of_medians": 2, "median": 2, "min": 2, "max": 2}}


def test_regular_costs_at_the_runs_own_settings() -> None:
    config = compose(overrides("simsiam", "monitor.every_epochs=2", "trainer.checkpoint_every_epochs=4"))
    costs = {
        "diagnostics": 1.0, "diagnostics_and_knn": 4.0, "checkpoint": 2.0, "knn_every": 3, "steps_per_epoch": 10,
        "checkpoint_mb": 7.0,
    }  # fmt: skip
    found = report.regular_costs(costs, config, views_per_second=64.0)
    # Twelve epochs of 10 steps of 64 views: 120 s; 6 measurements, 2 of them with kNN: 6 * 1 + 2 * 3; 3 checkpoints.
    assert found["measuring_fraction"] == pytest.approx(12 / (120 + 12 + 6))
    assert found["checkpoint_fraction"] == pytest.approx(6 / (120 + 12 + 6))
    json.dumps(found)


def _sizes(module: torch.nn.Module) -> list[tuple[int, ...]]:
    return sorted(tuple(p.shape) for p in module.parameters())


class Stub:
    """A contender that computes nothing; `bare` cannot start, and what `lightly` does cannot be timed by parts."""

    def __init__(self, name: str, command: list[str], **_: Any) -> None:
        self.name, self.broken = name, name == "bare" or (name == "lightly" and "--parts" in command)
        self.started = self.workers_mb = 0.0
        self.peak_mb = 100.0
        log.append(f"{name} is launched")

    def ready(self) -> dict[str, Any]:
        log.append(f"{self.name} begins")
        if self.broken:
            raise interleave.ContenderFailed("no compiler")
        return {"begun": 2.0, "imported": 1.0}

    def turn(self, order: Order) -> dict[str, Any]:
        return {"steps": 1, "began": 0.0, "ended": 0.5, "gpu_mb": None, "threads": 1}

    def close(self) -> None:
        pass


log: list[str] = []


@pytest.mark.parametrize("together", [False, True])
def test_a_contender_that_fails_leaves_the_others_their_figures(
    together: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log.clear()
    monkeypatch.setattr(compare, "Contender", Stub)
    monkeypatch.setattr(compare, "flops_per_view", lambda overrides: 1e9)
    chosen = ["--contenders", "bare,bare-fp32,lightly", "--rounds", "2", "--json", str(tmp_path / "json")]
    assert compare.main([*chosen, *(["--together"] if together else []), *overrides()]) == 0
    result = json.loads((tmp_path / "json").read_text())
    assert set(result["contenders"]) == {"bare-fp32", "lightly"}
    assert result["failed"] == {"bare": "no compiler", "lightly, in parts": "no compiler"}
    assert result["contenders"]["lightly"]["views_per_second"]["rounds"] == [128.0, 128.0]
    assert "bare failed: no compiler" in capsys.readouterr().out
    assert log.index("lightly is launched") < log.index("bare begins") or not together
