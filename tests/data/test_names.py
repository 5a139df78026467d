"""Names in arrays, against a tuple of str."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssl_zoo.data.names import Names

TEXTS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9), max_size=12
)


@given(names=TEXTS, data=st.data())
def test_they_are_a_tuple_of_str(names: list[str], data: Any) -> None:
    arrays, expected = Names.of(iter(names)), tuple(names)
    assert arrays == expected
    assert expected == arrays
    assert tuple(arrays) == expected
    assert len(arrays) == len(expected)
    assert [arrays[i] for i in range(-len(names), len(names))] == names + names
    assert bool(arrays) == bool(expected)
    piece = data.draw(st.slices(len(names)))
    assert arrays[piece] == expected[piece]
    assert tuple(reversed(arrays)) == expected[::-1]
    assert "no/such" not in arrays
    if names:
        rows = data.draw(st.lists(st.integers(0, len(names) - 1), max_size=20))
        taken = arrays.take(np.array(rows, np.int64))
        assert taken == tuple(names[row] for row in rows)
        assert taken[::2] == tuple(names[row] for row in rows[::2])
        assert pickle.loads(pickle.dumps(taken)) == taken
        assert Names.of_bytes(taken.text.tobytes()) == taken
        assert arrays.index(names[-1]) == expected.index(names[-1])


def test_others_are_unequal() -> None:
    names = Names.of(("a", "b"))
    assert names != ("a",)
    assert names != ("a", "c")
    assert names != ["a", "b"], "nor is a tuple equal to a list"
    assert names != ("a", "b", "c")
    for position in (2, -3):
        with pytest.raises(IndexError, match="there are 2 names"):
            names[position]
    with pytest.raises(TypeError):
        hash(names)
    assert repr(Names.of("abcd")) == "<4 names: 'a', 'b', 'c', ...>"


def test_a_small_selection_is_pickled_without_the_rest() -> None:
    names = Names.of(f"{number:030d}" for number in range(10_000))
    few = names.take(np.array([9_999, 3]))
    assert len(pickle.dumps(few)) < 1000
    assert pickle.loads(pickle.dumps(few)) == (names[9_999], names[3])


def test_more_than_a_block() -> None:
    names = [f"{number}" for number in range(9_000)]
    arrays = Names.of(names)
    assert list(arrays) == names
    assert list(arrays.take(np.arange(9_000)[::-1])) == names[::-1]


def test_below_a_folder() -> None:
    paths = Names.of_bytes(Names.of(("a.png", "cat/é.png")).below("folder"))
    assert paths == (os.path.join("folder", "a.png"), os.path.join("folder", "cat/é.png"))
    assert Names.of(()).below("folder") == b""


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    cut_off = [b"caf\xe9", b"\xff.png", b"\xe2\x82", b"\xf0\x9f\x90", b"\xed\xa0\x80", "é".encode()]
    names = tuple(map(os.fsdecode, cut_off))
    for name in names:
        (tmp_path / name).touch()
    arrays = Names.of(names)
    assert arrays == names
    assert tuple(arrays) == names, "also where they are decoded together"
    assert tuple(arrays.take(np.array([3, 1, 2]))) == (names[3], names[1], names[2])
    assert sorted(Names.of(os.listdir(tmp_path))) == sorted(names)
