"""What the documents tell a reader to type: commands, Python, and files that the reader writes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(page for page in (ROOT / "docs").rglob("*.md") if "results" not in page.parts),
    *sorted((ROOT / "examples").rglob("*.md")),
    *(page for name in ("CONTRIBUTING", "SECURITY") if (page := ROOT / f"{name}.md").exists()),
]
SHELL = ("bash", "sh", "console", "shell")
TEXT = ("text", "json", "html", "toml", "csv", "diff", "bibtex")  # output, and files of other programs
OURS = re.compile(r"(?<![\w./-])ssl-zoo [a-z]|-m ssl_zoo(?! is)")
NAMED_FILE = re.compile(r"`([\w./-]+\.\w+)`:\s*$")


class Step(NamedTuple):
    """One thing to do, in the order of the page.

    Attributes:
        page: path below the repository, and line.
        kind: `command`, `python`, `file`, or `inline` for a command within a sentence.
        text: of the command, the code or the file.
        name: of the file.
    """

    page: str
    kind: str
    text: str
    name: str = ""

    @property
    def words(self) -> list[str]:
        """The words of a command as a shell splits them, without what stands before `ssl-zoo` or `python`."""
        words = shlex.split(re.sub(r"^source <\((.*)\)$", r"\1", self.text), comments=True)
        words = words[: next((n for n, word in enumerate(words) if word in (">", "|")), None)]
        while words and (words[0] == "$" or re.fullmatch(r"\w+=\S*", words[0])):
            del words[0]
        return words

    @property
    def environment(self) -> dict[str, str]:
        """Variables that are set before the command."""
        return dict(re.findall(r"(\w+)=(\S+) ", self.text.partition("ssl-zoo ")[0]))


def steps_of(page: Path) -> list[Step]:
    """Returns what a page tells to do."""
    return [*_steps(page.read_text(), page.relative_to(ROOT).as_posix())]


def steps_in(text: str, name: str = "page.md") -> list[Step]:
    """Returns what a text tells to do."""
    return [*_steps(text, name)]


def _steps(text: str, name: str) -> Iterator[Step]:
    before = ""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "inline":
            before = token.content
            yield from _inline(token, name)
        elif token.type in ("fence", "code_block"):
            yield from _block(token, before, name, line)


def _inline(token: Token, name: str) -> Iterator[Step]:
    line = token.map[0] + 1 if token.map else 0
    for child in token.children or []:
        if (
            child.type == "code_inline"
            and OURS.search(child.content)
            and not child.content.startswith("ssl-zoo: ")
        ):
            yield Step(f"{name}:{line}", "inline", child.content)


def _block(token: Token, before: str, name: str, line: int) -> Iterator[Step]:
    language = token.info.strip().split(" ")[0]
    named = NAMED_FILE.search(before)
    if named and language in ("yaml", "python", "toml", "bash"):
        yield Step(f"{name}:{line}", "file", token.content, named[1])
    elif language == "python":
        yield Step(f"{name}:{line}", "python", token.content)
    elif language in ("", *SHELL):
        for number, command in _commands(token.content, prompt=language == "console"):
            yield Step(f"{name}:{line + number}", "command", command)
    elif language not in (*TEXT, "yaml") and not language.startswith("{"):
        raise AssertionError(f"{name}:{line}: a block of the unknown language '{language}'")
    elif OURS.search(token.content) and language not in (*TEXT, "yaml") and "{toctree}" not in language:
        raise AssertionError(f"{name}:{line}: a command in a block of {language}")


def _commands(block: str, prompt: bool) -> Iterator[tuple[int, str]]:
    """Yields the lines with a command of ours, continued ones as one line, with their numbers in the block."""
    command, first = "", 0
    for number, line in enumerate(block.splitlines()):
        if not command:
            first = number
        if line.endswith("\\"):
            command += line[:-1].strip() + " "
            continue
        command += line.strip()
        if OURS.search(command) and not (prompt and not command.startswith("$ ")):
            yield from ((first, part.strip()) for part in command.split(" && ") if OURS.search(part))
        command = ""


FIGURE = re.compile(r"[*–-]*\d[\d.,]*( ?(%|s|±|ms|MiB|MB|h|min|GB)[\d., ±%]*)?[*]*( \\(.*\\))?")


def figures_without_command(text: str) -> list[str]:
    """Returns the headings of sections with a table of figures, and no command there or at the top of the page."""
    heading, top = "", ""
    figures, commands, lines = dict[str, int](), set[str](), text.splitlines()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "inline" and token.map and lines[token.map[0]].startswith("#"):
            heading = token.content
            top = top or heading
        elif token.type == "inline" and FIGURE.fullmatch(token.content):
            figures[heading] = figures.get(heading, 0) + 1
        if OURS.search(token.content) or "pytest" in token.content:
            commands.add(heading)
    if commands & {"", top}:
        return []
    return [heading for heading, count in figures.items() if count >= 4 and heading not in commands]
