"""Counts before a verb knows how much there is to do."""

from __future__ import annotations

import pytest

from ssl_zoo.terminal import counting as module
from ssl_zoo.terminal.console import Console
from ssl_zoo.terminal.counting import counting, note, showing_counts


def _count(shown: bool) -> None:
    with showing_counts(shown), counting("scanned {:,} files") as count:
        count(1000)
        count(500)
    note("after the block")


def test_notes(capsys: pytest.CaptureFixture[str]) -> None:
    for shown in (True, False):
        with showing_counts(shown):
            note("as it was")
    assert capsys.readouterr().err == "as it was\n"


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(module, "LINE_SECONDS", 0.0)
    _count(shown=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["scanned 1,000 files", "scanned 1,500 files", "scanned 1,500 files in 0 s"]


def test_what_takes_a_moment_prints_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 1e9)
    _count(shown=True)
    assert capsys.readouterr().err == ""


def test_silence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_SECONDS", 0.0)
    _count(shown=False)
    with counting("{} of nobody who asked") as count:
        count(1)
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_the_count_at_once_and_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Line:
        def __init__(self, text: str) -> None:
            self.texts = [text]

        def __enter__(self) -> Line:
            return self

        def __exit__(self, *error: object) -> None:
            self.texts.append("gone")

        def update(self, text: str) -> None:
            self.texts.append(text)

    lines: list[Line] = []

    class Terminal(Console):
        is_terminal = redraws = True

        def status(self, text: str) -> Line:  # type: ignore[override]
            lines.append(Line(text))
            return lines[-1]

    monkeypatch.setattr(module, "Console", Terminal)
    monkeypatch.setattr(module, "REFRESH_SECONDS", 0.0)
    _count(shown=True)
    (line,) = lines
    assert line.texts == ["scanned 0 files", "scanned 1,000 files", "scanned 1,500 files", "gone"]
    assert capsys.readouterr().err == "", "nothing is left behind"
