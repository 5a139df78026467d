"""`ssl_zoo.runs()`: states, conditions, order, differences, and what is damaged or vanishes."""

from __future__ import annotations

import datetime
import errno
import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.run_folders import config_text, write_run

import ssl_zoo
from ssl_zoo.catalog.names import is_fraction
from ssl_zoo.catalog.table import LOWER
from ssl_zoo.catalog.text import lay_out
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.files.locks import hold, is_held
from ssl_zoo.metrics import METRICS
from ssl_zoo.run_dir.fast_yaml import read_dotted
from ssl_zoo.run_dir.listed_run import NO_METRICS, STATES

ROWS = "epoch,step,loss,knn_top1\n0,0,,0.5\n1,5,-0.1,\n2,10,-0.2,0.7\n3,15,-0.3,\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four finished runs, one of them collapsed, and one that was interrupted."""
    root = tmp_path / "runs"
    write_run(root / "a", "seed=0", result={"knn_top1": 0.91})
    write_run(root / "b", "seed=1", "optimizer.lr=0.2", result={"knn_top1": 0.84, "loss": -0.95})
    axes = {"verdict": "collapsed", "knn_top1": 0.3, "differs_from_paper": {"stop_gradient": False}}
    write_run(root / "deep" / "c", "seed=2", "method.stop_gradient=false", result=axes)
    write_run(root / "deep" / "d", "method=byol", "seed=3", result={"knn_top1": None, "linear_top1": None})
    write_run(root / "e", "seed=4", rows=ROWS)
    moment = datetime.datetime(2001, 2, 3, 12).timestamp()
    os.utime(root / "a" / "result.json", (moment, moment))
    return root


def write_suite(folder: Path, name: str, **rows: list[str]) -> None:
    """Writes a suite's record of rows, each with the folders of its runs; one that is named so failed."""
    folder.mkdir()
    runs = {
        row: [{"folder": run, "error": "no memory" if "failed" in run else None} for run in folders]
        for row, folders in rows.items()
    }
    record = {"name": name, "rows": [{"name": row, "runs": of_row} for row, of_row in runs.items()]}
    (folder / "suite.json").write_text(json.dumps(record))


def names(table: ssl_zoo.RunTable) -> list[str]:
    return [run.name for run in table]


def test_runs_are_found_at_any_depth_and_know_their_state(folder: Path) -> None:
    table = ssl_zoo.runs(folder)
    assert [(run.name, run.outcome) for run in table] == [
        ("a", "healthy"),
        ("b", "healthy"),
        ("deep/c", "collapsed"),
        ("deep/d", "healthy"),
        ("e", "interrupted"),
    ]
    interrupted = table["e"]
    assert (interrupted.field("epoch"), interrupted.field("epochs")) == (3, 10)
    assert interrupted.metrics == {"loss": -0.3, "knn_top1": 0.7}
    assert interrupted.field("time") is None


def test_every_state(tmp_path: Path, folder: Path) -> None:
    (folder / "queued" / "submitit").mkdir(parents=True)
    (folder / "empty").mkdir()
    write_run(folder / "imported", result={"verdict": "none"})
    text = config_text().replace("name: simsiam", "name: imported", 1)
    (folder / "imported" / "config.yaml").write_text(text)
    write_run(folder / "failed")
    write_suite(folder / "suite", "table1", base=["../failed", "../a"])
    write_run(folder / "broken")
    (folder / "broken" / "config.yaml").write_text("method: {name: [")
    write_run(folder / "running")
    with hold(folder / "running"), hold(folder / "starting"):
        states = {run.name: run.state for run in ssl_zoo.runs(folder)}
    assert {name: states[name] for name in states if name in STATES} == {
        name: name for name in STATES if name in ("queued", "imported", "failed", "running", "starting")
    }
    assert states["broken"] == "damaged"
    assert set(states.values()) == set(STATES)
    assert ssl_zoo.runs(folder)["running"].state == "interrupted"


def test_a_lock_that_a_killed_process_left_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text('{"pid": 1}')
    assert not is_held(tmp_path)
    with hold(tmp_path):
        assert is_held(tmp_path)
    assert not is_held(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("method=byol", "deep/d"),
        ("method=byol,simsiam", "a b deep/c deep/d e"),
        ("method!=byol", "a b deep/c e"),
        ("seed=1..3", "b deep/c deep/d"),
        ("seed=3..", "deep/d e"),
        ("knn>80", "a b"),
        ("knn>0.8", "a b"),
        ("knn=84%..", "a b"),
        ("knn<=84", "b deep/c e"),
        ("knn=null", "deep/d"),
        ("verdict=collapsed", "deep/c"),
        ("verdict=null", "e"),
        ("state=interrupted", "e"),
        ("stop_gradient=false", "deep/c"),
        ("method.stop_gradient=False", "deep/c"),
        ("optimizer.lr=0.2", "b"),
        ("run=deep/*", "deep/c deep/d"),
        ("loss<-0.92", "b"),
        ("date>2000-01-01", "a b deep/c deep/d e"),
        ("date=2001-02-03", "a"),
        ("date=2001-02-0*", "a"),
        ("date=2001-02-04", ""),
        ("epoch<10", "e"),
        ("seed=0..2 and knn>80", "a b"),
        ("baselines.pixels_knn_top1=70%", "a b deep/c deep/d"),
    ],
)
def test_conditions(folder: Path, condition: str, expected: str) -> None:
    assert names(ssl_zoo.runs(folder, condition)) == expected.split()


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("knm>80", "did you mean 'knn'"),
        ("verdct=healthy", "did you mean 'verdict'"),
        ("lr=0.1", "may be method.predictor.lr or optimizer.lr"),
        ("knn>high", "compares numbers"),
        ("simsiam", "conditions are written"),
        ("seed!=0 or seed!=1", "there is no or"),
        ("knn!=>80", "is a figure"),
        ("knn=80..x", "is a figure"),
    ],
)
def test_wrong_conditions_are_refused_with_a_suggestion(folder: Path, condition: str, message: str) -> None:
    with pytest.raises(ssl_zoo.UserError, match=message):
        ssl_zoo.runs(folder, condition)


def test_order_and_best(folder: Path) -> None:
    table = ssl_zoo.runs(folder)
    assert names(table.sort("knn")) == ["a", "b", "e", "deep/c", "deep/d"]
    assert names(table.sort("-knn")) == ["deep/c", "e", "b", "a", "deep/d"]
    assert names(table.sort("outcome"))[0] == "deep/c"
    assert table.best("knn").name == "a"
    assert table.best("loss").name == "b"
    assert table.where("knn<80").best("knn").name == "deep/c", (
        "a figure of a run that has no result may still fall"
    )
    for condition in ("method=byol", "state=interrupted"):
        with pytest.raises(ssl_zoo.UserError, match="best takes a metric"):
            table.where(condition).best("knn")


def test_what_differs(folder: Path) -> None:
    table = ssl_zoo.runs(folder)
    changes = table.diff("a", "b")
    assert changes.keys == {"seed": (0, 1), "optimizer.lr": (table["a"].config["optimizer.lr"], 0.2)}
    assert changes.metrics["knn_top1"] == (0.91, 0.84)
    shown = table.where("seed=0..2").differing()
    assert [name for name in shown.columns if "." in name] == ["method.stop_gradient", "optimizer.lr"]
    assert shown.headings()[4:6] == ["stop_gradient", "optimizer.lr"]
    with pytest.raises(ssl_zoo.UserError, match="did you mean 'deep/c'"):
        table.diff("a", "deep/cc")
    with pytest.raises(ssl_zoo.UserError, match="two runs or more"):
        table.diff("a")


def test_a_key_that_came_later_has_the_value_that_changes_nothing(folder: Path) -> None:
    file = folder / "a" / "config.yaml"
    values = yaml.safe_load(file.read_text())
    del values["method"]["expectation_views"]
    file.write_text(yaml.safe_dump(values))
    assert "method.expectation_views" not in ssl_zoo.runs(folder).diff("a", "b").keys
    assert len(ssl_zoo.runs(folder, "expectation_views=0")) == 5


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("config.yaml", "method: {name: [", "it is no YAML"),
        ("config.yaml", "- 1\n- 2\n", "it holds no keys"),
        ("config.yaml", "model: resnet\n", "no configuration of a run"),
        ("config.yaml", "\x80".join("ab"), "cannot be read"),
        ("result.json", "{", "result.json cannot be read"),
        ("result.json", "[1]", "no result of a run"),
        ("result.json", '{"verdict": 3}', "no result of a run"),
    ],
)
def test_damaged_files_are_named_and_cost_their_run_alone(
    folder: Path, file: str, text: str, problem: str
) -> None:
    (folder / "a" / file).write_text(text, encoding="latin-1")
    table = ssl_zoo.runs(folder)
    assert table["a"].state == "damaged"
    assert problem in str(table["a"].problem)
    assert names(table.where("knn>80")) == (["a", "b"] if file == "config.yaml" else ["b"])
    assert len(repr(table).splitlines()) == 6


@pytest.mark.parametrize("value", ['"high"', "[]", "true", "{}", '{"a": 1}', "null", "NaN"])
@pytest.mark.parametrize(
    "key", ["knn_top1", "epochs", "train_seconds", "differs_from_paper", "baselines", "cause"]
)
def test_values_of_other_types_end_nothing(tmp_path: Path, key: str, value: str) -> None:
    write_run(tmp_path / "a", result={})
    file = tmp_path / "a" / "result.json"
    file.write_text(
        json.dumps({**json.loads(file.read_text()), key: None}).replace(f'"{key}": null', f'"{key}": {value}')
    )
    table = ssl_zoo.runs(tmp_path)
    assert len(repr(table.sort("knn" if "knn_top1" in table.names.metrics else "run")).splitlines()) == 2
    assert "healthy" in table._repr_html_()
    assert len(table.where("time<5")) == 0


def test_foreign_folders_are_passed_over_and_named(folder: Path) -> None:
    (folder / "other").mkdir()
    (folder / "other" / "config.yaml").write_text("model: resnet\n")
    write_run(folder / "a" / "wandb" / "files")
    write_run(folder / ".hidden")
    table = ssl_zoo.runs(folder)
    assert len(table) == 5
    assert table.passed_over == ("'other' is passed over: config.yaml is no configuration of a run",)


def test_only_in_a_run_directory_are_its_own_folders_passed_over(folder: Path) -> None:
    write_run(folder / "report" / "f", "seed=5")
    write_run(folder / "a" / "report" / "g", "seed=6")
    assert names(ssl_zoo.runs(folder, "seed>4")) == ["report/f"]


def test_another_programs_config_with_a_method_is_no_run(folder: Path) -> None:
    (folder / "theirs").mkdir()
    (folder / "theirs" / "config.yaml").write_text("method: {name: resnet}\n")
    assert "theirs" not in names(ssl_zoo.runs(folder))


@pytest.mark.skipif(sys.platform == "win32", reason="other locks")
@pytest.mark.parametrize(("host", "state"), [("another", "running"), (None, "interrupted")])
def test_locks_that_cannot_be_asked_for_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, host: str | None, state: str
) -> None:
    def flock(*_: int) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    holder = {"pid": ended.pid, "host": host or socket.gethostname(), "started": "today"}
    (folder / "e" / ".lock").write_text(json.dumps(holder))
    monkeypatch.setattr("fcntl.flock", flock)
    assert ssl_zoo.runs(folder)["e"].state == state


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "elsewhere" / "f", result={})
    (folder / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "link/f" not in names(ssl_zoo.runs(folder))


def test_a_run_that_vanishes_while_it_is_listed_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanish(file: Path) -> dict[str, Any]:
        if file.parent.name == "b":
            shutil.rmtree(file.parent)
        return read_dotted(file)

    monkeypatch.setattr("ssl_zoo.run_dir.listed_run.read_dotted", vanish)
    assert names(ssl_zoo.runs(folder)) == ["a", "deep/c", "deep/d", "e"]


def test_a_result_that_vanishes_leaves_a_run_without_one(folder: Path) -> None:
    table = ssl_zoo.runs(folder)
    (folder / "a" / "result.json").unlink()  # set aside, as the run goes on
    assert table["a"].state == "interrupted"


def test_an_evaluation_is_a_column(folder: Path) -> None:
    for weights, top1 in (("trained", 0.77), ("random", 0.2)):
        record = {"protocol": "linear", "top1": top1, "encoder": {"weights": weights}}
        (folder / "a" / f"eval-linear-digits-{weights}.json").write_text(json.dumps(record))
    (folder / "b" / "eval-linear-digits-x.json").write_text("[]")
    table = ssl_zoo.runs(folder)
    assert names(table.where("eval.linear>70")) == ["a"]
    assert table.select("run", "eval.linear").cells()[0] == ["a", "77.0%"]


def test_runs_of_suites_are_found_by_suite_and_row(folder: Path) -> None:
    write_suite(folder / "one", "table1", base=["../a", "../b"], no_stop=["../deep/c"])
    write_suite(folder / "two", "figure2", baseline=["../a"])
    (folder / "damaged").mkdir()
    (folder / "damaged" / "suite.json").write_text('{"rows": [{}]}')
    table = ssl_zoo.runs(folder)
    assert names(table.where("suite=table1")) == ["a", "b", "deep/c"]
    assert names(table.where("suite=figure2", "row=base*")) == ["a"]
    assert names(table.where("row=no_stop,baseline")) == ["a", "deep/c"]
    assert names(table.where("suite=null")) == ["deep/d", "e"]
    assert table.select("run", "suite", "row").cells()[0] == ["a", "table1, figure2", "base, baseline"]
    assert names(table.sort("row"))[:2] == ["a", "b"]


def test_nothing_to_list(tmp_path: Path) -> None:
    assert repr(ssl_zoo.runs(tmp_path)) == "no runs"
    assert repr(ssl_zoo.runs(tmp_path, "knn>80").sort("knn")) == "no runs"
    with pytest.raises(ssl_zoo.UserError, match="does not exist"):
        ssl_zoo.runs(tmp_path / "nowhere")


def test_a_run_directory_lists_itself(folder: Path) -> None:
    assert names(ssl_zoo.runs(folder / "a")) == ["a"]


def test_html_is_escaped(tmp_path: Path) -> None:
    write_run(tmp_path / "<b>x</b>", result={"verdict": "<script>"})
    page = ssl_zoo.runs(tmp_path)._repr_html_()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<b>" not in page


def test_records(folder: Path) -> None:
    record = ssl_zoo.runs(folder, "seed=0").as_records()[0]
    assert record["folder"] == str(folder / "a")
    assert (record["state"], record["verdict"], record["knn_top1"]) == ("finished", "healthy", 0.91)
    json.dumps(record)


def test_pandas(folder: Path) -> None:
    pytest.importorskip("pandas")
    frame = ssl_zoo.runs(folder).to_pandas()
    assert list(frame["knn_top1"])[:2] == [0.91, 0.84]


def test_blocks_are_read_as_the_whole_file_would_be(tmp_path: Path) -> None:
    for text in (
        config_text("method=swav", "augment.views.both.count=2"),
        "a: &x {b: 1}\nc: *x\n",
        "# a comment\na:\n- 1\n- 2\nb: |\n  text\n\n  more\n'c': {d: {}}\n",
        "---\na: 1\n",
        "",
    ):
        (tmp_path / "config.yaml").write_text(text)
        values = yaml.safe_load(text)
        assert read_dotted(tmp_path / "config.yaml") == ({} if values is None else to_dotted(values))


def test_the_names_agree_with_the_declarations_of_metrics() -> None:
    """The list knows no declaration, as that would import torch."""
    in_results = {name: metric for name, metric in METRICS.all().items() if "result.json" in metric.files}
    assert {name for name in in_results if is_fraction(name)} == {
        n for n, m in in_results.items() if m.is_fraction
    }
    assert not {name for name, metric in in_results.items() if metric.better == "higher"} & LOWER
    assert not set(in_results) & NO_METRICS


@pytest.mark.parametrize("width", [30, 60, 80, 110, 120, 200])
def test_lines_fit_a_terminal(folder: Path, width: int) -> None:
    table = ssl_zoo.runs(folder)
    layout = lay_out(table.columns, table.headings(), table.cells(), width)
    if width >= 60:
        assert max(map(len, layout.lines)) <= width
    assert len(layout.lines) == 6
    shown = [*layout.spans, *layout.shared, *layout.left_out]
    assert len(shown) == len(table.columns)
    if "date" in layout.spans:  # it is shown whole or not at all
        assert all(len(line[slice(*layout.spans["date"])].strip()) == 16 for line in layout.lines[1:])
    for line in layout.lines[1:]:
        assert line[slice(*layout.spans["outcome"])].strip() in ("healthy", "collapsed", "interrupted")
