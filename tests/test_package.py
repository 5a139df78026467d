"""What the package promises about itself: its folders, its public names, its README."""

from __future__ import annotations

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
