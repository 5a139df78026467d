"""Help of verbs and keys, made from the declarations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.example import install_example

from ssl_zoo.cli.keys import SCHEMAS, declared_keys
from ssl_zoo.cli.main import VERBS, main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.nested import to_dotted
from ssl_zoo.config.origins import values_of
from ssl_zoo.config.registries import METHODS, SOURCES, data_source
from ssl_zoo.config.schema import DataConfig, section

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_docs_list_the_keys() -> None:
    """By a process of its own, in which no other test has registered anything."""
    made = subprocess.run(
        [sys.executable, "-m", "ssl_zoo.cli.keys"], capture_output=True, text=True, check=True
    )
    assert made.stdout == (DOCS / "keys.md").read_text(), "python -m ssl_zoo.cli.keys > docs/keys.md"


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_has_a_meaning(name: str) -> None:
    assert [key.name for key in declared_keys(name) if not key.meaning] == []


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--help"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"  ssl-zoo {verb}")
    name = "train" if verb == "config" else verb
    assert all(
        f"  {key.name}" in printed for key in (declared_keys(name) if name in SCHEMAS else ()) if key.kind
    )


def test_help_of_an_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tran", "--help"]) == 2
    assert "did you mean 'train'" in capsys.readouterr().err


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\nfrom ssl_zoo.cli.main import main\n"
        "main(['eval', '--help']); main(['config', '--describe', 'optimizer.lr']); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("optimizer.lr", "optimizer.lr=0.05  number, above 0"),
        ("optimizer.lr", "method/byol"),
        ("optimizer", "optimizer.final_lr_fraction=0.0"),
        ("knn.k", "ssl-zoo eval"),
        ("linear.optimizer.weight_decay", "linear.optimizer.weight_decay=0.0"),
        ("rows", "in a suite's YAML file"),
        ("slurm.minutes", "ssl-zoo bench"),
        ("include_normalization", "include_normalization=true"),
    ],
)
def test_a_key_is_described(key: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--describe", key]) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["optimizer.lr", "method=byol"], "  optimizer.lr=0.4  recipe/digits/default"),
        (["optimizer.lr", "method=byol", "optimizer.lr=3"], "  optimizer.lr=3.0  override"),
        (["optimizer.lr", "experiment=cifar10/byol"], "  optimizer.lr=0.03  experiment/cifar10/byol"),
        (["optimizer.clip_grad_norm", "method=byol"], "  optimizer.clip_grad_norm=null  default"),
        (
            ["method.prototypes.frozen_epochs", "method=dino"],
            "  method.prototypes.frozen_epochs=1.0  method/dino",
        ),
        (["method.centering", "method=dino"], "  method.centering.decay=0.9  method/dino"),
        (["optimizer.lr", "method=dcl"], "  optimizer.lr=0.4  recipe/digits/default"),
        (["recipe", "method=dcl"], "  recipe=digits/dcl  the choice of files"),
        (["data.mean", "data.channels=3"], "  data.mean=[0.3,0.3,0.3]  data/digits, and the images"),
        (
            ["optimizer.lr", "experiment=imagenet/byol_400"],
            "  optimizer.lr=0.3  experiment/imagenet/byol_200",
        ),
        (["optimizer.lr", "method=vicreg"], "  optimizer.lr=0.05  recipe/digits/vicreg"),
    ],
)
def test_a_value_is_shown_with_where_it_comes_from(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--describe", *arguments]) == 0
    printed = capsys.readouterr().out
    assert f"with {' '.join(arguments[1:])}\n" in printed
    assert expected in printed.partition("\nwith ")[2]


@pytest.mark.parametrize("name", METHODS.names())
def test_the_values_are_those_of_the_run(name: str) -> None:
    values = to_mapping(compose([f"method={name}"]))
    for block in ("method", "data", "backbone", "augment", "optimizer"):
        shown = {each.key: each.value for each in values_of(block, [f"method={name}"])}
        assert shown == to_dotted({block: values[block]})


def test_an_unknown_key_is_answered_with_keys_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--describe", "nonsense"]) == 2
    listed = capsys.readouterr().err.partition("there are ")[2]
    assert "include_normalization" in listed
    assert "=" not in listed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["optimizer.lrr"], "unknown key 'optimizer.lrr'; did you mean 'optimizer.lr'?"),
        (["stop_gradient"], "did you mean 'method.stop_gradient'?"),
        (["head_lr"], "unknown key 'head_lr'; there are finetune.head_lr_multiplier"),
        ([], "config --describe takes one key or block, and overrides; received 0"),
        (["epochs", "seed"], "received 2"),
        (["knn.k", "method=byol"], "'knn.k' is none of the run's of method=byol; leave the overrides out"),
        (["epochs", "method=byoll"], "did you mean 'byol'?"),
        (["epochs", "epochs=-1"], "epochs"),
    ],
)
def test_what_cannot_be_described(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "--describe", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("data.images", "data.images=600  whole number, at least 3\n      Training images;"),
        ("compress", "compress=false  true or false"),
        ("centroid.center", "centroid.center=false"),
        ("method.lambda_param", "method.lambda_param=0.005  number, above 0\n      Weight"),
    ],
)
def test_keys_of_a_plugin_are_described(
    key: str,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install_example(tmp_path, monkeypatch)
    assert main(["config", "--describe", key]) == 0
    assert expected in capsys.readouterr().out


@section
class OtherConfig(DataConfig):
    """The keys of another source."""

    images: int = 7
    """Pages."""


def test_a_key_of_two_sources_is_shown_with_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_example(tmp_path, monkeypatch)
    data_source("other", config=OtherConfig)(lambda config: None)
    SOURCES.get("shapes")
    assert main(["config", "--describe", "data.images"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:1].strip() or "=" in line]
    other = ["data.source=other: The keys of another source.", "  data.images=7  whole number"]
    shapes = [
        "data.source=shapes: The keys that `data.` takes with data.source=shapes.",
        "  data.images=600  whole number, at least 3",
    ]
    assert lines == ["ssl-zoo train", *other, *shapes]
