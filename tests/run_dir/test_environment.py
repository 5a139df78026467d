"""The commit in a run's record."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ssl_zoo.run_dir import environment


def test_the_commit_is_that_of_the_checkout_around_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "ssl_zoo" / "runs" / "environment.py"
    module.parent.mkdir(parents=True)
    module.touch()
    monkeypatch.setattr(environment, "__file__", str(module))
    assert environment.git_commit() is None, "installed"
    (tmp_path / "pyproject.toml").touch()
    assert environment.git_commit() is None, "no repository"
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    commit = environment.git_commit()
    assert commit is not None
    assert len(commit) == 40
    module.write_text("changed")
    assert environment.git_commit() == f"{commit}+changes"
