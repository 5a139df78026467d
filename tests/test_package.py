"""What the package promises about itself: its folders, its public names, its README."""

from __future__ import annotations

import itertools
import pkgutil
import pydoc
import re
from pathlib import Path

import pytest

import ssl_zoo
from ssl_zoo.config import compose

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_every_folder_of_code_is_installed() -> None:
    listed = set(re.findall(r'^    "(ssl_zoo[\w.]*)",$', (ROOT / "pyproject.toml").read_text(), re.M))
    folders = {file.parent for file in (ROOT / "ssl_zoo").rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    rooms = {file.parent.relative_to(ROOT).parts for file in (ROOT / "configs").rglob("*.yaml")}
    rooms.add(("benchmarks", "suites"))
    yaml = {".".join(("ssl_zoo", *parts)) for parts in rooms}
    assert listed == names | yaml | {
        "ssl_zoo.methods",
        "ssl_zoo.configs",
        "ssl_zoo.benchmarks",
        "ssl_zoo.benchmarks.speed",
        "ssl_zoo.configs.recipe",
    }


def test_public_names_are_there() -> None:
    for name in ssl_zoo.__all__:
        assert getattr(ssl_zoo, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        ssl_zoo.nonsense  # noqa: B018


WRONG = {
    "bench": ["suite=nonsense"],
    "build_method": ["method=nonsense"],
    "compose": ["method=nonsense"],
    "embed": ["run=nowhere", "out=features.npy"],
    "evaluate": ["run=nowhere", "protocol=knn"],
    "export": ["run=nowhere", "format=timm"],
    "load_backbone": "nowhere",
    "open_run": "nowhere",
    "report": ["run=nowhere"],
    "train": ["method=nonsense"],
}


def test_public_functions_can_be_called_after_one_another() -> None:
    """The import of a module must not take the place of a function of that name, as `report` once did."""
    for name in (one for pair in itertools.permutations(WRONG, 2) for one in pair):
        with pytest.raises(ssl_zoo.UserError, match=r"nonsense|nowhere"):
            getattr(ssl_zoo, name)(WRONG[name])


def test_no_public_name_is_that_of_a_module() -> None:
    rooms = {"methods", "configs", "benchmarks"}
    assert not (rooms | {module.name for module in pkgutil.iter_modules(ssl_zoo.__path__)}) & set(
        ssl_zoo.__all__
    )


def test_dir_and_help_know_the_public_names() -> None:
    assert set(ssl_zoo.__all__) <= set(dir(ssl_zoo))
    text = pydoc.plain(pydoc.render_doc(ssl_zoo))
    assert all(re.search(rf"^    (class )?{name}\(", text, re.M) for name in ssl_zoo.__all__)


def test_every_command_of_the_readme_composes() -> None:
    swaps = re.findall(r"\| `(method=[^`]+)` \|", README)
    commands = re.findall(r"ssl-zoo train ((?:[\w.]+=\S+ ?)+)", README)
    assert len(swaps) >= 11
    assert len(commands) >= 4
    for words in (*swaps, *commands):
        parts = words.split()
        if "barlowtwins" not in words and "data=pets" not in words:
            compose(parts)


def test_links_of_the_documents_lead_somewhere() -> None:
    for document in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
            if not link.startswith("http"):
                assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_only_the_equation_detaches() -> None:
    """Stop-gradient has one place: no loss part and no method file hides another."""
    for file in [*(ROOT / "ssl_zoo" / "parts").glob("*.py"), *(ROOT / "methods").glob("*.py")]:
        code = re.sub(r'""".*?"""|#[^\n]*', "", file.read_text(), flags=re.S)
        for found in re.findall(r"\.detach\(|no_grad|\.data\b|inference_mode", code):
            allowed = {
                "assignment.py": ("no_grad", ".detach("),
                **dict.fromkeys(("batchnorm.py", "fifo.py", "memory.py"), ("no_grad",)),
            }  # weights and buffers
            assert found in allowed.get(file.name, ()), f"{file.name}: {found}"
