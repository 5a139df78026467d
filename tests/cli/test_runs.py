"""`ssl-zoo runs`: what it prints where, and what it does to runs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from helpers.run_folders import write_run
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.catalog import remove
from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.files.locks import hold

IN = f"runs{os.sep}"  # begins a run's path as it is shown


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "a", "seed=0", result={"knn_top1": 0.91})
    write_run(tmp_path / "runs" / "b", "seed=1", result={"knn_top1": 0.2, "verdict": "collapsed"})
    write_run(tmp_path / "runs" / "c", "seed=2")
    return tmp_path / "runs"


def test_the_list_is_on_stdout_and_all_about_it_on_stderr(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    heading, *lines = out.splitlines()
    assert heading.split()[:2] == ["run", "method"]
    assert [line.split()[0] for line in lines] == ["a", "b", "c"]
    assert err == "3 runs: 1 healthy, 1 collapsed, 1 interrupted\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["runs", "verdict=collapsed"], "b"),
        (["knn>80"], "a"),
        (["where=seed=0..1 and knn<50"], "b"),
        (["sort=-knn", "limit=1"], "b"),
        (["best=knn"], "a"),
        (["sort=knn", "columns=run,seed"], "a b c"),
        (["runs/a", "runs/c"], f"{IN}a {IN}c"),
        (["verdict=diverged"], ""),
    ],
)
def test_arguments(
    folder: Path, arguments: Sequence[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *arguments]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]] == expected.split()


def test_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--json", "knn=..50"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert (record["run"], record["state"], record["knn_top1"]) == ("b", "finished", 0.2)
    assert main(["runs", "--json", "diff=a,b"]) == 0
    changes = json.loads(capsys.readouterr().out)
    assert changes["keys"] == {"seed": [0, 1]}
    assert changes["metrics"]["outcome"] == ["healthy", "collapsed"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "'nowhere' does not exist"),
        (["knm>80"], "did you mean 'knn'"),
        (["limit=0"], "limit must be at least 1"),
        (["do=delete"], "do must be one of"),
        (["diff=a"], "two runs or more"),
        (["sort=accuracy"], "no run here has 'accuracy'"),
        (["do=remove", "diff=a,b"], "diff go with do=list"),
        (["do=resume", "--json"], "--json and diff go with do=list"),
    ],
)
def test_mistakes_are_one_message(
    folder: Path, arguments: Sequence[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


@pytest.mark.skipif(sys.platform == "win32", reason="no file has such a name there")
def test_names_and_values_cannot_steer_the_terminal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(folder / "x\x1b[2Jy", "seed=9", result={"verdict": "heal\nthy\x07"})
    (folder / "x\x1b[2Jy" / "metrics.csv").write_text("", encoding="utf-8")
    assert main(["runs", "seed=9"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].startswith("x\\x1b[2Jy")
    assert "heal thy\\x07" in out
    assert not {"\x1b", "\x07"} & set(out + err)


def test_damaged_runs_are_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "a" / "result.json").write_text("{")
    assert main(["runs", "columns=run"]) == 0
    assert "'a' is damaged: result.json cannot be read" in capsys.readouterr().err


def test_nothing_heavy_is_imported(folder: Path) -> None:
    code = (
        "import sys; from ssl_zoo.cli.main import main; main(['runs', 'seed=0', 'differing=true']); "
        "sys.exit(', '.join({'torch', 'matplotlib', 'hydra', 'lightly', 'timm'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "1 of 3 runs: 1 healthy")


def test_remove_needs_to_be_confirmed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    assert main(["runs", "verdict=collapsed", "do=remove"]) == 2
    assert "set yes=true" in capsys.readouterr().err
    for answer, is_left in (("n", True), ("y", False)):
        terminal = io.StringIO(f"{answer}\n")
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdin", terminal)
        assert main(["runs", "verdict=collapsed", "do=remove"]) == 0
        assert (folder / "b").exists() == is_left
    assert sorted(path.name for path in folder.iterdir()) == ["a", "c"]


def test_remove_takes_the_listed_runs_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b" / "large").write_bytes(b"0" * 2_000_000)
    assert main(["runs", "seed=1..2", "do=remove", "yes=true"]) == 0
    err = capsys.readouterr().err
    assert f"2.0 MB  {IN}b  collapsed" in err
    assert "removed 2 runs, 2.0 MB" in err
    assert [path.name for path in folder.iterdir()] == ["a"]
    assert main(["runs", "seed=7", "do=remove", "yes=true"]) == 0
    assert [path.name for path in folder.iterdir()] == ["a"]


def test_remove_refuses_what_must_stay(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["runs", "do=remove", "yes=true"]
    with hold(folder / "b"):
        assert main(command) == 2
    assert f"one holds '{IN}b', which is finished" in capsys.readouterr().err
    write_run(folder / "a" / "again", "seed=9", result={})
    assert main([*command, "seed=0"]) == 2
    assert f"holds '{Path('runs/a/again')}' as well" in capsys.readouterr().err
    (folder / "c" / "config.yaml").write_text("{")
    assert main([*command, "state=damaged"]) == 2
    assert "may be none" in capsys.readouterr().err
    (folder / "notes").mkdir()
    (folder / "notes" / "config.yaml").write_text((folder / "a" / "config.yaml").read_text())
    assert main([*command, "run=notes"]) == 2
    assert "nothing but config.yaml is a run's" in capsys.readouterr().err
    (folder / "b" / ".lock").write_text('{"pid": 1, "host": "node7", "started": "today"}')
    assert main([*command, "run=b"]) == 2
    assert "left by process 1 on node7, since today" in capsys.readouterr().err
    (tmp_path / "link").symlink_to(folder / "b", target_is_directory=True)
    assert main([*command, "link"]) == 2
    assert "follows no links" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c", "notes"]


def test_remove_takes_runs_within_runs_from_the_innermost_on(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "a" / "again", "seed=9", result={})
    (folder / "a" / "again" / "large").write_bytes(b"0" * 2_000_000)
    assert main(["runs", "seed=0,9", "do=remove", "yes=true"]) == 0
    assert "removed 2 runs, 2.0 MB" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c"]


@pytest.mark.skipif(sys.platform == "win32", reason="the working directory cannot be renamed there")
@pytest.mark.parametrize(("place", "name"), [("a", "."), ("a/checkpoints", "..")])
def test_remove_finds_the_folder_that_dots_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, name: str
) -> None:
    monkeypatch.chdir(folder / place)
    assert main(["runs", name, "do=remove", "yes=true"]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c"]


def test_remove_names_the_suite_that_a_run_is_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = {"name": "table1", "rows": [{"name": "base", "runs": [{"folder": "a"}]}]}
    (folder / "suite.json").write_text(json.dumps(record))
    assert main(["runs", "seed=0", "do=remove", "yes=true"]) == 0
    assert "healthy  of table1, which trains it again when it is next run" in capsys.readouterr().err


def test_best_names_how_many_runs_have_no_result_yet(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c" / "metrics.csv").write_text("epoch,step,loss,knn_top1\n1,5,-0.5,0.99\n")
    assert main(["runs", "best=knn"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split()[0] == "a"
    assert "1 without one are left out" in err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), PermissionError(13, "Permission denied", "x")])
def test_what_is_left_of_a_run_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException
) -> None:
    def rmtree(_: Path) -> None:
        raise error

    monkeypatch.setattr("shutil.rmtree", rmtree)
    assert main(["runs", "seed=1", "do=remove", "yes=true"]) == 1
    (left,) = folder.glob(".b-*")
    err = capsys.readouterr().err
    assert "removed 0 of 1 run" in err
    assert f"what is left of '{IN}b' is in '{left}'" in err


def test_remove_leaves_what_a_link_leads_to(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.png").write_bytes(b"0" * 500)
    (folder / "b" / "images").symlink_to(tmp_path / "images", target_is_directory=True)
    assert main(["runs", "seed=1", "do=remove", "yes=true"]) == 0
    assert (tmp_path / "images" / "1.png").exists()


def test_a_run_that_is_taken_before_its_turn_stays_whole(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold(folder / "b"), pytest.raises(ssl_zoo.UserError, match="one process at a time"):
        _in_another_thread(remove.remove_run, folder / "b")
    assert (folder / "b" / "result.json").exists()
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b", "c"]


def _in_another_thread(function: Any, *arguments: Any) -> Any:
    """Calls a function; a thread of its own does not hold the locks of this one."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function, *arguments).result()


def test_resume_continues_what_was_interrupted_and_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(folder / "d", "seed=3")
    write_run(folder / "e", "seed=4")
    trial = {"folder": "elsewhere/e", "overrides": [], "evaluations": []}
    for name in ("e.trial", "e-0a1b2c.trial", "e-longer.trial", "ee.trial"):
        (folder / name).write_text(json.dumps({**trial, "file": name}))
    calls: list[Any] = []

    def train(overrides: list[str]) -> None:
        calls.append(overrides)
        if f"run_dir={IN}c" in overrides:
            raise ssl_zoo.UserError("the images are gone")

    monkeypatch.setattr("ssl_zoo.training.run.train", train)
    monkeypatch.setattr("ssl_zoo.suites.worker.run_trial", calls.append)
    assert main(["runs", "do=resume"]) == 1
    assert calls == [
        [f"run_dir={IN}c", "resume=auto"],
        [f"run_dir={IN}d", "resume=auto"],
        {**trial, "folder": f"{IN}e", "file": "e-0a1b2c.trial"},
        {**trial, "folder": f"{IN}e", "file": "e.trial"},
    ]
    err = capsys.readouterr().err
    assert f"{IN}d  interrupted, epoch 0/10\n" in err
    assert f"{IN}e  interrupted, epoch 0/10, as its suite trains and evaluates it\n" in err
    assert "3 of 5 runs to resume; 2 of other states are left alone" in err
    assert f"{IN}c: the images are gone" in err
    assert "1 of 3 runs could not go on" in err


@pytest.mark.parametrize("recorded", ["runs/d", None, "elsewhere/d", "absolute"])
def test_resume_works_where_the_run_was_begun(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, recorded: str | None
) -> None:
    (tmp_path / "deep").mkdir()
    recorded = str(folder / "d") if recorded == "absolute" else recorded
    write_run(folder / "d", "seed=3", *([] if recorded is None else [f"run_dir={recorded}"]))
    calls: list[tuple[Path, str]] = []
    monkeypatch.setattr("ssl_zoo.training.run.train", lambda given: calls.append((Path.cwd(), given[0])))
    monkeypatch.chdir(tmp_path / "deep")
    assert main(["runs", "../runs", "seed=3", "do=resume"]) == 0
    is_known = recorded in ("runs/d", None)
    place, run = (tmp_path, Path("runs/d")) if is_known else (tmp_path / "deep", Path("../runs/d"))
    assert calls == [(place, f"run_dir={run}")]
    assert Path.cwd() == tmp_path / "deep"


def test_resume_leaves_alone_what_another_process_has_taken(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "c.trial").write_text("{}")
    monkeypatch.setattr("ssl_zoo.cli.resume_runs.is_held", lambda _: True)
    assert main(["runs", "do=resume"]) == 0
    assert "another process works on it by now" in capsys.readouterr().err


def test_memory_that_one_run_lacks_does_not_end_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(_: list[str]) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    write_run(folder / "d", "seed=3")
    monkeypatch.setattr("ssl_zoo.training.run.train", train)
    assert main(["runs", "do=resume"]) == 1
    err = capsys.readouterr().err
    assert "d: memory ran out" in err
    assert "2 of 2 runs could not go on" in err


@pytest.mark.slow
def test_a_run_goes_on_to_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    begun = tmp_path / "runs" / "begun"
    begun.mkdir(parents=True)
    config = compose(overrides("simsiam", "monitor.baselines=false", f"run_dir={begun}"))
    (begun / "config.yaml").write_text(to_yaml(config))
    assert ssl_zoo.runs("runs")["begun"].state == "interrupted"
    assert main(["runs", "state=interrupted", "do=resume"]) == 0
    run = ssl_zoo.runs("runs")["begun"]
    assert (run.state, run.field("epoch")) == ("finished", 2)
