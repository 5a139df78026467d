"""One file imports lightly, and names what is missing where a lightly differs."""

from __future__ import annotations

import ast
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from ssl_zoo import UserError, from_lightly
from ssl_zoo.config.schema.criterion import CRITERIA

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("ssl_zoo", "methods", "benchmarks") for path in (ROOT / room).rglob("*.py")]


def imports_lightly(path: Path) -> bool:
    """Whether a statement or a call to `import_module` in a file names lightly."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else []
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            names = [ast.literal_eval(node.args[0])] if isinstance(node.args[0], ast.Constant) else []
        else:
            continue
        if any(name.partition(".")[0] == "lightly" for name in names):
            return True
    return False


def test_one_file_imports_lightly() -> None:
    assert [path.relative_to(ROOT).as_posix() for path in FILES if imports_lightly(path)] == [
        "ssl_zoo/from_lightly.py"
    ]


@pytest.mark.parametrize("name", [*from_lightly.HOMES])
def test_every_name_is_there(name: str) -> None:
    assert getattr(from_lightly, name).__name__ == name


def test_every_loss_that_a_configuration_may_name_is_listed() -> None:
    assert set(CRITERIA) <= set(from_lightly.HOMES)
    assert set(from_lightly.__all__) <= set(from_lightly.HOMES)


def test_a_name_that_is_not_listed_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'SwaVLoss'"):
        from_lightly.SwaVLoss  # noqa: B018


def test_a_lightly_without_a_name_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("lightly.loss.VICRegLoss")
    with pytest.raises(
        UserError, match=r"takes VICRegLoss from lightly\.loss, of lightly>=1\.6,<2; received"
    ):
        from_lightly.__getattr__("VICRegLoss")


def test_no_lightly_is_said_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise PackageNotFoundError(package)

    monkeypatch.setitem(sys.modules, "lightly.loss", None)  # so that its import fails
    monkeypatch.setattr(from_lightly, "version", missing)
    with pytest.raises(UserError, match=r"received no lightly; run pip install 'lightly>=1\.6,<2'"):
        from_lightly.__getattr__("VICRegLoss")


def test_the_requirement_is_that_of_the_package() -> None:
    assert f'"{from_lightly.REQUIREMENT}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
