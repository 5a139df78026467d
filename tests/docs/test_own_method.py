"""The package that docs/tutorials/your-own-method.md has a reader write, written from the page and used."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ssl_zoo
from ssl_zoo.config.registries import METHODS
from ssl_zoo.testing import check_clauses

PAGE = (Path(__file__).parents[2] / "docs" / "tutorials" / "your-own-method.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```", PAGE, re.S | re.M))
CLAUSES = ("composes", "cites", "gradients", "two_processes")


@pytest.fixture
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Writes the page's files, and what pip would announce of their entry points."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "my_methods" / "__init__.py").touch()
    points = re.search(r'entry-points\."(ssl_zoo\.methods)"\]\n(\w+) = "([\w.]+)"', FILES["pyproject.toml"])
    assert points is not None
    info = tmp_path / "my_methods-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-methods\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[{points[1]}]\n{points[2]} = {points[3]}\n")
    METHODS.all()  # what is imported for the first time here would be forgotten after the test
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_methods"]:
        del sys.modules[name]


@pytest.mark.usefixtures("_installed")
def test_the_method_keeps_the_contract_and_trains(tmp_path: Path) -> None:
    outcomes = {checked.clause: checked.outcome for checked in check_clauses("wmse", clauses=CLAUSES)}
    assert outcomes == dict.fromkeys(CLAUSES, "ok")
    result = ssl_zoo.train(
        ["method=wmse", "epochs=1", f"run_dir={tmp_path / 'run'}", "trainer.progress=false", "data.limit=320"]
    )
    assert result.steps == 5
    assert 0 < result.loss < 4  # a squared distance on the unit sphere


@pytest.mark.usefixtures("_installed")
def test_without_gather_the_check_names_it(tmp_path: Path) -> None:
    """What the page says of the line that is easily forgotten."""
    file = tmp_path / "my_methods" / "wmse.py"
    file.write_text(file.read_text().replace("gather(z.float())", "z.float()"))
    [checked] = check_clauses("wmse", clauses=["two_processes"])
    assert checked.outcome == "broken"
    assert "gather with ssl_zoo.gather" in checked.sentence
