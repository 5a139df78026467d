"""Every verb on terminals and pipes that cannot do much: plain encodings, 40 columns, no colours, dumb."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.runs import overrides
from PIL import Image

from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS
from ssl_zoo.terminal.console import Console
from ssl_zoo.terminal.plain import PLAIN
from ssl_zoo.terminal.progress import ProgressDisplay
from ssl_zoo.terminal.streams import open_streams

SETTINGS = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM")


class Stream(io.TextIOWrapper):
    """Stands in for stdout or stderr: a terminal or a pipe, in an encoding that refuses what it has not."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", write_through=True)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    @property
    def text(self) -> str:
        buffer: Any = self.buffer
        return str(buffer.getvalue().decode(self.encoding))


def _run(
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    encoding: str = "ascii",
    terminal: bool = True,
    status: int = 0,
    **settings: str,
) -> tuple[str, str]:
    """Runs a verb as the console script does; returns what it wrote to stdout and to stderr."""
    with monkeypatch.context() as patch:
        for name in SETTINGS:
            patch.delenv(name, raising=False)
        for name, value in {"COLUMNS": "40", "TERM": "xterm", **settings}.items():
            patch.setenv(name, value)
        out, error = Stream(encoding, terminal), Stream(encoding, terminal)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", error)
        open_streams()
        code = main(arguments)
    assert code == status, (arguments, error.text)
    assert "Traceback" not in error.text
    return out.text, error.text


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images of two classes, with a name that no plain encoding has."""
    folder = tmp_path_factory.mktemp("images") / "Ω é"
    for number in range(8):
        file = folder / f"class {number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)).save(file)
    return folder


@pytest.mark.slow
def test_every_verb(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train = overrides("simsiam", "epochs=1", "monitor.probe.draws=1", "trainer.progress=true")
    commands = {
        "train": [*train, "run_dir='runs/Ω'"],
        "eval": ["runs/Ω", "protocol=knn"],
        "report": ["runs/Ω", "samples=30"],
        "export": ["runs/Ω", "format=safetensors"],
        "embed": ["runs/Ω", "out=features.npy"],
        "shards": [f"data.train='{images}'", "out=shards"],
        "import": ["runs/Ω/export/safetensors/model.safetensors", "run_dir=runs/imported"],
        "check": ["method=simsiam", "clauses=[cites,composes]"],
        "config": ["method=byol"],
        "list": ["recipes"],
        "bench": [],
        "doctor": [],
        "completion": ["fish"],
    }
    assert commands.keys() >= VERBS.keys() - {"runs"}  # whose tests are its own
    for verb, arguments in commands.items():
        if verb == "import":
            _run(monkeypatch, verb, "missing.pth", "run_dir=runs/Ω2", status=2)
            continue
        out, _ = _run(monkeypatch, verb, *arguments, NO_COLOR="1")
        assert out.strip(), verb
        assert "\x1b[3" not in out, f"{verb} is coloured"
    assert (tmp_path / "runs/Ω/result.json").is_file()


CASES: list[dict[str, Any]] = [
    {"encoding": encoding, "terminal": terminal, **settings}
    for encoding in ("ascii", "latin-1", "cp1252", "utf-8")
    for terminal in (True, False)
    for settings in ({}, {"TERM": "dumb"}, {"NO_COLOR": "1"}, {"FORCE_COLOR": "1"})
]


def test_the_quick_verbs_in_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    letters = dict[str, str]()
    for case in CASES:
        for arguments in (
            [],
            ["help"],
            ["list", "suites", "simsiam"],
            ["config", "epochs=3"],
            ["train", "--help"],
        ):
            out, error = _run(monkeypatch, *arguments, **case)
            assert out.strip()
            assert not error
            letters[case["encoding"]] = out
            if arguments[:1] == ["list"]:
                coloured = case["terminal"] or "FORCE_COLOR" in case
                assert ("\x1b[" in out) == (coloured and case.get("TERM") != "dumb"), case
                if case["terminal"]:
                    plain = out.replace("\x1b[1m", "").replace("\x1b[0m", "")
                    assert max(map(len, plain.splitlines())) <= 40
        _, error = _run(monkeypatch, "train", "method='Ω é'", status=2, **case)
        assert error.startswith("ssl-zoo: unknown method")
        assert error.count("\n") == 1


def test_a_bar_needs_a_terminal_that_redraws(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(encoding: str, terminal: bool, **settings: str) -> str:
        with monkeypatch.context() as patch:
            for name in SETTINGS:
                patch.delenv(name, raising=False)
            for name, value in settings.items():
                patch.setenv(name, value)
            stream = Stream(encoding, terminal)
            patch.setattr(sys, "stderr", stream)
            open_streams()
            display = ProgressDisplay("epoch", 2)
            display.start()
            display.log("a line ± ·")
            is_bar = display.update(1, "half · ± done")
            display.stop()
            assert is_bar == ("\x1b[" in stream.text)
            return stream.text

    for encoding in ("ascii", "cp1252", "utf-8"):
        assert "\x1b[" in shown(encoding, True, TERM="xterm")
        for plain in (
            shown(encoding, True, TERM="dumb"),
            shown(encoding, False, TERM="xterm"),
            shown(encoding, False, TERM="xterm", FORCE_COLOR="1"),
        ):
            assert plain.encode(encoding).decode(encoding).startswith("a line ")


def test_plain_letters() -> None:
    text = "± · … − ─│╭ Ω é"
    assert text.encode("ascii", PLAIN) == rb"+/- | ... - -|+ \u03a9 \xe9"
    assert text.encode("cp1252", PLAIN).decode("cp1252") == r"± · … - -|+ \u03a9 é"
    assert text.encode("utf-8", PLAIN).decode() == text


def test_results_are_on_stdout_and_messages_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    display = ProgressDisplay("epoch", 1)
    display.log("a message")
    display.show("a result")
    Console().print("another")
    assert capsys.readouterr() == ("a result\nanother\n", "a message\n")


JSON: Mapping[str, list[str]] = {
    "list": ["suites", "simsiam_table1"],
    "bench": [],
    "config": ["method=byol"],
    "check": ["method=simsiam", "clauses=[cites]"],
    "doctor": [],
}


@pytest.mark.parametrize("verb", JSON)
def test_json_is_all_there_is_on_stdout(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, *JSON[verb], "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    if verb == "list":
        assert [entry["name"] for entry in value["suites"]] == ["simsiam_table1"]
        assert value["suites"][0]["summary"].startswith("SimSiam, Table 1")
    elif verb == "bench":
        assert "simsiam_table1" in [entry["name"] for entry in value["suites"]]
    elif verb == "config":
        assert value["method"]["name"] == "byol"
    elif verb == "check":
        assert [(entry["clause"], entry["outcome"]) for entry in value] == [("cites", "ok")]
    else:
        assert value["cpu_cores"] == os.cpu_count()
        assert {"auto", "versions", "plugins", "lacking", "extras_not_installed", "configs"} <= value.keys()


def test_from_python_too_nothing_ends_for_a_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Stream("ascii", terminal=False)
    monkeypatch.setattr(sys, "stdout", out)
    Console().print("± · é")
    assert out.text == "+/- | \\xe9\n"
