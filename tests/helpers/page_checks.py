"""Whether keys, names and options in a document exist, without anything being done."""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import runpy
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import ssl_zoo
from helpers.documents import Step
from ssl_zoo.cli.keys import SCHEMAS, declared_keys


class Problem(AssertionError):
    """What a reader would stumble over."""


@functools.cache
def _known_keys(verb: str) -> set[str]:
    known = {key.name for name in (verb, "train") if name in SCHEMAS for key in declared_keys(name)}
    return known | {"method", "data", "recipe", "experiment", "file"}


def check_keys(arguments: Sequence[str], step: Step) -> None:
    """Every key of a command is one of its verb."""
    verb, *rest = arguments
    known = _known_keys(verb)
    for key in (word.partition("=")[0] for word in rest if re.fullmatch(r"[a-z_.]+=.*", word)):
        if key not in known and verb != "runs":
            raise Problem(f"{step.page}: {step.text}: {verb} has no key '{key}'")


def check_names(tree: ast.AST, step: Step) -> None:
    """Imported names and attributes of `ssl_zoo` exist, in code that isn't run too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if not node.module.startswith("ssl_zoo_example"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "ssl_zoo"
            and not hasattr(ssl_zoo, node.attr)
        ):
            raise Problem(f"{step.page}: ssl_zoo has no '{node.attr}'")


class _Parsed(Exception):
    """The options of a module have been read."""


def parse_module(words: Sequence[str], step: Step, *, whole: bool = True) -> None:
    """Has a module read its options; one that reads none exists at least."""
    if importlib.util.find_spec(words[0]) is None:
        raise Problem(f"{step.page}: there is no module {words[0]}")
    real = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        raise _Parsed

    source = importlib.util.find_spec(words[0])
    assert source is not None
    file = Path(str(source.origin))
    file = file.with_name("__main__.py") if file.name == "__init__.py" else file
    if "parse_args(" not in file.read_text():
        return
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse),
        mock.patch.object(sys, "argv", [*words]),
        contextlib.redirect_stderr(io.StringIO()) as errors,
        contextlib.suppress(_Parsed),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # another test may have imported the module
        try:
            runpy.run_module(words[0], run_name="__main__")
        except SystemExit as end:
            if whole or "the following arguments are required" not in errors.getvalue():
                raise Problem(f"{step.page}: {step.text}: {errors.getvalue()[-300:]}") from end
