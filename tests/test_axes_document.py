"""docs/axes.md is made from the list in axes.py, which names a test for each axis and leaves no key out.

SSL_ZOO_WRITE=1 pytest tests/test_axes_document.py     writes it anew
"""

from __future__ import annotations

import ast
import dataclasses
import os
import typing
from pathlib import Path

import pytest
from helpers.axes import AXES, Axis

from ssl_zoo.config.schema import AugmentConfig, OptimizerConfig, SiameseConfig
from ssl_zoo.config.validate import keys

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "axes.md"
HEADING = """\
# Axes

Every switch of a run, made by `tests/test_axes_document.py` from the list in `tests/helpers/axes.py`. The tests in the
last column prove that the switch changes the computation as the paper says: against a closed form, an independent
reference written from the paper ([tests/reference](../tests/reference)), or a gradient. Figures in parentheses are
the papers' (linear top-1 on ImageNet in per cent), not ours. Keys of `method.` stand without it.

One training step of each method as its paper defines it, with fixed weights and views, equals an independent
reference in loss, gradients and updated weights: `test_step.py::test_steps_are_the_papers`. Contradictory settings
are refused with the reason: `test_equation.py::test_contradictions_are_refused_with_the_reason`,
`test_axes.py::test_contradictions`.
"""
ALL = [axis for group in AXES.values() for axis in group]
IDS = [axis.keys[0] for axis in ALL]


def render() -> str:
    lines = [HEADING]
    for title, axes in AXES.items():
        lines += [
            f"## {title}",
            "",
            "| axis | values | what it does | paper and rows | proved by |",
            "|---|---|---|---|---|",
        ]
        for axis in axes:
            names = "<br>".join(f"`{key.removeprefix('method.')}`" for key in axis.keys)
            tests = "<br>".join(f"`{test}`" for test in axis.tests)
            cells = (
                names,
                axis.values.replace("|", "\\|"),
                axis.what.replace("|", "\\|"),
                axis.source,
                tests,
            )
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def test_the_document_is_that_of_the_list() -> None:
    if os.environ.get("SSL_ZOO_WRITE"):
        DOCUMENT.write_text(render())
    assert DOCUMENT.read_text() == render(), (
        "write it anew: SSL_ZOO_WRITE=1 pytest tests/test_axes_document.py"
    )


@pytest.mark.parametrize("axis", ALL, ids=IDS)
def test_the_tests_named_are_there(axis: Axis) -> None:
    assert axis.tests
    for name in axis.tests:
        file, _, function = name.partition("::")
        tree = ast.parse((HERE / file).read_text())
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name


@pytest.mark.parametrize("axis", ALL, ids=IDS)
def test_every_choice_of_a_key_is_named(axis: Axis) -> None:
    for key in axis.keys:
        for choice in _choices(key):
            assert choice in axis.values.replace(";", ",").replace(",", " ").split(), f"{key}={choice}"


def test_no_axis_is_left_out() -> None:
    """Every key of the method, the optimizer and the views stands in the table, itself or its section."""
    listed = {key for axis in ALL for key in axis.keys}
    assert len(listed) == sum(len(axis.keys) for axis in ALL), "a key stands twice"
    there = {
        *keys(SiameseConfig, "method"),
        *keys(OptimizerConfig, "optimizer"),
        *keys(AugmentConfig, "augment"),
    }
    sections = {key for key in there if any(other.startswith(f"{key}.") for other in there)}
    leaves = there - sections - {"method.name"}
    assert {
        leaf for leaf in leaves if not any(leaf == key or leaf.startswith(f"{key}.") for key in listed)
    } == set()
    assert listed - there - {"trainer.accumulate"} == set()


def _choices(key: str) -> list[str]:
    """The values of a key that takes one of some words."""
    section, *path = key.split(".")
    cls: type = {"method": SiameseConfig, "optimizer": OptimizerConfig, "augment": AugmentConfig}.get(
        section, object
    )
    for depth, name in enumerate(path):
        if not dataclasses.is_dataclass(cls):
            return []
        hint = typing.get_type_hints(cls)[name]
        if depth < len(path) - 1:
            cls = hint
            continue
        parts = [hint, *typing.get_args(hint)]
        return [
            override
            for part in parts
            if typing.get_origin(part) is typing.Literal
            for override in typing.get_args(part)
        ]
    return []
