"""The command line: speed of --help, exit statuses, and that wrong input creates nothing."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from helpers.runs import overrides

from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS
from ssl_zoo.config.compose import compose


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from ssl_zoo.cli.main import main; main(['--help']); print([m for m in sys.modules if '.' not in m])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    imported = output.splitlines()[-1]
    for module in ("torch", "lightly", "timm", "hydra", "rich", "pydantic", "numpy"):
        assert f"'{module}'" not in imported


@pytest.mark.parametrize("command", [["ssl_zoo", "--help"], ["ssl_zoo", "train", "--help"], ["ssl_zoo"]])
def test_module_runs(command: list[str]) -> None:
    run = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=True)
    assert "ssl-zoo train" in run.stdout


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tran"]) == 2
    assert "did you mean 'train'" in capsys.readouterr().err


def test_config_prints_what_would_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "method=byol", "epochs=7"]) == 0
    printed = capsys.readouterr().out
    assert "name: byol" in printed
    assert "epochs: 7" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "simsiam"),
        (["methods"], "info_nce"),
        (["backbones", "resnet1*"], "resnet18"),
        (["data"], "digits"),
        (["sources"], "imagefolder"),
        (["formats"], "onnx"),
        (["metrics"], "output std ratio"),
    ],
)
def test_list(arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *arguments]) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["backbones", "zzz"], ["methods", "zzz"], ["a", "b", "c"]]
)
def test_list_of_what_is_not_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *arguments]) == 2
    assert capsys.readouterr().err.startswith("ssl-zoo: ")


def test_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "precision=auto" in printed
    assert "torch" in printed
    assert main(["doctor", "x=1"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["method=simsaim"], "did you mean 'simsiam'"),
        (["method.stop_gradent=true"], "did you mean 'method.stop_gradient'"),
        (["epochs=many"], "whole number"),
        (["optimizer.lr=-1"], "greater than 0"),
        (["batch_size=100000"], "batch_size must be at most the number of training images, 160"),
        (["batch_size=64", "trainer.accumulate=3"], "received 64 * trainer.accumulate=3"),
        (["batch_size=2", "trainer.accumulate=100"], "set trainer.accumulate=1 and batch_size=40"),
        (["trainer.threads=100000"], "at most the number of cores"),
        (["run_dir=empty/../file/x"], "a file"),
        (["run_dir=mixed", "resume=auto"], "holds files but no run"),
        (["method=byol", "method.stop_gradient=false"], "contradicts"),
        (["backbone.name=resnet1"], "unknown backbone 'resnet1'"),
        (["backbone.name=test_vit"], "stem=small"),
        (["monitor.knn.k=1000"], "monitor.knn.k must be at most"),
        (["data.limit=100000"], "data.limit"),
        (["trainer.accelerator=gpu"], "not on this machine"),
        (["precision=fp16", "trainer.accelerator=cpu"], "needs a GPU"),
        (["precision=bf16", "trainer.accelerator=cpu", "augment.size=4"], "strides over single pixels"),
        (["resume=missing.ckpt"], "does not exist"),
        (["data=imagefolder", "data.train=missing"], "missing"),
        (["data=imagefolder", "data.train=empty"], "empty"),
        (["data=imagefolder", "data.train=mixed"], "notes.txt"),
        (["data=imagefolder"], "data.train"),
    ],
)
def test_wrong_input_exits_2_with_one_message_and_creates_nothing(
    wrong: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "mixed" / "notes.txt").write_text("no image")
    before = sorted(tmp_path.rglob("*"))
    if wrong[0] == "trainer.accelerator=gpu":
        import torch

        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    base = [
        override
        for override in overrides()
        if not (override.startswith("data") and "data=imagefolder" in wrong)
    ]
    base = [
        override
        for override in base
        if not override.startswith("method=") or not wrong[0].startswith("method=")
    ]
    assert main(["train", *base, "run_dir=run", *wrong]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.startswith("ssl-zoo: ")
    assert len(captured.err.strip().splitlines()) == 1
    assert "Traceback" not in captured.err
    assert sorted(tmp_path.rglob("*")) == before, "nothing may be created"


@pytest.mark.slow
def test_doctor_measures_the_speed_of_a_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--speed", *overrides("simsiam")]) == 0
    shown = capsys.readouterr().out
    assert "views/s" in shown
    assert "bottleneck" in shown
    assert "s for 160 images" in shown
    assert "MiB at most" in shown
    assert main(["doctor", "--speed", *overrides("simsiam", "optimizer.lr=1e30")]) == 2
    assert "lower optimizer.lr" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert main(["doctor", "--speed", "method=simsia"]) == 2


@pytest.mark.parametrize("width", [40, 80, 120])
def test_usage_is_read_at_any_width(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No line is wider than the terminal but for a long command, and none holds a few letters alone."""
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([]) == main(["help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= width or "  ssl-zoo " in line[:10] for line in lines)
    assert len(lines) < {40: 150, 80: 100, 120: 60}[width]


def test_alone_it_says_where_to_begin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert len(lines) == 5
    assert all(line.startswith("  ssl-zoo ") for line in lines)
    for line in lines:
        command = [word for word in re.split("  +", line.strip())[0].split() if "FOLDER" not in word]
        if command[1] == "train":
            compose([word for word in command[2:] if word != "data=imagefolder"])


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_every_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for command in ([verb, "--help"], [verb, "-h"], ["help", verb], ["--help", verb]):
        assert main(command) == 0
        texts.append(capsys.readouterr().out)
    assert len(set(texts)) == 1
    assert texts[0].startswith(f"  ssl-zoo {verb} ")
    assert main(["help"]) == 0
    whole = capsys.readouterr().out
    usage = texts[0].split("\n\n")[0]
    assert usage in whole


@pytest.mark.skipif(sys.version_info < (3, 11), reason="errors take no notes")
def test_a_traceback_ends_by_the_line_of_the_plugin_that_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "someones_plugin.py").write_text("def loss(overrides):\n    return overrides.no_such_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugin = importlib.import_module("someones_plugin")
    point = EntryPoint("mine", "someones_plugin:loss", "ssl_zoo.methods")
    monkeypatch.setattr("ssl_zoo.registry.plugins", lambda: [point])
    monkeypatch.setitem(VERBS, "train", lambda overrides: plugin.loss(overrides))
    with pytest.raises(AttributeError) as raised:
        main(["train", "method=mine"])
    assert vars(raised.value)["__notes__"] == [f"in the plugin someones_plugin: {plugin.__file__}, line 2"]
