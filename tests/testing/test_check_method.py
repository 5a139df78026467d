"""Each planted fault is caught by the clause that is about it; test_contracts.py checks the real methods."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ssl_zoo.cli.main import main
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import UserError
from ssl_zoo.testing import ContractError, check_clauses, check_method, clauses

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.processes]

# Name of the method in helpers/planted_methods.py: the clauses that it breaks, and what the first one says.
FAULTS: dict[str, tuple[set[str], str]] = {
    "no_gather": ({"two_processes"}, "ssl_zoo.gather"),
    "queue_outside": ({"resume", "one_device"}, "not saved: queue; register"),
    "queue_in_loss": ({"accumulation"}, "queue changed; note in loss"),
    "never_emptied": ({"resume"}, "not saved: noted; register"),
    "detach": ({"gradients"}, "every trained parameter of the backbone"),
    "counter": ({"resume"}, "not saved: done; register"),
    "bf16": ({"finite_in_bf16"}, "and finite gradients in bf16 autocast"),
    "generator": ({"same_seed", "accumulation", "two_processes", "resume"}, "losses that differ in step 1"),
    "target": ({"gradients"}, "no gradient in target, a copy of the encoder"),
    "unfrozen": ({"gradients"}, "a gradient in every parameter that requires one"),
    "device": ({"one_device"}, "register_buffer"),
    "labels": ({"two_processes"}, "the mean of the two losses as of one process"),
    "sizes": ({"several_sizes"}, "views of which the last has 8 pixels"),
}


@pytest.fixture(scope="module", autouse=True)
def _planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("configs") / "method"
    folder.mkdir()
    for name in ("sound", "queue", *FAULTS):
        (folder / f"planted_{name}.yaml").write_text(f"method: {{name: planted_{name}}}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_ZOO_CONFIGS", str(folder.parent))
        patch.setattr(METHODS, "_entries", dict(METHODS._entries))
        importlib.import_module("helpers.planted_methods")
        yield


@pytest.mark.parametrize("name", ["sound", "queue"])
def test_without_its_fault_a_planted_method_keeps_the_contract(name: str) -> None:
    outcomes = [*check_clauses(f"planted_{name}")]
    assert [checked.clause for checked in outcomes] == [*clauses()]
    assert {checked.clause: checked.sentence for checked in outcomes if checked.outcome != "ok"}.keys() <= {
        "several_sizes"
    }


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught_by_its_clause(fault: str) -> None:
    names, sentence = FAULTS[fault]
    with pytest.raises(ContractError) as caught:
        check_method(f"planted_{fault}")
    assert caught.value.broken.keys() == names, str(caught.value)
    first = next(iter(caught.value.broken.values()))
    assert sentence in first
    assert f"- {next(iter(caught.value.broken))}: expected " in str(caught.value)


def test_only_the_clauses_that_were_asked_for_are_checked() -> None:
    check_method("planted_no_gather", clauses=["finite", "gradients"])
    with pytest.raises(UserError, match=r"unknown clause 'resum'.*did you mean 'resume'"):
        check_method("planted_no_gather", clauses=["resum"])


def test_overrides_are_the_users() -> None:
    """A wrong one is no fault of the method; a right one is what is checked."""
    with pytest.raises(UserError, match="lambda"):
        check_method("planted_sound", "method.lambda=1")
    check_method("simsiam", "method.predictor.kind=linear", clauses=["finite"])


def test_of_a_yaml_that_does_not_compose_nothing_else_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "method").mkdir()
    (tmp_path / "method" / "planted_sound.yaml").write_text("method: {name: planted_sound, temperature: 1}\n")
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    with pytest.raises(ContractError, match="breaks 1 clause of") as caught:
        check_method("planted_sound")
    assert "temperature" in caught.value.broken["composes"]


def test_a_method_without_a_source_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["helpers.planted_methods"], "__doc__", "Nobody's.")
    with pytest.raises(
        ContractError, match=r"cites: expected .*found no address in either; add for instance"
    ):
        check_method("planted_sound", clauses=["cites"])


def test_the_document_lists_the_clauses() -> None:
    rows = [f"| `{name}` | {demand.rstrip('.')} |\n" for name, demand in clauses().items()]
    assert "| clause | demands |\n|---|---|\n" + "".join(rows) in (ROOT / "docs" / "adding.md").read_text()


def test_the_command_prints_a_line_per_clause(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "method=planted_detach"]) == 1
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert len(lines) == len(clauses())
    assert lines[0] == f"ok              composes         {clauses()['composes']}"
    [broken] = [line for line in lines if line.startswith("broken")]
    assert broken.startswith(
        "broken          gradients        expected a gradient in every trained parameter"
    )
    assert error == "ssl-zoo: method 'planted_detach' breaks 1 clause of the contract: gradients\n"
    assert main(["check", "method=planted_sound", "epochs=1"]) == 0
    capsys.readouterr()
    assert main(["check", "method=planted_detach", "clauses=[finite,cites]"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["finite", "cites"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "check takes method=NAME"),
        (["method=simsia"], "did you mean 'simsiam'"),
        (["method=simsiam", "epochs=x"], "epochs"),
        (["method=simsiam", "clauses=resum"], "did you mean 'resume'"),
        (["method=simsiam", "method.batch_norm=local", "batch_size=0"], "batch_size"),
    ],
)
def test_wrong_overrides_of_the_command_are_refused(
    overrides: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *overrides]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert message in error
