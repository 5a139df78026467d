"""The scripts of examples/lightly run, and what is counted of them."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from ssl_zoo.benchmarks.lightly_scripts import SCRIPTS, table

EXAMPLES = Path(__file__).parents[2] / "examples" / "lightly"
NAMES = sorted({script.name for script in SCRIPTS})


def test_all_scripts_are_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} - {"digits"} == set(NAMES)
    for script in SCRIPTS:
        assert script.fault in (EXAMPLES / f"{script.name}.py").read_text(encoding="utf-8"), script


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Lightning's
@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_each_script(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    monkeypatch.chdir(tmp_path)
    try:
        monkeypatch.setattr(importlib.import_module("digits").Digits, "__len__", lambda self: 64)
        diagnosis = importlib.import_module(name).train(epochs=1, quiet=True)
    finally:
        for module in ("digits", name):
            sys.modules.pop(module, None)
    assert diagnosis.epochs == 1
    assert diagnosis.images == 64
    assert bool(diagnosis.evidence)


def test_false_alarms_and_misses_are_counted() -> None:
    def outcome(name: str, fault: str, verdict: str, cause: str | None = None) -> dict[str, Any]:
        return {"name": name, "fault": fault, "verdict": verdict, "said_cause": cause}

    page = table(
        [outcome("simclr", "", "healthy"), outcome("simclr", "", "collapsed"),
         outcome("simsiam", "no-stop-gradient", "collapsed", "no stop-gradient: so"),
         outcome("simsiam", "no-stop-gradient", "healthy")]
    )  # fmt: skip
    assert "| `simclr.py` | none | 2 | 1 healthy, 1 collapsed |  | 1 |" in page
    assert "| 2 | 1 collapsed, 1 healthy | no stop-gradient: 1 of 2 | 1 |" in page
    assert page.endswith("False alarms: 1 of 2.\nMissed faults: 1 of 2.")
