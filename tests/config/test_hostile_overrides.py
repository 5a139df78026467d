"""Overrides that nobody means well: each is refused with one bounded message, or read; never a traceback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import check_path

HOSTILE = {
    "more digits than Python reads": (["epochs=" + "9" * 5000], "cannot be read as key=value"),
    "bytes that are no UTF-8": (["run_dir='runs/\udcc3'"], "LC_ALL=C.UTF-8"),
    "an accent without quotes": (["run_dir=runs/\u00fc"], "accents in quotes"),
    "brackets": (["data.mean=" + "[" * 300 + "]" * 300], "brackets in a value stand 16 deep at most"),
    "a long key": (["k" * 10_000 + "=1"], "a key has at most 200 characters"),
    "a long name": (["method=" + "x" * 10_000], "characters left out"),
    "Hydra's glob": (["epochs=glob(*)"], "options set one value each"),
    "Hydra's range": (["seed=range(0,5)"], "options set one value each"),
    "Hydra's choice": (["method=choice(byol,moco)"], "options set one value each"),
    "two for one": (["epochs=1,2"], "options set one value each"),
    "an interpolation in a circle": (["epochs=${seed}", "seed=${epochs}"], "cannot be composed"),
    "a variable that is not set": (["epochs=${oc.env:SSL_ZOO_NOT_SET}"], "SSL_ZOO_NOT_SET"),
    "2**64": (["seed=18446744073709551616"], "seed must be less than 4294967296"),
    "more than counters hold": (["data.limit=99999999999"], "at most 2147483647"),
    "no factor of a colour": (["augment.jitter.saturation=1.8e19"], "at most 100"),
    "0 for no recipe": (["recipe=0"], "recipe takes a name"),
    "nothing for no recipe": (["recipe=''"], "recipe takes a name"),
    "a block for no recipe": (["recipe={}"], "recipe takes a name"),
    "a list for no experiment": (["experiment=[]"], "experiment takes a name"),
    "a blank path": (["run_dir=' '"], "not blank"),
    "the home of nobody": (["run_dir='~no such user/a'"], "no home folder"),
    "a long path": (["run_dir=" + "x" * 300], "each name in it of 255"),
    "a long folder of YAML": (["hydra.searchpath=[" + "x" * 300 + "]"], "each name in it of 255"),
    "an escape sequence": (["method='\x1b[2J'"], "\\x1b[2J"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_refused_in_one_bounded_message(kind: str) -> None:
    overrides, message = HOSTILE[kind]
    with pytest.raises(UserError) as refused:
        compose(overrides)
    output = str(refused.value)
    assert message in output
    assert len(output) < 1000
    assert output.isprintable()


@pytest.mark.parametrize("overrides", [None, [1], "a=b", [None], b"a=b", {"epochs=1": 2}, 5, [["epochs=1"]]])
@pytest.mark.parametrize("function", ["compose", "train", "evaluate", "report", "export", "embed", "bench"])
def test_overrides_that_are_no_list_of_strings(function: str, overrides: Any) -> None:
    with pytest.raises(UserError, match=r"overrides are a list of strings.*; write for instance"):
        getattr(ssl_zoo, function)(overrides)


@pytest.mark.parametrize("overrides", [("epochs=3",), ["epochs=3", "recipe=null"], iter(["epochs=3"])])
def test_any_series_of_strings_will_do(overrides: Sequence[str]) -> None:
    assert compose(overrides).epochs == 3


@pytest.mark.parametrize(
    "path", ["", " ", "a\nb", "a\x1bb", "x" * 256, "a/" * 3000, "~no such user/a", "\udcff"]
)
def test_what_can_be_no_path(path: str) -> None:
    with pytest.raises(ValueError, match="must be a path"):
        check_path(path)


@pytest.mark.parametrize("path", ["a b", "é/±", "~/x", ".", "x" * 255, "a=b"])
def test_what_can_be_a_path(path: str) -> None:
    assert check_path(path) == path
