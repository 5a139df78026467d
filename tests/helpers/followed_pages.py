"""A reader who follows a page: each command is composed as it stands, and done with small settings where that is cheap.

A command that is only composed matches a line of `COMPOSED`, which gives the reason; every other one is done.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import io
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from PIL import Image
from torchvision.datasets import ImageFolder

import ssl_zoo
from helpers.documents import Step
from helpers.left_out import (
    COMPOSED,
    FRAGMENTS,
    NO_WORK,
    NOT_FOLLOWED,
    PLACEHOLDERS,
    REFUSED,
    WORK,
    reason_in,
    small,
)
from helpers.page_checks import Problem, check_keys, check_names, parse_module
from helpers.page_supplies import Supplies, draw_images
from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS


class Reader:
    """Follows the steps of a page in the working directory, which must be empty.

    Args:
        store: folder of prepared things, shared by all pages.
    """

    def __init__(self, store: Path) -> None:
        self.supplies = Supplies(store)
        self.names = dict[str, Any]()  # of the page's Python

    def follow(self, steps: Sequence[Step]) -> None:
        """Does all steps in order.

        Raises:
            Problem: some of them cannot be done.
        """
        problems = []
        for step in steps:
            try:
                getattr(self, f"_{step.kind}")(step)
            except Problem as problem:
                problems.append(str(problem))
            except Exception as error:
                problems.append(f"{step.page}: {step.text}\n{type(error).__name__}: {error}")
        if problems:
            raise Problem("\n".join(problems))

    def compose(self, steps: Sequence[Step]) -> None:
        """Composes commands, and does none."""
        for step in steps:
            arguments = [_place(word) for word in step.words[1:]]
            self.supplies.provide(arguments)
            self._composed(arguments, step)

    def _file(self, step: Step) -> None:
        file = Path(step.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.text)

    def _inline(self, step: Step) -> None:
        """Looks whether verb, keys and names exist; much of a sentence's command is left out."""
        words = [
            PLACEHOLDERS.get(word, word) for word in step.words if not re.search(r"…|OVERRIDES|=NAME$", word)
        ]
        if module := re.search(r"-m (ssl_zoo\.\S+)", step.text):
            parse_module(words[words.index(module[1]) :], step, whole=False)
            return
        arguments = words[words.index("ssl-zoo") + 1 :]
        if {"--help", "--json"} & {*arguments}:
            self._call(
                ["list", "--help"] if arguments[0].startswith("--") else [arguments[0], "--help"], step
            )
        elif arguments[0] not in (*VERBS, "help"):
            raise Problem(f"{step.page}: there is no verb '{arguments[0]}': {step.text}")
        elif arguments[0] in ("list", "config", "doctor", "completion") and len(arguments) > 1:
            self._composed(arguments, step)
        else:
            check_keys(arguments, step)

    def _command(self, step: Step) -> None:
        words = [_place(word) for word in step.words if word != "…"]
        if module := re.search(r"-m (ssl_zoo\.\S+)", step.text):
            parse_module(words[words.index(module[1]) :], step)
            return
        name = "ssl_zoo" if "ssl_zoo" in words else next(word for word in words if word.endswith("ssl-zoo"))
        arguments = words[words.index(name) + 1 :]
        if reason_in(NOT_FOLLOWED, step.text):
            if reason_in(NOT_FOLLOWED, step.text) not in REFUSED:
                check_keys(arguments, step)
            return
        with mock.patch.dict("os.environ", step.environment):
            self.supplies.provide(arguments)
            self._composed(arguments, step)
            if arguments and arguments[0] not in NO_WORK and not reason_in(COMPOSED, step.text):
                self._call(small(arguments), step)

    def _python(self, step: Step) -> None:
        tree = ast.parse(step.text)
        check_names(tree, step)
        if any(re.search(pattern, f"{step.page}\n{step.text}") for pattern in FRAGMENTS):
            return
        if not self.names:
            images = self.supplies.made("images", draw_images)
            with Image.open(next(images.rglob("*.png"))) as picture:
                picture.load()
            self.names |= {"dataset": ImageFolder(str(images)), "labelled_test_set": ImageFolder(str(images))}
            self.names |= {"image": picture, "__name__": "__main__", "ssl_zoo": ssl_zoo}
        for path in re.findall(r'"(?:run=)?(runs/[\w/-]+)"', step.text):
            if f"run_dir={path}" not in step.text:
                self.supplies.run(Path(path))
        with contextlib.ExitStack() as stack:
            for name in ("train", "evaluate", "embed"):
                shortened = _made_small(getattr(ssl_zoo, name), name)
                stack.enter_context(mock.patch.object(ssl_zoo, name, shortened, create=True))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            exec(compile(tree, step.page, "exec"), self.names)

    def _composed(self, arguments: list[str], step: Step) -> None:
        with contextlib.ExitStack() as stack:
            for work in WORK:
                module, _, name = work.rpartition(".")
                stack.enter_context(mock.patch.object(importlib.import_module(module), name))
            stack.enter_context(mock.patch("os.cpu_count", return_value=64))
            if "slurm" not in step.text:
                node = {"NODE_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
                stack.enter_context(mock.patch.dict("os.environ", node))
            planned = arguments[:1] == ["bench"] and len(arguments) > 1 and "dry_run=true" not in arguments
            more = ["dry_run=true"] if planned else []
            self._call([*arguments, *more], step)

    def _call(self, arguments: Sequence[str], step: Step) -> None:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = main([*arguments])
        if status != 0:
            raise Problem(
                f"{step.page}: {step.text}\nended with status {status}: {errors.getvalue()[-1500:]}"
            )


def _place(word: str) -> str:
    """Returns a word with a place of the working directory for one that the page leaves open."""
    other = "others" if word.startswith("data.test") else "dots"
    return word.replace("…", other).replace("=/shared/", "=shared/")


def _made_small(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(overrides: Sequence[str] = (), *arguments: Any, **more: Any) -> Any:
        if "data" in more and more["data"] is not None:
            overrides = [*overrides, "data.workers=0"]
        return function(small([name, *overrides])[1:] if name == "train" else overrides, *arguments, **more)

    return call


def yaml_commands(root: Path) -> Iterator[Step]:
    """Yields the commands in the headers of the YAML files."""
    for file in sorted(root.rglob("*.yaml")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if command := re.match(r"# (ssl-zoo (?:train|eval|bench) .*?)(?: {3,}.*)?$", line):
                yield Step(f"{file.relative_to(root.parent)}:{number}", "command", command[1])
