"""What is printed: users' text as it is, no control characters, and streams that are closed, cut off or plain ASCII."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from rich.panel import Panel
from rich.table import Table

from ssl_zoo.cli.main import main
from ssl_zoo.errors import UserError, printable, shortened
from ssl_zoo.terminal.console import Console, styled
from ssl_zoo.terminal.progress import bar_of
from ssl_zoo.training.progress import TrainingProgress

pytestmark = [pytest.mark.slow, pytest.mark.processes]

HOSTILE = "r[/red] [bold]x :smile: \x1b[31m"
SHOWN = "r[/red] [bold]x :smile: \\x1b[31m"


def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    table = Table(title=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    for thing in (HOSTILE, styled((HOSTILE, "bold")), table, Panel(HOSTILE, title=styled(HOSTILE))):
        console.print(thing)
        printed = capsys.readouterr().out
        assert SHOWN in printed
        assert "\x1b[31m" not in printed


def test_a_bar_shows_text_as_it_is() -> None:
    bar = bar_of("epoch", Console())
    bar.add_task("[/red]", total=1)
    with bar.console.capture() as shown:
        bar.console.print(bar)
    assert "[/red]" in shown.get()


def test_a_heading_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    TrainingProgress(1).heading(HOSTILE, f" · {'long ' * 100}")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_messages_are_bounded_and_escaped() -> None:
    message = str(UserError(f"must be short; received '{'x' * 100_000}\x1b[2J\u202e'; shorten it"))
    assert message.startswith("must be short; received 'xxx")
    assert message.endswith("; shorten it")
    assert "\\x1b[2J\\u202e" in message
    assert len(message) < 400
    assert len(str(UserError("many words " * 100_000))) == 4000
    assert str(UserError("two\nlines, ± é")) == "two\nlines, ± é"
    assert printable("\x07\x9b\udcff") == "\\x07\\x9b\\udcff"
    assert shortened("abc", 3) == "abc"


@pytest.mark.parametrize(("kind", "sentence"), [("suites", "reproductions"), ("recipes", "digits")])
def test_list_wraps_sentences_and_cuts_none(
    kind: str, sentence: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["list", kind]) == 0
    whole = capsys.readouterr().out
    assert sentence in whole
    monkeypatch.setattr(Console, "is_terminal", True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    assert main(["list", kind]) == 0
    narrow = capsys.readouterr().out
    assert max(map(len, narrow.splitlines())) <= 100
    assert sorted(narrow.split()) == sorted(whole.split())


def _entry(*arguments: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The console script in a process of its own, which prints what tests of streams need and imports no torch."""
    code = f"import sys; from ssl_zoo.cli import main as cli; {before or 'pass'}; cli.entry()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, env={**os.environ, **environment})


PRINTS = "cli.VERBS['list'] = lambda _: __import__('ssl_zoo.terminal.console', fromlist=['x']).Console().print('± · ✓')"


def test_ascii_streams_print_plain_letters() -> None:
    done = _entry("list", before=PRINTS, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"+/- | ok\n", b"")
    done = _entry("lïst", PYTHONIOENCODING="ascii")
    assert done.stderr.startswith(b"ssl-zoo: unknown verb 'l\\xefst'")


@pytest.mark.parametrize("overrides", [("list",), ("config",), ("--help",), ("unknown",)])
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX shells alone close and cut streams this way")
def test_closed_and_cut_off_streams(overrides: tuple[str, ...]) -> None:
    prints = PRINTS + "; cli.VERBS['config'] = lambda overrides: cli.streams.write('x' * 100_000)"
    code = f"import sys; from ssl_zoo.cli import main as cli; {prints}; cli.entry()"
    run = [sys.executable, "-c", code, *overrides]
    expected = 2 if overrides == ("unknown",) else 0
    closed = ["sh", "-c", '"$@" >&-', "sh", *run]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True)
    assert done.returncode == expected
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == (overrides == ("unknown",))
    all_closed = ["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *run]
    assert subprocess.run(all_closed).returncode == expected
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(run, stdout=writer, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (expected, overrides == ("unknown",))
        assert subprocess.run(run, stdout=writer, stderr=writer).returncode == expected
    finally:
        os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has /dev/full")
@pytest.mark.parametrize("verb", ["--help", "list"])
def test_a_full_disk_behind_stdout(verb: str) -> None:
    code = f"import sys; from ssl_zoo.cli import main as cli; {PRINTS}; cli.entry()"
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code, verb], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 1
    assert done.stderr.startswith("ssl-zoo: ")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1
