"""Suites that are read: where they lie, and what is refused before anything starts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from helpers.tiny_suites import TINY, write_suite

from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.suites.claims import Comparison
from ssl_zoo.suites.listing import suite_files
from ssl_zoo.suites.read import as_list, read_suite


def refused(overrides: list[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Returns the message that refuses a command, which has created nothing."""
    before = sorted(folder.rglob("*"))
    assert cli.main(["bench", *overrides, f"out={folder / 'out'}"]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("ssl-zoo: ")
    assert sorted(folder.rglob("*")) == before
    return output.err


def a_row(**settings: Any) -> dict[str, Any]:
    return {"rows": {"one": {}, "two": settings}}


SWITCHES = {"crop": {"on": "augment.flip=0.5"}, "blur": {"off": "augment.blur.p=0.0"}}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a key": ({"titel": "x"}, "unknown key 'titel'; did you mean 'title'?"),
    "a key of a row": (a_row(wordz="a=1"), "unknown key 'rows.two.wordz'"),
    "a key of a budget": ({"quick": {"row": ["one"]}}, "unknown key 'quick.row'; did you mean 'quick.rows'?"),
    "no title": ({"title": None}, "'title' is missing"),
    "a row that is no block": ({"rows": {"one": "epochs=1"}}, "must be a block of keys; received 'epochs=1' (suite: "),
    "rows of a budget": (
        {"quick": {"rows": ["onee"]}},
        "unknown row 'onee'; there are one, two; did you mean 'one'?",
    ),
    "rows of the other budget": ({"full": {"rows": ["tow"]}}, "unknown row 'tow'"),
    "a switch": (
        {"rows": None, "claims": None, "pairs": SWITCHES, "quick": {"switches": ["corp"]}},
        "unknown switch 'corp'; there are blur, crop; did you mean 'crop'?",
    ),
    "a switch with a +": (
        {"rows": None, "claims": None, "pairs": {"a+b": {}, "c": {}}},
        "a switch's name has no +, which joins those of a pair; received 'a+b'",
    ),
    "a column": ({"columns": ["top1", "knn"]}, "received 'knn'; did you mean 'knn_top1'?"),
    "a column of no protocol here": ({"columns": ["finetune"]}, "is there when `evaluate` lists it"),
    "a figure": ({"figures": [{"kind": "lines", "metric": "top2"}]}, "received 'top2'; did you mean 'top1'?"),
    "a protocol": ({"evaluate": ["few_label"]}, "unknown protocol 'few_label'"),
    "a claim's row": (
        {"claims": ["top1(oen) > top1(two)"]},
        "claim 'top1(oen) > top1(two)' cannot be checked: unknown row 'oen'; there are one, two; did you mean 'one'?",
    ),
    "a claim's metric": ({"claims": ["top2(one) > top2(two)"]}, "unknown metric 'top2'"),
    "a claim's verdict": ({"claims": ["two is colapsed"]}, "unknown verdict 'colapsed'"),
    "a claim's form": ({"claims": ["one beats two"]}, "a claim is one of: "),
    "random without evaluate": (
        a_row(weights="random"),
        "weights: random evaluates an encoder before its training; received no evaluate; list a protocol",
    ),
    "weights": (a_row(weights="first"), "rows.two.weights must be one of trained, random; received 'first'"),
    "a row's name": (
        {"rows": {"one two": {}}, "claims": None},
        "a row's name is made of letters, digits and _ . + -; received 'one two'; rename it",
    ),
    "a name that leads elsewhere": ({"rows": {"../one": {}}, "claims": None}, "received '../one'; rename it"),
    "rows and pairs": ({"pairs": SWITCHES, "claims": None}, "received both; write one of them"),
    "neither": ({"rows": None, "claims": None}, "received neither; write one of them"),
    "tuned by no accuracy": (
        {"tune": {"key": "optimizer.lr", "multipliers": [1, 2], "metric": "loss"}},
        "tune.metric is an accuracy that training measures, one of top1, linear_top1, knn_top1; received 'loss'",
    ),
    "what is tuned": (
        {"tune": {"key": "optimizer.lrr", "multipliers": [1, 2]}},
        "multiply takes keys with numbers; 'optimizer.lrr' is None",
    ),
    "a row's overrides": (
        a_row(overrides="method.stop_gradint=false"),
        "unknown key 'method.stop_gradint'; did you mean 'method.stop_gradient'? (row 'two' of ",
    ),
    "a row's number": (a_row(overrides="epochs=0"), "epochs must be at least 1; received 0"),
    "a factor": (
        a_row(multiply={"epochs": "1/0"}),
        "multiply takes a number or a fraction, for instance 1/8; received '1/0' for epochs",
    ),
    "a part of an epoch": (
        a_row(multiply={"epochs": "1/3"}),
        "epochs must stay a whole number of 1 or more; 1 times 1/3 is 0.333333; set another epochs (row 'two' of ",
    ),
    "a factor of text": (
        a_row(multiply={"method.name": 2}),
        "multiply takes keys with numbers; 'method.name' is 'simsiam'",
    ),
    "no row for the data": ({"rows": {"one": {"only_data": ["cifar10"]}}, "claims": None}, "no row for data=digits"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_a_suite_with_a_mistake_is_refused(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = WRONG[what]
    file = write_suite(tmp_path / "mine.yaml", **changes)
    output = refused([f"suite={file}"], tmp_path, capsys)
    assert message in output
    if what != "what is tuned" and what != "no row for the data":
        assert str(file) in output, "a person has to find it"


TEXTS = {
    "a key twice": ("title: A\npaper: B\ntitle: C\n", "the key 'title' stands twice in "),
    "a row twice": ("rows:\n  one: {overrides: a=1}\n  two:\n  one:\n", "the key 'one' stands twice"),
    "a row twice, otherwise written": ("rows:\n  one:\n  'one':\n", "the key 'one' stands twice"),
    "a list": ("- title: A\n", "a suite is a block of keys"),
    "empty": ("", "'title' is missing"),
    "no YAML": ("title: [A\n", "a suite is a YAML file; "),
    "a block as a key": ("rows: {{row}}\n", "unhashable key"),
    "code": ("title: !!python/object/apply:os.mkdir [boom]\n", "could not determine a constructor"),
}


@pytest.mark.parametrize("what", TEXTS)
def test_what_is_no_suite_is_refused(what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, message = TEXTS[what]
    (tmp_path / "mine.yaml").write_text(text)
    output = refused([f"suite={tmp_path / 'mine.yaml'}"], tmp_path, capsys)
    assert message in output
    assert str(tmp_path / "mine.yaml") in output


def test_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"title: \xff\xfe\n")
    assert "cannot be read as one" in refused([f"suite={tmp_path / 'mine.yaml'}"], tmp_path, capsys)
    (tmp_path / "folder.yaml").mkdir()
    assert "there is no file" in refused([f"suite={tmp_path / 'folder.yaml'}"], tmp_path, capsys)


REFUSED_OVERRIDES = {
    "seeds=0": "seeds must be at least 1 or one of 'auto'; received 0",
    "budget=medium": "budget must be one of quick, full; received 'medium'",
    "budgt=full": "unknown key 'budgt'",
    "seed=1": "set their number with seeds=3; received 'seed=1'",
    "run_dir=here": "set out=FOLDER; received 'run_dir=here'",
    "resume=auto": "leave it out; received 'resume=auto'",
    "trainer.threads=2": "set threads=N; received 'trainer.threads=2'",
    "eval.out=here": "records lie beside their run",
    "eval.protocol=knn": "set evaluate=NAME; received 'eval.protocol=knn'",
    "evaluate=kn": "unknown protocol 'kn'",
    "eval.knn.k=[3]": "received 'eval.knn.k=[3]' and none of them; set evaluate=NAME",
    "evaluate=knn eval.linear.epochs=5": "linear.* is read by protocols of kind linear; received 'eval.linear",
    "evaluate=knn eval.knn.kk=[3]": "unknown key 'knn.kk'; did you mean 'knn.k'?",
    "evaluate=knn eval.data=cifar": "unknown data 'cifar'",
    "evaluate=transfer": "evaluate takes protocols that give one figure; received 'transfer', which lists ",
    "experiments=cifar": "experiments must be one of cifar10, imagenet; received 'cifar'",
    "data=digit": "unknown data 'digit'",
    "data=digits,cifar10": "options set one value each",
    "data.limit=0": "data.limit must be at least 1; received 0",
    "trainer.accelerator=tpu": "trainer.accelerator must be one of auto, cpu, gpu, mps; received 'tpu'",
    "launcher=pbs": "launcher must be one of local, slurm; received 'pbs'",
    "epochs": "options are written key=value, for instance epochs=100; received 'epochs'",
}


@pytest.mark.parametrize("override", REFUSED_OVERRIDES)
def test_a_word_with_a_mistake_is_refused(
    override: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_suite(tmp_path / "mine.yaml")
    assert REFUSED_OVERRIDES[override] in refused([f"suite={file}", *override.split()], tmp_path, capsys)


def test_folders_are_looked_at_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_suite(tmp_path / "mine.yaml")
    overrides = [f"suite={file}", "data=imagefolder", "epochs=1"]
    output = refused(overrides, tmp_path, capsys)
    assert "data=imagefolder needs a folder of training images; received none" in output
    output = refused([*overrides, f"data.train={tmp_path / 'none'}"], tmp_path, capsys)
    assert f"data.train must be a folder of images; there is none at '{tmp_path / 'none'}'" in output
    assert cli.main(["bench", f"suite={file}", f"out={file}"]) == 2
    output = capsys.readouterr().err
    assert f"out must be a folder that can be written to; received '{file}', and '{file}' is a file" in output


def test_which_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "'suite' is missing" in refused(["seeds=1"], tmp_path, capsys)
    output = refused(["suite=simsiam_tabel1"], tmp_path, capsys)
    assert "unknown suite 'simsiam_tabel1'; there are " in output
    assert "did you mean 'simsiam_table1'?" in output
    assert "there is no file 'none.yaml'; see ssl-zoo bench" in refused(["suite=none.yaml"], tmp_path, capsys)


def test_a_suite_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By its path, or by name where its folder is named; it does not take the place of the package's."""
    first, second = tmp_path / "first", tmp_path / "second"
    file = write_suite(first / "suite" / "mine.yaml", title="My own [one]")
    write_suite(second / "suite" / "mine.yaml", title="Hidden")
    write_suite(first / "suite" / "simsiam_table1.yaml", title="Hidden")
    assert read_suite(str(file)).config.title == "My own [one]"
    monkeypatch.chdir(file.parent)
    assert read_suite("mine.yaml").name == "mine"
    monkeypatch.setenv("SSL_ZOO_CONFIGS", f"{first}{os.pathsep}{second}")
    suite = read_suite("mine")
    assert (suite.name, suite.file, list(suite.rows)) == ("mine", file, ["one", "two"])
    assert read_suite("simsiam_table1").config.title == "The predictor"
    assert cli.main(["bench"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(None, 1)[1] for line in lines if line.startswith("mine ")] == [
        "None, Table 0: My own [one]"
    ]
    names = [line.split()[0] for line in lines[: lines.index("")]]
    assert names == sorted(suite_files())
    assert {"mine", "methods", "simsiam_figure2"} <= set(names)


def test_keys_are_text(tmp_path: Path) -> None:
    """YAML takes `on` and `no` for booleans, 0.10 for a number and 2020-11-20 for a date."""
    file = write_suite(tmp_path / "mine.yaml", rows=None, claims=None, section=None, base=None)
    with file.open("a") as end:
        end.write(
            f"base: {TINY}\nsection: 2020-11-20\n"
            f"overrides_by_data: {{on: epochs=2}}\nrows:\n  no:\n  0.10:\n  1e3: {{}}\n"
            "  2020-11-20: {overrides: epochs=3}\nclaims: [top1(0.10) > top1(no)]\n"
        )
    suite = read_suite(str(file))
    assert suite.config.section == "2020-11-20"
    assert suite.config.overrides_by_data == {"on": "epochs=2"}
    assert list(suite.rows) == ["no", "0.10", "1e3", "2020-11-20"]


def test_words_are_a_line_or_a_list(tmp_path: Path) -> None:
    rows = {
        "one": {"overrides": "epochs=2 data.train='my folder'"},
        "two": {"overrides": ["epochs=2", "data.train='my folder'"]},
    }
    suite = read_suite(str(write_suite(tmp_path / "mine.yaml", rows=rows)))
    assert as_list(suite.rows["one"].overrides) == [
        "epochs=2",
        "data.train=my folder",
    ]  # as a shell reads it
    assert as_list(suite.rows["two"].overrides) == ["epochs=2", "data.train='my folder'"]


def smallest_of(file: Path, *overrides: str, evaluated: bool = False) -> list[float | None]:
    claims = read_suite(str(file)).claims_on(compose(overrides), evaluated=evaluated)
    return [claim.smallest if isinstance(claim, Comparison) else None for claim in claims]


def test_digits_scored_with_one_label_need_two_points_of_difference_unless_the_suite_says_otherwise(
    tmp_path: Path,
) -> None:
    block: dict[str, Any] = {
        "rows": {"a": {}, "b": {"overrides": "method=byol"}},
        "claims": ["top1(a) > top1(b)", "linear_top1(a) < 0.9", "knn_top1(a) > knn_top1(b)", "a is healthy"],
    }
    suite = write_suite(tmp_path / "one.yaml", **block)
    assert smallest_of(suite, "data=digits") == [0.02, 0.02, 0.005, None]
    assert smallest_of(suite, "data=digits", evaluated=True) == [0.005, 0.02, 0.005, None]
    assert smallest_of(suite, "data=digits", "monitor.probe.labels_per_class=10") == [0.005] * 3 + [None]
    assert smallest_of(suite, "data=cifar10") == [0.005] * 3 + [None]
    suite = write_suite(tmp_path / "two.yaml", **block, smallest_difference=0.01)
    assert smallest_of(suite, "data=digits") == [0.01] * 3 + [None]
