"""Which rows get another seed for a claim: none for what is decided, or what no seed can decide."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.claim_rows import row

from ssl_zoo.suites.claims import parse
from ssl_zoo.suites.extend import rows_to_extend
from ssl_zoo.suites.judge import judge_claim


def extended(text: str, *rows: Any, names: Any = None) -> set[str]:
    mapping = {one.name: one for one in rows}
    return rows_to_extend(parse(text, names or tuple(mapping)), mapping)


WIDE, LOW = [0.6, 0.9, 0.8], [0.1, 0.11, 0.1]


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        ("top1(a) > top1(b)", [row("a", WIDE), row("b", WIDE[::-1])], {"a", "b"}),
        ("top1(a) > top1(b)", [row("a", WIDE), row("b", [*WIDE, 0.75])], {"a"}),
        (
            "top1(a) > top1(b)",
            [row("a", WIDE), row("b", [*WIDE, None])],
            {"a", "b"},
        ),  # a seed without the figure
        ("top1(a) > top1(b)", [row("a", [0.9, 0.91, 0.9]), row("b", LOW)], set()),
        ("top1(a) > 0.75", [row("a", WIDE)], {"a"}),
        ("a is healthy", [row("a", [0.9])], {"a"}),
        ("a is healthy", [row("a", [0.9, 0.9])], set()),
        ("a is healthy", [row("a", errors=["x"])], {"a"}),
        # no seed has the figure, or the rows are the same runs: another seed is no help
        ("a is healthy", [row("a", errors=["x", "y"])], set()),
        ("top1(a) > top1(b)", [row("a", [None, None]), row("b", WIDE)], set()),
        ("top1(a) > top1(b)", [row("a", WIDE), row("b", WIDE, same_as="a")], set()),
    ],
)
def test_the_rows_that_need_another_seed(text: str, rows: Any, expected: set[str]) -> None:
    assert extended(text, *rows) == expected


def test_rows_that_were_not_run_get_no_seed() -> None:
    assert extended("top1(a) > top1(b)", row("a", WIDE), names=("a", "b")) == set()
    assert extended("b is healthy", row("a", WIDE), names=("a", "b")) == set()


def test_against_others_only_the_undecided_ones() -> None:
    a, low, close = row("a", [0.7, 0.9, 0.8]), row("b", LOW), row("c", [0.7, 0.9, 0.79])
    assert extended("top1(a) > top1(others)", a, low, close) == {"a", "c"}
    high = row("d", [0.99, 0.99, 0.99])
    assert extended("top1(a) < top1(others)", a, row("b", [0.1] * 3), close, high) == {"a", "b", "c", "d"}
    far = row("b", [0.1] * 6)
    assert (
        extended("top1(a) < top1(others)", row("a", [0.7, 0.9] * 3), far, close, high) == set()
    )  # it fails against b


def test_a_claim_that_would_take_more_than_100_seeds_is_given_up() -> None:
    """With three seeds a forecast is worth little; from five it is believed."""
    values = [0.6, 0.9, 0.5, 0.8, 0.71]
    few, many = ([row("a", values[:n]), row("b", values[:n][::-1])] for n in (3, 5))
    assert extended("top1(a) > top1(b)", *few) == {"a", "b"}
    assert extended("top1(a) > top1(b)", *many) == set()


def test_a_claim_is_given_up_where_it_would_take_more_seeds_than_there_may_be() -> None:
    rows = {"a": row("a", [0.74, 0.72, 0.71, 0.73, 0.71]), "b": row("b", [0.71, 0.72, 0.73, 0.70, 0.71])}
    claim = parse("top1(a) > top1(b)", ("a", "b"))
    more = judge_claim(claim, rows).more_seeds
    assert more is not None
    assert rows_to_extend(claim, rows, most=5 + more) == {"a", "b"}
    assert rows_to_extend(claim, rows, most=5 + more - 1) == set()
    early = {name: row(name, [run.values["top1"] for run in one.runs[:4]]) for name, one in rows.items()}
    assert rows_to_extend(claim, early, most=4) == {"a", "b"}, "a forecast of four seeds is not believed"
