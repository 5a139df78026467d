"""The command for a machine with a GPU: what it would run, in which time, and what it writes; no GPU is needed."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from helpers import stopping as held
from ssl_zoo.benchmarks.gpu import __main__ as command
from ssl_zoo.benchmarks.gpu import large_images, plan, processes, session, steps
from ssl_zoo.benchmarks.gpu.processes import CommandOutcome, CommandTask, run_together

from ssl_zoo.config.compose import compose
from ssl_zoo.run_dir import environment

pytestmark = [pytest.mark.slow, pytest.mark.processes]

FOREVER = 1e9


@pytest.fixture
def setting(tmp_path: Path) -> steps.Setting:
    for part in ("train", "test"):
        (tmp_path / "images, mine" / part).mkdir(parents=True)
    (tmp_path / "work").mkdir()
    return steps.Setting(tmp_path / "images, mine", tmp_path / "work", tmp_path / "out", None, cores=16)


def python(name: str, code: str, limit: float = FOREVER) -> CommandTask:
    return CommandTask(
        name, [sys.executable, "-S", "-c", code], limit, lambda printed: {"output": printed.strip()}
    )


def overrides(task: CommandTask) -> list[str]:
    return [part for part in task.command if "=" in part]


@pytest.mark.parametrize("toy", [False, True])
def test_every_command_is_a_run(setting: steps.Setting, toy: bool) -> None:
    tasks = steps.methods(setting._replace(toy=toy), 100)
    tasks += [steps.throughput(setting._replace(toy=toy), 100)]
    assert len(tasks) == 11
    configs = [compose(overrides(task)) for task in tasks]
    found = {(config.method.name, config.precision, config.epochs) for config in configs[:-1]}
    assert found == {(method, precision, 1) for method in steps.METHODS for precision in ("bf16", "fp32")}
    published = compose(["experiment=cifar10/simsiam"])
    assert (configs[-1].data.mean, configs[-1].data.std) == (published.data.mean, published.data.std)
    assert configs[-1].data.test is None, "no kNN: its images need not be decoded"
    if not toy:
        assert {config.batch_size for config in configs} == {512}
        assert {config.backbone for config in configs} == {published.backbone}
        assert {config.augment.size for config in configs} == {32}


def test_large_images_are_decoded_and_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "figures.json"
    large_images.main(["--json", str(file), "--workers", "1", "--toy"])
    figures = json.loads(file.read_text())
    assert figures["output"] in capsys.readouterr().out
    assert figures["decoding"]["cpu"] > 0
    assert 0 <= figures["training"]["waiting"] <= 1
    if "gpu" in figures["decoding"]:
        assert figures["decoding"]["mean difference"] < 2


def measured(rate: float, gain: float | None = None, cost: float = 60.0) -> dict[str, Any]:
    contenders = {"ssl-zoo": rate, "bare": rate, **({} if gain is None else {"bare-compiled": rate * gain})}
    return {
        "contenders": {
            name: {
                "views_per_second": {"median": value, "min": value, "max": value},
                "warmup_seconds": 5 + cost * (name == "bare-compiled"),
                "memory_mb": 5000.0,
            }
            for name, value in contenders.items()
        },
        "ratios": {},
        "utilisation": None,
        "rounds": 1,
        "run": {"method": "simsiam", "backbone": "resnet18", "size": 32, "batch_size": 512, "views": 2},
    }


def test_the_time_left_and_the_throughput_decide_what_is_run() -> None:
    seconds = (
        200 * plan.IMAGES * plan.VIEWS / 50_000 * plan.SLACK + plan.START
    )  # of 200 epochs at 50,000 views/s
    assert plan.decide(measured(50_000), seconds + 1) == plan.Decision(200, False, seconds)
    assert plan.decide(measured(50_000), seconds - 1) == plan.decide(
        measured(50_000), seconds / 2 + plan.START
    )
    assert plan.decide(measured(50_000), plan.START) is None
    shared = plan.decide(measured(50_000), seconds, at_once=4)
    assert shared is not None
    assert shared.epochs == 50
    for gain, cost, compiles in ((1.5, 60, True), (1.5, 300, False), (0.9, 0, False)):
        decision = plan.decide(measured(50_000, gain, cost), FOREVER)
        assert decision is not None
        assert (decision.epochs, decision.compile) == (200, compiles)
    assert plan.decide(None, 100) == plan.Decision(200, False, 100)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="what is started here is a fork")
def test_a_process_is_ended_at_its_limit_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its limit has come when both processes have printed their line."""
    over = processes._Process.over

    def watched(self: processes._Process) -> bool:
        if self.task.name == "long" and self.log.read_text().count("\n") == 2:
            self.limit = 0.0
        return over(self)

    monkeypatch.setattr(processes._Process, "over", watched)
    code = "import os, time, sys; pid = os.fork(); print(pid or os.getppid(), flush=True); time.sleep(1000)"
    outcomes: list[CommandOutcome] = []
    tasks = [
        python("long", code),
        python("broken", "print('why'); raise SystemExit(3)"),
        python("good", "print('fine')"),
    ]
    run_together(tasks, tmp_path, outcomes.append, deadline=time.monotonic() + FOREVER, at_once=3)
    found = {outcome.name: outcome for outcome in outcomes}
    assert found["long"].status == "ended at its limit"
    assert (found["broken"].status, found["broken"].printed) == ("failed (3)", "why\n")
    assert (found["good"].status, found["good"].figures) == ("done", {"output": "fine"})
    pair = [int(pid) for pid in found["long"].printed.split()]
    held.wait_for(lambda: all(map(held.is_gone, pair)))


def test_nothing_is_started_short_before_the_end(tmp_path: Path) -> None:
    outcomes: list[CommandOutcome] = []
    end = time.monotonic() + processes.SHORT / 2
    run_together([python("late", "")], tmp_path, outcomes.append, deadline=end)
    assert [outcome.status for outcome in outcomes] == ["not started: no time is left"]


def test_what_fails_is_noted_and_the_others_go_on(
    setting: steps.Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[list[str]] = []

    def run(task: CommandTask, *_: Any) -> Any:
        ran.append(list(task.command))
        if task.name == "throughput":
            (setting.out / "throughput.json").write_text(json.dumps(measured(5e4, 2.0)))
        if "compile=true" in task.command:
            return python(task.name, "raise SystemExit(1)")
        if "train" in task.command:
            folder = setting.folder(task.name)
            folder.mkdir()
            result = dict.fromkeys(steps.READ, None) | {
                "method": "simsiam",
                "epochs": 1,
                "loss": -0.5,
                "knn_top1": 0.85,
            }
            (folder / "result.json").write_text(json.dumps(result))
            (folder / "environment.json").write_text('{"precision": "bf16"}')
            (folder / "metrics.csv").write_text("epoch\n")
            (folder / "curves.png").write_bytes(b"")
        return CommandTask(task.name, [sys.executable, "-S", "-c", ""], task.limit, task.figures)

    original = processes._Process
    monkeypatch.setattr(processes, "_Process", lambda task, *rest: original(run(task), *rest))
    whole = session.Session(setting, minutes=600)
    for name in session.NAMES:
        whole.step(name)
    statuses = {outcome.name: outcome.status for outcome in whole.outcomes}
    assert statuses["tests"].startswith("not started: no folder of tests")
    assert statuses["simsiam"] == "failed (1)", "it did not compile"
    assert statuses["simsiam again"] == "done"
    assert statuses["simsiam again linear"].startswith("done, but its results cannot be read")
    assert any("compile=false" in part and "epochs=200" in part for part in ran)
    assert {"byol", "simsiam seed 2", "figure 2", "swav fp32"} <= set(statuses)
    files = {file.name for file in setting.out.iterdir()}
    assert {"summary.md", "results.json", "log.txt", "throughput.json", "simsiam-again-curves.png"} <= files
    assert len(files) <= 8
    page = (setting.out / "summary.md").read_text()
    assert "| simsiam again | 1 | -0.5000 | 85.0% |" in page
    assert "makes a step 2.00 times as fast, and pays from" in page
    assert "simsiam: failed (1)" in capsys.readouterr().out


def test_a_run_that_was_ended_tells_how_far_it_came(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,loss,knn_top1\n0,0,,\n1,9,-0.5,0.3\n2,18,-0.6,\n")
    assert steps.read_run(tmp_path) == {
        "epoch": 2.0, "step": 18.0, "loss": -0.6, "knn_top1": 0.3, "unfinished": True,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--minutes", "0"], "--minutes must be at least 1"),
        (["--only", "simsiam,mor"], "unknown step 'mor'.*did you mean 'more'"),
        (["--data", "nowhere"], "'nowhere' has no 'train'"),
        (["--out", "work"], "--out must be a new or empty folder"),
        (["--tests", "images, mine"], "--tests must hold the folder gpu"),
        (["--throughput", "nowhere.json"], "--throughput must be there"),
        (
            ["--throughput", "cut.json"],
            "of an earlier call; 'cut.json' cannot be read .*JSON.*leave it out",
        ),
        (["--throughput", "other.json"], "'other.json' cannot be read as one .*KeyError: 'contenders'"),
        (["--throughput", "null.json"], "'null.json' cannot be read as one"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_made(
    more: list[str], message: str, setting: steps.Setting, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(setting.data.parent)
    (setting.work / "file").touch()
    for name, text in (("cut", '{"contenders": {"ssl-zoo"'), ("other", '{"rate": 3}'), ("null", "null")):
        Path(f"{name}.json").write_text(text)
    assert command.main(["--data", "images, mine", "--out", "out", "--toy", *more]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not setting.out.exists()


def test_without_a_gpu_it_says_so(
    setting: steps.Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert command.main(["--data", str(setting.data), "--out", str(setting.out)]) == 2
    assert "rehearse with --toy" in capsys.readouterr().err


def test_without_its_packages_it_names_them(
    setting: steps.Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = {"filelock": "3.20.0"}
    monkeypatch.setattr(
        environment, "requires", lambda _: ["filelock>=4.1", "torch>=2.11", "onnx; extra == 'onnx'"]
    )
    monkeypatch.setattr(environment, "version", lambda name: installed.get(name) or "2.11.0+cu130")
    assert command.main(["--data", str(setting.data), "--out", str(setting.out), "--toy"]) == 2
    assert "lacks packages here: filelock>=4.1 (3.20.0 is installed); bring" in capsys.readouterr().err
    assert not setting.out.exists()


def test_the_tests_are_found_where_the_shell_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = Path(__file__).parent.parent.parent
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OLDPWD", raising=False)
    assert command.find_tests(None) is None
    monkeypatch.setenv("OLDPWD", str(root))
    assert command.find_tests(None) == root / "tests"
