"""Charts with odd names, really drawn."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ssl_zoo.pages.charts import IntervalRow, Series, curves, curves_size, intervals
from ssl_zoo.pages.drawing import LIGHT, _settings, chart
from ssl_zoo.pages.legend import POINTS, columns, drawable
from ssl_zoo.pages.maps import map_size, scatter

XY = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)


def laid_out(paint: Any, size: Any) -> Any:
    """A figure as it is drawn for a page, after its layout."""
    with mpl.rc_context(_settings(LIGHT)):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        paint(figure, LIGHT)
        figure.draw_without_rendering()
    return figure


def check_within(figure: Any) -> None:
    """The legend lies in the picture, below axes that have kept their height."""
    (legend,) = figure.legends
    box, axes = legend.get_window_extent(), figure.axes[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert 0 <= box.y0 < box.y1 <= min(figure.bbox.height, axes.y0)
    assert axes.height > 2.2 * figure.dpi


def a_map(names: Any, others: bool = True) -> Any:
    groups = np.arange(60) % (len(names) + others)
    groups[groups == len(names)] = -1
    return scatter("trained encoder", XY, groups, names)


@pytest.mark.parametrize(
    "names",
    [
        [f"golden retrieve{i}" for i in range(10)],
        ["WWWWWWWWWWWWWWWW"] * 20,
        ["a", "b", "c"],
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
        ["a name that is far longer than there is room for"] * 3,
    ],
)
def test_the_legend_of_a_map_lies_within_the_picture(names: Any) -> None:
    check_within(laid_out(a_map(names), map_size(names)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["simsiam-without-stop-gradient-s", "W" * 34, "a"])
def test_the_legend_of_curves_lies_within_the_picture(name: Any) -> None:
    series = [Series(f"{name}{i}", [0, 1], [1.0, 0.1], i) for i in range(10)]
    check_within(laid_out(curves("kNN", series), curves_size(series)))


def test_short_names_stand_in_rows() -> None:
    names = [*"abcdefg"]
    assert columns(names, 4.0, POINTS) == 5
    figure = laid_out(a_map(names, others=False), map_size(names))
    boxes = {text.get_text(): text.get_window_extent() for text in figure.legends[0].get_texts()}
    left = [boxes[name].x0 for name in names]
    assert left[:5] == sorted(left[:5])
    assert left[5:] == pytest.approx(left[:2])
    assert max(boxes[name].y1 for name in "fg") < min(boxes[name].y0 for name in "abcde")


@pytest.mark.slow
@pytest.mark.parametrize("odd", ["_hidden", r"$\frac$", "a$b$c"])
def test_names_are_drawn_as_they_are(odd: str) -> None:
    names = [odd, "plain"]
    figure = laid_out(a_map(names), map_size(names))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [odd, "plain", "others"]
    series = [Series(name, [0, 1], [1.0, 0.1], place) for place, name in enumerate(names)]
    overlaid = laid_out(curves("loss", series), curves_size(series))
    assert [text.get_text() for text in overlaid.legends[0].get_texts()] == names
    rows = [IntervalRow(name, 1.0, 0.5, 1.5) for name in names]
    assert chart("scores", intervals("score", rows), alt="x", size=(5.2, 2.0)).png.startswith(b"\x89PNG")


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    series = [Series("a", [1, 2], [1.0, 1e-3]), Series("b", [1, 2], [0.5, 1e-12])]
    axes = laid_out(curves("spectrum", series, log_y=True), (4.6, 3.0)).axes[0]
    digits = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert len(labels) > 2
    assert [10.0 ** int(label.removeprefix("10").translate(digits)) for label in labels] == pytest.approx(
        list(axes.get_yticks())
    )


def test_names_whose_letters_the_font_lacks_are_numbered() -> None:
    assert drawable(["chat", "Straße", "кот", "_a$"]) == ["chat", "Straße", "кот", "_a$"]
    assert drawable(["dog", "猫"]) == ["1", "2"]
    assert drawable(["dog", "猫"], "run") == ["run 1", "run 2"]
    assert drawable(["a\nb"]) == ["1"]
    names = drawable(["猫", "犬"])
    assert chart("map", a_map(names), alt="x", size=map_size(names)).png  # a letter that lacks would warn
