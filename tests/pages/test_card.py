"""A card is safe, and its curves are where the figures are."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET

import pytest

from ssl_zoo.pages.card import HEIGHT, LEFT, RIGHT, TOP, WIDTH, Card, CardTable, Curve, card_html
from ssl_zoo.pages.page import Badge, Cell, Details

BAD = "<img src=x onerror=alert(1)>\"'&"


def test_all_text_is_escaped() -> None:
    rows: list[list[str | Badge | Cell]] = [[BAD, Badge(BAD), Cell(BAD, note=BAD)]]
    page = card_html(
        Card(
            BAD,
            badge=Badge(BAD),
            texts=[BAD],
            tables=[CardTable((BAD, BAD, BAD), rows, BAD, hints=(BAD, BAD, BAD))],
            curves=[Curve(BAD, [0, 1], [0, 1], [(BAD, 0.5)])],
            details=[Details(BAD, BAD)],
            foot=BAD,
        )
    )
    root = ET.fromstring(page)  # well-formed: nothing broke out of its place
    assert "img" not in {element.tag for element in root.iter()}
    assert "script" not in page
    titles = [th.get("title") for th in root.iter("th")]
    assert titles == [BAD] * 3


def test_a_curve_passes_through_its_points() -> None:
    curve = Curve("loss", [0, 5, 10], [1.0, 0.5, 0.0])
    points = [tuple(map(float, point.split(","))) for point in curve.points.split()]
    bottom = HEIGHT - 16
    assert points == [
        (LEFT, TOP),
        (pytest.approx((LEFT + WIDTH - RIGHT) / 2), pytest.approx((TOP + bottom) / 2)),
        (WIDTH - RIGHT, bottom),
    ]
    assert curve.in_words == "loss: 1.00 at epoch 0, 0 at epoch 10"


def test_what_cannot_be_drawn_is_left_out() -> None:
    curves = [
        Curve("empty", [], []),
        Curve("nan", [0, 1], [math.nan, math.inf]),
        Curve("one", [3], [0.5], in_percent=True),
        Curve("flat", [0, 1, 2], [2.0, math.nan, 2.0]),
    ]
    root = ET.fromstring(card_html(Card("x", curves=curves)))
    assert [figure.findtext("figcaption") for figure in root.iter("figure")] == ["one", "flat"]
    for line in root.iter("polyline"):
        numbers = [float(n) for point in str(line.get("points")).split() for n in point.split(",")]
        assert all(map(math.isfinite, numbers))


def test_columns_of_figures_stand_at_the_right() -> None:
    table = CardTable(
        ("name", "value", "mixed", "empty"), [["a", "1.5 ± 0.2 %", "–", ""], ["b", "–", "x", ""]]
    )
    assert [table.is_right(column) for column in range(4)] == [False, True, False, False]
