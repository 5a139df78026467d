"""Drawn input: overrides, options, YAML and run directories that nobody means well. Nothing ends in a traceback.

Each input is taken, or refused by a `UserError` with one bounded message. The suite draws the same few hundred
each time; `SSL_ZOO_FUZZ=50 pytest tests/config/test_fuzz.py` draws fifty times as many, others each time.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.saved_runs import train_tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssl_zoo.cli.listing import show_list
from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunSettings, SiameseConfig
from ssl_zoo.config.validate import keys
from ssl_zoo.embedding.schema import EmbedConfig, read_embed
from ssl_zoo.embedding.store import Store
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.compose import compose_evaluations, read_eval
from ssl_zoo.evaluation.protocol import expand
from ssl_zoo.evaluation.protocols import eval_config
from ssl_zoo.exporters.card import write_card
from ssl_zoo.exporters.encoder import ExportedFiles, encoder_of
from ssl_zoo.exporters.formats import read_export
from ssl_zoo.exporters.schema import OnnxConfig
from ssl_zoo.importers.schema import ImportConfig, read_import
from ssl_zoo.reports.evaluation_table import evaluation_table
from ssl_zoo.reports.options import ReportConfig, read_report
from ssl_zoo.reports.report import report
from ssl_zoo.reports.run_sections import RunSummary, accuracies, badge, diagnostics, facts, provenance
from ssl_zoo.run_dir.continuation import compose_run
from ssl_zoo.run_dir.metrics_csv import column, read_metrics
from ssl_zoo.run_dir.run_files import read_environment, read_evaluations, typed_command
from ssl_zoo.run_dir.saved_run import open_run
from ssl_zoo.suites.options import BenchConfig, read_bench
from ssl_zoo.suites.read import read_suite
from ssl_zoo.suites.schema import SuiteConfig

TIMES = int(os.environ.get("SSL_ZOO_FUZZ", "1"))
CALM = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large)


def drawn(examples: int) -> settings:
    return settings(
        max_examples=examples * TIMES,
        derandomize=TIMES == 1,
        database=None,
        suppress_health_check=CALM,
    )


def taken_or_refused(function: Callable[[], Any]) -> None:
    """Calls; whatever is raised other than a `UserError` with a bounded, printable message fails the test."""
    try:
        function()
    except UserError as error:
        message = str(error)
        assert 0 < len(message) <= 4000
        assert all(char.isprintable() or char == "\n" for char in message)


# What is written after `key=`, in Hydra's syntax or against it.
NASTY = st.sampled_from(
    [
        "", "''", "null", "true", "-1", "0", "1e308", "1e999", "nan", "-inf", "0x10", "1_0", "9" * 5000, "1.8e19",
        "18446744073709551616", "[" * 40, "[" * 9 + "]" * 9, "{a:" * 9 + "1" + "}" * 9, "[]", "{}", "[[1],[2]]",
        "{a:1}", "{1:2}", "{null:1}", "1,2", "glob(*)", "range(0,9)", "choice(1,2)", "interval(0,1)", "sort(2,1)",
        "shuffle(1,2)", "tag(a,1)", "int(x)", "float('1')", "str([1])", "bool(2)", "json_str(1)", "extend_list(1)",
        "${seed}", "${x}", "${epochs}", "${oc.env:NOPE}", "${oc.decode:'['}", "${oc.create:1}", "${", "}", "???",
        "'\x1b[2J'", "'\n'", "'\x00'", "\\", "'", '"', "a=b", "@x", "a" * 3000, "[/red]", "' '", "é", "\udcff", "~/x",
        "/proc/x", "../..", "simsiam", "digits", "none", "imagefolder", "cifar10/simsiam",
    ]
)  # fmt: skip
TEXT = st.text(max_size=20) | st.text(alphabet="[]{}()'\"\\=,:$@~+-.0123456789ae \t", max_size=20)
VALUE = NASTY | TEXT | st.integers().map(str) | st.floats().map(str)
OWN = [
    "method",
    "data",
    "recipe",
    "experiment",
    "hydra.searchpath",
    "hydra.run.dir",
    "augment.views.a.size",
]
ODD = [
    "",
    "x",
    "epochs.a",
    "data.mean.0",
    "~epochs",
    "+seed",
    "++seed",
    "method@x",
    "$x",
    "k" * 5000,
    "[/red]",
]
TRAINED = [*keys(RunSettings), *keys(SiameseConfig, "method"), *OWN, *ODD]


def drawn_overrides(names: list[str], most: int = 3) -> st.SearchStrategy[list[str]]:
    override = st.tuples(st.sampled_from(names), VALUE).map("=".join) | TEXT | NASTY
    return st.lists(override, min_size=1, max_size=most)


@pytest.mark.slow
@drawn(50)
@given(drawn_overrides(TRAINED))
def test_overrides_of_training(overrides: list[str]) -> None:
    taken_or_refused(lambda: compose(overrides))


def evaluations_of(overrides: list[str]) -> Any:
    return compose_evaluations(read_eval(overrides), None)


READERS: dict[str, tuple[Callable[[list[str]], Any], list[str]]] = {
    "eval": (evaluations_of, [*keys(eval_config()), "protocol", "knn.k"]),
    "embed": (read_embed, [*keys(EmbedConfig)]),
    "export": (read_export, [*keys(OnnxConfig)]),
    "import": (read_import, [*keys(ImportConfig)]),
    "report": (read_report, [*keys(ReportConfig)]),
    "bench": (read_bench, [*keys(BenchConfig), "eval.knn.k", "eval.run"]),
    "list": (show_list, ["methods"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("verb", READERS)
def test_options_of_verbs(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    read, names = READERS[verb]

    @drawn(60)
    @given(drawn_overrides([*names, "data", "data.limit", "data.mean", *ODD], most=4))
    def fuzz(overrides: list[str]) -> None:
        taken_or_refused(partial(read, overrides))

    fuzz()


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return inner | st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)


LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just(10**400)
)  # 10**400 is more than a float holds
JSON = _nested(_nested(LEAF))


def _block(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(names) | st.text(max_size=5), JSON, max_size=4)


BROKEN = st.sampled_from(
    [b"", b"\xff\x00", b"[" * 100_000, b"{", b"a: [", b"a: &a [*a]", b"x: 0x" + b"f" * 9000, b"- 1"]
)
SUITE = {
    "title": "t",
    "paper": "p",
    "source": "s",
    "section": "1",
    "question": "?",
    "rows": {"a": {}, "b": {}},
}


@pytest.mark.slow
@drawn(30)
@given(_block([*keys(SuiteConfig)]).map(lambda more: yaml.safe_dump({**SUITE, **more}).encode()) | BROKEN)
def test_yaml_of_suites(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "suite.yaml"
    file.write_bytes(text)
    taken_or_refused(lambda: read_suite(str(file)))


@pytest.mark.slow
@drawn(30)
@given(
    _block(["kind", "knn", "protocols", "other_data"]).map(lambda block: yaml.safe_dump(block).encode())
    | BROKEN
)
def test_yaml_of_protocols(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "protocol").mkdir(exist_ok=True)
    (tmp_path / "protocol" / "drawn.yaml").write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
        taken_or_refused(lambda: expand("drawn"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = train_tiny(tmp_path_factory.mktemp("fuzz") / "run")
    record = {
        "protocol": "knn",
        "kind": "knn",
        "encoder": {},
        "rows": [{"k": 1, "top1": 0.5}],
        "metric": "top1",
    }
    (folder / "eval-knn.json").write_text(json.dumps(record))
    return folder


def _read_all(run: Path) -> None:
    """What eval, report and export read of a run, but for its images."""
    taken_or_refused(lambda: compose_run([f"run_dir={run}", "resume=auto"]))
    saved = open_run(run)
    summary = RunSummary.of(saved)
    accuracies(summary, True)
    diagnostics(summary)
    provenance(summary, "")
    facts(summary, 1)
    badge(summary)
    evaluation_table(saved, None)
    column(read_metrics(run), "loss")
    typed_command(read_environment(run))
    read_evaluations(run)
    encoder = encoder_of(saved, "trained", None)
    write_card(encoder, ExportedFiles(files={}, code=""), run.parent)


FILES = ["result.json", "environment.json", "eval-knn.json"]


@pytest.mark.slow
@drawn(20)
@given(st.sampled_from(FILES), st.integers(0, 40), JSON)
def test_wrong_types_in_a_run(run: Path, name: str, number: int, value: Any) -> None:
    file = run / name
    whole = file.read_text()
    values = json.loads(whole)
    values[list(values)[number % len(values)]] = value
    file.write_text(json.dumps(values))
    try:
        taken_or_refused(lambda: _read_all(run))
    finally:
        file.write_text(whole)


DAMAGED = [*FILES, "metrics.csv", "config.yaml", "checkpoints/last.ckpt", "checkpoints"]
CONTENTS = BROKEN | st.binary(max_size=50) | st.just(b"epoch,loss\nnan,1e999\n-inf,x\n,\n1,2,3\n") | st.none()


@pytest.mark.slow
@drawn(20)
@given(st.sampled_from(DAMAGED), CONTENTS, st.floats(0, 1))
def test_damaged_files_of_a_run(
    run: Path, tmp_path: Path, name: str, contents: bytes | None, share: float
) -> None:
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("tensorboard"))
    file = copy / name
    whole = b"" if file.is_dir() else file.read_bytes()
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    if contents is None:
        file.mkdir()
    else:
        file.write_bytes(contents or whole[: int(share * len(whole))])
    taken_or_refused(lambda: _read_all(copy))


@drawn(20)
@given(
    st.sampled_from(["begun.json", "position.json"]),
    BROKEN | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_damaged_parts_of_an_embedding(tmp_path: Path, name: str, contents: bytes) -> None:
    folder = tmp_path / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    begin = partial(Store, folder, {"a": 1}, 2, "float32")
    begin().close()
    (folder / name).write_bytes(contents)
    taken_or_refused(lambda: begin().close())


@drawn(20)
@given(BROKEN | _block(["rows", "claims", "suite"]).map(lambda block: json.dumps(block).encode()))
def test_damaged_records_of_suites(tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "suite.json").write_bytes(contents)
    (tmp_path / "report.json").write_bytes(contents)
    taken_or_refused(lambda: report([str(tmp_path)], silent=True))
