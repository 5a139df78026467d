"""The notebooks of the tutorials run to their end, with one epoch in place of those that their saved outputs show."""

from __future__ import annotations

from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.ipynb"))
LARGEST = 100_000  # bytes, outputs included: no pictures of a megabyte
NAMES = [file.stem for file in NOTEBOOKS]


def test_there_are_three_and_each_has_its_page() -> None:
    assert NAMES == ["folder-to-backbone", "see-collapse", "your-own-method"]
    for file in NOTEBOOKS:
        assert f"({file.name})" in file.with_suffix(".md").read_text(), f"{file.stem}.md links its notebook"


@pytest.mark.parametrize("file", NOTEBOOKS, ids=NAMES)
def test_what_is_saved_is_small_and_whole(file: Path) -> None:
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.read(file, as_version=4)
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    assert file.stat().st_size < LARGEST
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run from top to bottom"
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("file", NOTEBOOKS, ids=NAMES)
def test_it_runs(file: Path, tmp_path: Path) -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    book = nbformat.read(file, as_version=4)
    settings = next(cell for cell in book.cells if cell.cell_type == "code")
    assert settings.source.startswith("EPOCHS = ")
    settings.source = "EPOCHS = 1"
    client = nbclient.NotebookClient(book, timeout=None, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()  # raises the error of a cell
