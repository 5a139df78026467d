"""Progress in notebooks: one output that is updated."""

from __future__ import annotations

import sys
import types
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from helpers.run_folders import write_run
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.terminal import notebook
from ssl_zoo.terminal.progress import ProgressDisplay
from ssl_zoo.training.progress import TrainingProgress


class Frames:
    """Stands for IPython.display: keeps what a cell would show."""

    def __init__(self) -> None:
        self.outputs: list[list[str]] = []

    def display(self, shown: Any, *, display_id: bool = False) -> Any:
        frames = [shown._repr_html_() if display_id else shown.text]  # rich's own have both
        self.outputs.append(frames)
        return types.SimpleNamespace(update=lambda shown: frames.append(shown._repr_html_()))


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> Frames:
    shown = Frames()
    monkeypatch.setitem(sys.modules, "IPython.display", shown)  # type: ignore[arg-type]
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr(notebook, "REFRESH_SECONDS", 0.0)
    return shown


def test_there_is_one_output_with_the_bar_and_the_lines(frames: Frames) -> None:
    progress = ProgressDisplay("epoch", 3, bar=True)
    progress.start()
    for epoch in (1, 2, 3):
        assert progress.update(epoch, f"loss -0.{epoch}")
    progress.log("a <b>line</b>")
    progress.stop()
    assert len(frames.outputs) == 1
    last = ET.fromstring(frames.outputs[0][-1])
    (bar,) = last.iter("progress")
    assert (bar.get("value"), bar.get("max")) == ("3", "3")
    text = "".join(last.itertext())
    assert "epoch 3/3 · loss -0.3" in text
    assert "a <b>line</b>" in text


def test_frames_are_not_drawn_more_often_than_they_can_be_seen(
    frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notebook, "REFRESH_SECONDS", 3600.0)
    progress = ProgressDisplay("epoch", 1000)
    progress.start()
    for epoch in range(1000):
        progress.update(epoch, "")
    progress.stop()
    assert len(frames.outputs[0]) == 2  # the first, and that of the end
    assert 'value="999"' in frames.outputs[0][-1]


def test_a_bar_that_is_not_wanted_is_not_shown(frames: Frames) -> None:
    for options in ({"bar": False}, {"silent": True}):
        progress = ProgressDisplay("epoch", 3, **options)
        progress.start()
        assert not progress.update(1, "")
        progress.stop()
    assert frames.outputs == []


def test_the_time_left_of_a_run_that_goes_on_is_that_of_its_own_epochs(
    frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(notebook, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    progress = TrainingProgress(100, 90)
    progress.start()
    now[0] = 5.0
    progress.update(91, "")
    assert "epoch 91/100 · 45 s left" in frames.outputs[0][-1]


@pytest.mark.slow
def test_a_training_ends_with_its_verdict_and_leaves_the_figures_to_the_result(
    frames: Frames, tmp_path: Path
) -> None:
    result = ssl_zoo.train(overrides("simsiam", "monitor.baselines=false", f"run_dir={tmp_path / 'run'}"))
    shown = "".join(output[-1] for output in frames.outputs)
    assert result.verdict_reason in shown
    assert "next: ssl-zoo eval" in shown
    assert "effective rank" not in shown
    assert "effective rank" in result._repr_html_()


CELL = """\
import ssl_zoo
from ssl_zoo.terminal.progress import ProgressDisplay

progress = ProgressDisplay("epoch", 50)
progress.start()
for epoch in range(1, 51):
    progress.update(epoch, f"loss {epoch}")
    progress.log(f"measured in epoch {epoch}")
progress.stop()
ssl_zoo.runs("runs")["mine"]
"""


@pytest.mark.slow
@pytest.mark.processes
def test_a_notebook_has_one_bar_and_shows_a_run(tmp_path: Path) -> None:
    """The cell is executed by a kernel; what a training there shows goes through the same."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    manager = pytest.importorskip("jupyter_client.manager")
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")
    pytest.importorskip("ipykernel")

    class Kernels(manager.AsyncKernelManager):  # type: ignore[misc, name-defined]
        """Starts this interpreter, whatever kernels are installed."""

        @property
        def kernel_spec(self) -> Any:
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            return kernelspec.KernelSpec(argv=argv, display_name="this", language="python")

    write_run(tmp_path / "runs" / "mine", result={"verdict": "not learning"})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(book, timeout=300, kernel_manager_class=Kernels, resources=resources).execute()
    bar, run = book.cells[0].outputs
    assert (bar.output_type, run.output_type) == ("display_data", "execute_result")
    shown = ET.fromstring(bar.data["text/html"])
    assert [each.get("value") for each in shown.iter("progress")] == ["50"]
    assert "".join(shown.itertext()).count("measured in epoch") == 50
    assert bar.data["text/plain"].splitlines()[0].startswith("epoch 50/50 · loss 50")
    assert "! not learning" in run.data["text/html"]
