"""docs/architecture.md names the rooms that exist, in the order that import-linter checks; no import dodges it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from importlinter.api import read_configuration

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs" / "architecture.md"
FILES = sorted(path for room in ("ssl_zoo", "methods") for path in (ROOT / room).rglob("*.py"))

# Files that may import ssl_zoo inside a function, with the reason. The command line may anywhere.
LAZY = {
    "ssl_zoo/__init__.py": "the public names are imported when first used",
    "ssl_zoo/registry.py": "what is registered is imported when first asked for",
    "ssl_zoo/config/registries.py": "so are the image defaults of a data source, as they import torch",
    "ssl_zoo/from_lightly.py": "lightly is imported when first used, as it imports torch",
}


def contract() -> list[tuple[int, str]]:
    """Number of the layer and name of each room, by pyproject.toml."""
    contracts = read_configuration(str(ROOT / "pyproject.toml"))["contracts_options"]
    layers = next(each["layers"] for each in contracts if each["type"] == "layers")
    return [
        (number, room.strip(" ()").removeprefix("ssl_zoo."))
        for number, layer in enumerate(layers, 1)
        for room in re.split("[|:]", layer)
    ]


def test_the_document_lists_the_layers_of_the_contract() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", DOCUMENT.read_text(), re.MULTILINE)
    assert [(int(number), room) for number, room in rows] == contract()


def test_every_room_has_its_layer() -> None:
    rooms = {path.stem for path in (ROOT / "ssl_zoo").iterdir() if path.is_dir() or path.suffix == ".py"}
    rooms -= {"__init__", "__main__", "__pycache__"}
    assert rooms | {"methods", "metrics"} == {room for _, room in contract()}


@pytest.mark.parametrize(
    "reference", sorted(set(re.findall(r"`([\w/]+\.py::[\w.]+)`", DOCUMENT.read_text())))
)
def test_every_function_that_the_document_names_exists(reference: str) -> None:
    file, _, name = reference.partition("::")
    scope: ast.AST = ast.parse((ROOT / "ssl_zoo" / file).read_text())
    for part in name.split("."):
        named = [node for node in ast.iter_child_nodes(scope) if getattr(node, "name", None) == part]
        assert named, f"{file} has no {part}"
        scope = named[0]


def test_the_map_of_the_house_is_true() -> None:
    tree = (
        (ROOT / "CONTRIBUTING.md")
        .read_text(encoding="utf-8")
        .partition("## Map of the house")[2]
        .partition("\n\n[")[0]
    )
    folders = re.findall(r"^    ([\w.]+)/", tree, re.M)
    assert [name for name in folders if not (ROOT / name).is_dir()] == []
    assert len(folders) > 5


def lazy_imports(path: Path) -> Iterator[str]:
    """The statements inside functions that import a module of this package, by name or by `import_module`."""
    for function in ast.walk(ast.parse(path.read_text())):
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""] if node.level == 0 else ["ssl_zoo"]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                argument = node.args[0]  # a name that is computed may be any
                names = [str(argument.value) if isinstance(argument, ast.Constant) else "ssl_zoo"]
            else:
                continue
            if any(name.partition(".")[0] == "ssl_zoo" for name in names):
                yield f"{function.name}: {ast.unparse(node)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_import_inside_a_function_dodges_the_layers(path: Path) -> None:
    name = str(path.relative_to(ROOT))
    if not name.startswith("ssl_zoo/cli/"):
        assert bool(found := list(lazy_imports(path))) == (name in LAZY), found
