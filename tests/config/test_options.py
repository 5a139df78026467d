"""The overrides of the verbs that take a saved run."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

import pytest
from helpers.saved_runs import train_tiny

from ssl_zoo.config.compose import compose
from ssl_zoo.config.options import commands_allowed, data_for, read_options
from ssl_zoo.config.overrides import read_override, write_override
from ssl_zoo.errors import UserError
from ssl_zoo.run_dir.saved_run import SavedRun, open_run


def test_overrides_become_nested_values() -> None:
    values, about_data = read_options(
        [
            "protocol=knn,few_labels",
            "knn.k=[10,20]",
            "knn.chunk_size=64",
            "run='a b'",
            "data=digits",
            "data.limit=9",
        ]
    )
    assert values == {
        "protocol": ["knn", "few_labels"],
        "knn": {"k": [10, 20], "chunk_size": 64},
        "run": "a b",
    }
    assert about_data == ["data=digits", "data.limit=9"]


def test_a_path_or_an_argument_without_a_key_is_the_run(tmp_path: Path) -> None:
    odd = tmp_path / "lr=0.1 [x], 'y'"
    odd.mkdir()
    assert read_options([str(odd), "knn.k=[10]"]) == ({"run": str(odd), "knn": {"k": [10]}}, [])
    assert read_options(["missing"]) == ({"run": "missing"}, [])
    assert read_options(["a", "run=[b,c]"], several=True) == ({"run": ["a", "b", "c"]}, [])
    assert read_options(["run=a"], several=True) == ({"run": ["a"]}, [])
    for overrides in (["a", "b"], ["a", "run=b"]):
        with pytest.raises(UserError, match=r"one run is taken; received 'a' and 'b'; .*key=value"):
            read_options(overrides)


@pytest.mark.parametrize(
    "value", ["a", "a b", "a,b", "[a]", "a=b", "ä b", "it's", "a\\'b\\", "12", "null", " a", "r[/red]x"]
)
def test_a_written_override_reads_back(value: str) -> None:
    assert read_override(write_override("run_dir", value)) == ("run_dir", value)


@pytest.mark.parametrize("override", ["-run", "=3", "k=range(1,3)", "a=[1"])
def test_overrides_that_cannot_be_read(override: str) -> None:
    with pytest.raises(UserError):
        read_options([override])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> SavedRun:
    return open_run(train_tiny(tmp_path_factory.mktemp("options") / "run"))


def test_data_are_the_runs_with_the_overrides(run: SavedRun) -> None:
    assert data_for([], run.config) == run.config.data
    changed = data_for(["data.limit=20", "data.holdout=0.5"], run.config)
    assert (changed.name, changed.limit, changed.holdout, changed.mean) == ("digits", 20, 0.5, (0.3,))


def test_other_data_are_preprocessed_as_the_encoder_saw_images(run: SavedRun) -> None:
    other = data_for(["data=cifar10"], run.config)
    assert (other.name, other.channels, other.mean, other.std) == ("cifar10", 1, (0.3,), (0.37,))
    assert data_for(["data=cifar10", "data.mean=[0.5]"], run.config).mean == (0.5,)
    assert data_for(["data=cifar10", "data.mean=[0.5]"], run.config).std == (0.37,)
    deep = dataclasses.replace(run.config, data=data_for(["data.bit_depth=16"], run.config))
    assert data_for(["data=cifar10"], deep).bit_depth == 16
    with pytest.raises(UserError, match="what the encoder was trained with, 1; received 3"):
        data_for(["data=cifar10", "data.channels=3"], run.config)
    assert data_for(["data=cifar10"], None).mean == (0.4914, 0.4822, 0.4465)


@pytest.mark.parametrize("key", ["train", "test"])
def test_a_command_in_a_runs_file_is_run_only_where_it_is_given_anew(
    key: str, run: SavedRun, tmp_path: Path
) -> None:
    command = f"pipe:echo > {tmp_path / 'ran'}"
    webdataset = compose(["data=webdataset", "data.train=shards.tar", "data.channels=1"]).data
    hostile = dataclasses.replace(run.config, data=dataclasses.replace(webdataset, **{key: command}))
    with pytest.raises(UserError, match="only where it is given anew") as refused:
        data_for(["data.limit=20"], hostile)
    assert shlex.quote(write_override(f"data.{key}", command)) in str(refused.value)
    assert data_for(["data=digits"], hostile).name == "digits"
    with commands_allowed():
        assert getattr(data_for(["data.limit=20"], hostile), key) == command
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["data.limi=3"], "did you mean 'data.limit'"),
        (["data=cifar"], "did you mean"),
        (["data.holdout=2"], "less than 1"),
    ],
)
def test_wrong_data(overrides: list[str], reason: str, run: SavedRun, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        data_for(overrides, run.config)
    if overrides[0].startswith("data."):
        with pytest.raises(UserError, match="received no data="):
            data_for(overrides, None)
