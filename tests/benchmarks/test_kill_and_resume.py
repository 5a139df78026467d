"""The choice of variants that are killed and resumed; `training/test_kill.py` runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from ssl_zoo.benchmarks import kill_and_resume


def test_only_names_the_variants_to_run() -> None:
    every = kill_and_resume.variants(quick=False)
    assert kill_and_resume.variants(quick=False, only=["UniGrad", "inverse"]) == [
        name for name in every if name in ("UniGrad", "SimSiam, inverse predictor")
    ]
    assert kill_and_resume.variants(quick=False, only=[]) == every


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--only", "UniGrad", "--write", "docs"], "leave --quick and --only out"),
        (["--only", "UniGard"], "no variant's name contains ['UniGard']; there are SimSiam; BYOL, LARS"),
    ],
)
def test_a_choice_that_makes_no_page_or_no_run_is_refused(
    words: list[str],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["kill_and_resume", str(tmp_path), *words])
    with pytest.raises(SystemExit):
        kill_and_resume.main()
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.iterdir())
