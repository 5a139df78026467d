"""Shell completion: the words, without torch and in no time, and the scripts in real shells."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ssl_zoo.cli import completion_table
from ssl_zoo.cli.complete import SHELLS, complete
from ssl_zoo.cli.completion import script_for
from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS
from ssl_zoo.config.groups import group_names


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "completion"))


def _words(line: str) -> list[str]:
    return [word for word, _ in complete(line.split(" "))]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tr", ["train"]),
        ("help tr", ["train"]),
        ("completion ", [*SHELLS]),
        ("train method=sims", ["method=simsiam"]),
        ("train method=byol,sims", ["method=byol,simsiam"]),
        ("train me", ["method=", "method."]),
        ("train method.stop", ["method.stop_gradient="]),
        ("train method.stop_gradient=", ["method.stop_gradient=true", "method.stop_gradient=false"]),
        ("train precision=", [f"precision={value}" for value in ("auto", "fp32", "bf16", "fp16")]),
        ("train augment.cr", ["augment.crop."]),
        ("train augment.views.two.cr", ["augment.views.two.crop."]),
        ("train backbone.name=resnet18", ["backbone.name=resnet18", "backbone.name=resnet18d"]),
        ("config --describe optimizer.lr", ["optimizer.lr", "optimizer.lr_scaling"]),
        ("bench suite=simsiam_fig", ["suite=simsiam_figure2"]),
        ("bench seeds=", ["seeds=auto"]),
        ("eval protocol=knn", ["protocol=knn"]),
        ("eval x protocol=knn,label_f", ["protocol=knn,label_free"]),
        ("export format=ti", ["format=timm"]),
        ("list met", ["methods", "metrics"]),
        ("list backbones resnet18", ["resnet18", "resnet18d"]),
        ("list --j", ["--json"]),
        ("train -m method=byol see", ["seed="]),
        ("train nothing.of.the.kind", []),
        ("train nothing=", []),
    ],
)
def test_words(line: str, expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert _words(line) == expected


def test_every_verb_and_every_name_of_a_group() -> None:
    assert {*_words("")} == {*VERBS, "help"}
    for group in ("method", "data", "recipe", "experiment"):
        assert {f"{group}={name}" for name in group_names(group)} <= {*_words(f"train {group}=")}


def test_backbones_are_those_of_timm() -> None:
    timm = pytest.importorskip("timm")
    named = {word.partition("=")[2] for word in _words("train backbone.name=")}
    assert {*timm.list_models()} <= named


def test_folders_are_completed_and_runs_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/mine", "runs/suite", "runs/empty", "runs/.hidden"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "runs/mine/config.yaml").touch()
    (tmp_path / "runs/suite/suite.json").touch()
    assert complete(["eval", "runs/"]) == [
        ("runs/empty/", ""),
        ("runs/mine", "a run"),
        ("runs/suite", "a suite"),
    ]
    assert complete(["train", "run_dir=runs/e"]) == [("run_dir=runs/empty/", "")]
    assert complete(["train", "start_from=runs/m"]) == [("start_from=runs/mine", "a run")]


def test_own_yaml_files_are_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "zebra.yaml").touch()
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    assert _words("train method=ze") == ["method=zebra"]


def test_the_table_is_kept_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    made: list[int] = []
    monkeypatch.setattr(completion_table, "_make", lambda: made.append(1) or {"keys": {}})
    table = completion_table.read_table()
    assert completion_table.read_table() == table
    assert len(made) == 1
    monkeypatch.setattr(completion_table, "_stamp", lambda: ["changed"])
    completion_table.read_table()
    (tmp_path / "ssl-zoo" / "completion.json").write_text("{")
    completion_table.read_table()
    assert len(made) == 3


def test_nothing_heavy_is_imported_for_a_word() -> None:
    complete(["train", "m"])  # the table is kept
    words = ["__complete", "train", "method=by"]
    code = f"import sys; from ssl_zoo.cli.main import main; main({words}); print([*sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.startswith("method=byol\t")
    for module in ("torch", "timm", "hydra", "pydantic", "numpy", "rich", "yaml"):
        assert f"'{module}'" not in output


def test_scripts_and_refusals(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SHELLS:
        assert main(["completion", shell]) == 0
        assert capsys.readouterr().out == script_for([shell])
    assert main(["completion", "bsh"]) == 2
    assert "did you mean 'bash'" in capsys.readouterr().err
    assert main(["completion"]) == 2


SETTING_UP = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "source {script}"),
    "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit; compinit -D -u; source {script}"),
    "fish": (["fish", "--no-config", "-i"], "source {script}"),
}


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="a pseudo-terminal is POSIX's")
@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell_completes(shell: str, tmp_path: Path) -> None:
    """Types into a shell on a pseudo-terminal, presses Tab, and reads what the command then receives."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    program, script, received = tmp_path / "ssl-zoo", tmp_path / "script", tmp_path / "received"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "from ssl_zoo.cli.main import entry\n"
        "if sys.argv[1] == '__complete':\n    entry()\n"
        f"open({str(received)!r}, 'a').write(' '.join(sys.argv[1:]) + chr(10))\n"
    )
    program.chmod(0o755)
    script.write_text(script_for([shell]))
    (tmp_path / "runs" / "only one" / "it's $5").mkdir(parents=True)
    typed = ["tra\tmethod=sims\tmethod.stop_g\tf\t", "report runs/o\ti\t", "bench suite=simsiam_fi\t"]
    expected = [
        "train method=simsiam method.stop_gradient=false",
        "report runs/only one/it's $5/",
        "bench suite=simsiam_figure2",
    ]
    complete(["train", "m"])  # the table is kept: the first Tab is as quick as the others
    command, setting_up = SETTING_UP[shell]
    import pty

    child, terminal = pty.fork()
    shown = b""
    if child == 0:
        os.chdir(tmp_path)
        os.environ.update(PATH=f"{tmp_path}:{os.environ['PATH']}", TERM="xterm", PS1="$ ", HOME=str(tmp_path))
        os.execvp(command[0], command)
    try:
        lines = [setting_up.format(script=script), *(f"ssl-zoo {line}" for line in typed)]
        os.write(terminal, "".join(f"{line}\n" for line in lines).encode())
        while not (received.exists() and len(received.read_text().splitlines()) == len(typed)):
            ready, _, _ = select.select([terminal], [], [], 60)
            assert ready, "the shell has fallen silent"
            shown += os.read(terminal, 2**16)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)
    assert received.read_text().splitlines() == expected, shown.decode(errors="replace")
