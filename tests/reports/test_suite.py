"""The report of a suite: what stands on the page, in Markdown and in the CSV, and what its pictures draw."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.suite_records import a_row, a_run, a_suite, claims, incomplete
from matplotlib.figure import Figure

from ssl_zoo.metrics import METRICS, SUITE, declared
from ssl_zoo.pages import drawing
from ssl_zoo.pages.drawing import LIGHT
from ssl_zoo.pages.markdown import markdown
from ssl_zoo.pages.row_charts import Difference, Group, against, differences, heat_map
from ssl_zoo.reports import suite_curves as panels
from ssl_zoo.reports import suite_figures as figures
from ssl_zoo.reports.outcomes import counted
from ssl_zoo.reports.suite import contents, suite_page
from ssl_zoo.reports.suite_claims import claims_badge
from ssl_zoo.reports.suite_figures import numbered
from ssl_zoo.suites.aggregate import Aggregate
from ssl_zoo.suites.record import OUTCOMES, ClaimRecord, read
from ssl_zoo.suites.schema import PANELS


@pytest.fixture(autouse=True)
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing is nearly all of the time; the painters have their own tests, and the pages one in a browser."""
    monkeypatch.setattr(drawing, "_drawn", lambda paint, theme, size, *forms: [b"drawn"] * len(forms))


def words_of(html: Any) -> Any:
    """The visible text of a page."""
    body = re.sub(r"<style.*?</style>|<script.*?</script>|<wbr>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def tables_of(text: Any) -> Any:
    """The tables of a Markdown text, each a list of rows of cells."""
    found = re.findall(r"(?:^\|.*\|\n?)+", text, flags=re.M)
    return [
        [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table.splitlines()]
        for table in found
    ]


def painted(paint: Any) -> Any:
    figure = Figure()
    paint(figure, LIGHT)
    return figure


def test_the_table_has_mean_and_std_with_n_minus_1(tmp_path: Path) -> None:
    record = a_suite([a_row(tmp_path, "sg", paper=67.7)])
    text = contents(record, tmp_path)["report.md"].decode()
    header, _, row, untrained = tables_of(text)[0]
    values = [0.9, 0.92, 0.94]
    expected = f"{100 * np.mean(values):.1f} ± {100 * np.std(values, ddof=1):.1f} %"
    assert dict(zip(header, row, strict=True)) == {
        "row": "sg", "top-1": expected, "paper": "67.7 %", "kNN": "95.0 ± 0.0 %", "output std ratio": "0.991 ± 0.000",
        "verdict": "✓ 3 × healthy", "whole run, s": "60.0 ± 0.0",
    }  # fmt: skip
    assert untrained[:3] == ["untrained encoder (before training)", "80.0 ± 0.0 %", "–"]


@pytest.mark.parametrize(
    ("metric", "values", "said"),
    [
        ("top1", (0.9,), "90.0 %"),
        ("top1", (), "–"),
        ("a-protocol", (0.5, 0.7), "60.0 ± 14.1 %"),
        ("output_std_ratio", (0.00735, 0.01205), "0.0097 ± 0.0033"),
        ("views_per_second", (1449.0, 1577.0), "1513 ± 91"),
        ("loss", (-1.0, -1.000001), "−1.00 ± 0.00"),
        ("images_seen", (56320.0, 56320.0), "56,320"),
        ("tuned", (1.6, 0.8, 1.6), "0.8, 1.6"),
    ],
)
def test_a_mean_is_written_as_its_spread_allows(metric: str, values: Any, said: str) -> None:
    assert str(Aggregate(metric, values)) == said
    if len(values) > 1:
        assert Aggregate(metric, values).std == pytest.approx(np.std(values, ddof=1))


def test_one_seed_has_no_spread(tmp_path: Path) -> None:
    record = a_suite([a_row(tmp_path, "sg", seeds=(0,)), a_row(tmp_path, "no_sg", seeds=(0,))], seeds=(0,))
    text = contents(record, tmp_path)["report.md"].decode()
    assert "±" not in text
    assert "One seed: no spread is known." in text
    assert "× 1 seed " in text


def test_an_incomplete_suite_tells_what_is_missing(tmp_path: Path) -> None:
    files = contents(incomplete(tmp_path), tmp_path)
    for text in (words_of(files["report.html"].decode()), files["report.md"].decode().replace("&lt;", "<")):
        assert "UserError: <b>lr</b> is above 0, got -1" in text
        assert "2 of 9 runs have no result." in text
        assert "2 of 3 runs without a result" in text
        assert "the same run as sg on this data" in text
        assert "1 × collapsed, 1 × failed, 1 × no result yet" in text
        assert "1 of 3 claims holds, 1 fails, 1 is undecided" in text
    assert b"<b>lr" not in files["report.html"]


def test_claims_come_first_and_state_is_not_told_by_colour_alone(tmp_path: Path) -> None:
    html = contents(incomplete(tmp_path), tmp_path)["report.html"].decode()
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", html)
    assert headings == ["Claims", "Results", "Learning curves", "Cost", "Protocol", "How to run it again"]
    text = words_of(html)
    for state, mark in (("holds", "✓"), ("fails", "✕"), ("undecided", "?")):
        assert f"{mark} {state}" in text


def test_files_stand_alone(tmp_path: Path) -> None:
    files = contents(incomplete(tmp_path), tmp_path)
    html, text = files["report.html"].decode(), files["report.md"].decode()
    assert re.findall(r"(?:src|srcset|href)=\"(?!data:|#)([^\"]*)", html) == [
        "https://arxiv.org/abs/2011.10566"
    ]
    assert "url(" not in html
    assert "@import" not in html
    shown = re.findall(r"!\[[^\n]*\]\(([^()]*)\)$", text, flags=re.M)
    assert {"figure.png", "claims-accuracy.png", "claims-output-std-ratio.png"} == set(shown)
    assert set(shown) < set(files)


@pytest.mark.parametrize("source", ["javascript:alert(1)", "a book"])
def test_only_addresses_are_linked(tmp_path: Path, source: str) -> None:
    html = contents(a_suite([a_row(tmp_path, "sg")], source=source), tmp_path)["report.html"].decode()
    assert source not in html


def test_csv_has_a_line_for_each_row_and_seed(tmp_path: Path) -> None:
    record = incomplete(tmp_path)
    lines = list(csv.DictReader(io.StringIO(contents(record, tmp_path)["results.csv"].decode())))
    assert [(line["row"], line["seed"]) for line in lines] == [
        (row.name, str(run.seed)) for row in record.rows for run in row.runs
    ]
    assert set(declared(SUITE)) | set(record.protocols) < set(lines[0])
    assert [float(line["top1"]) for line in lines[:3]] == record.rows[0].values("top1")
    assert lines[4]["error"] == "UserError: <b>lr</b> is\nabove 0, got -1"
    assert lines[4]["top1"] == lines[5]["error"] == lines[0]["effective_rank"] == ""


def test_the_cost_of_shared_runs_counts_once(tmp_path: Path) -> None:
    text = contents(incomplete(tmp_path), tmp_path)["report.md"].decode()
    # 3 seeds of sg and one of no_sg, of 60 s and on 2 threads each
    assert (
        "The 4 finished runs, each counted once, took 4 min one after the other: 8 min of core time" in text
    )


def test_a_record_read_back_gives_the_same_report(tmp_path: Path) -> None:
    record = incomplete(tmp_path)
    record.write(tmp_path)
    assert contents(read(tmp_path), tmp_path) == contents(record, tmp_path)


def test_rows_without_anything(tmp_path: Path) -> None:
    nothing = a_run(tmp_path, "sg", 0, verdict=None, values={})
    (tmp_path / nothing.folder / "metrics.csv").unlink()
    row = a_row(tmp_path, "sg", seeds=())
    record = a_suite([type(row)("sg", (), (nothing,))], seeds=(0,), columns=("output_std_ratio", "verdict"))
    text = contents(record, tmp_path / "elsewhere")["report.md"].decode()
    assert "## Learning curves" not in text
    assert "## Cost" not in text
    assert "## Claims" not in text
    assert tables_of(text)[0][2] == ["sg (1 of 1 run without a result)", "–", "· 1 × no result yet"]


def test_markup_in_names_stays_text(tmp_path: Path) -> None:
    row = a_row(tmp_path, "a|b", seeds=(0, 1), overrides=("augment.crop=[0.2,1]", "x=<i>"), note="*_n_*")
    text = contents(a_suite([row]), tmp_path)["report.md"].decode()
    assert tables_of(text)[0][2][0] == r"a\|b (\*\_n\_\*)"
    assert "<summary>a|b: augment.crop=[0.2,1] x=&lt;i&gt;</summary>" in text


def test_raw_markdown_tables_are_aligned(tmp_path: Path) -> None:
    text = markdown(suite_page(incomplete(tmp_path), tmp_path))
    results = text.partition("## Results")[2].partition("\n\n")[2].partition("\n\n")[0].splitlines()
    assert len({len(line) for line in results}) == 1


def lines_of(record: Any, folder: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The series of each panel, as they go to the charts."""
    seen = {}
    monkeypatch.setattr(
        panels, "_picture", lambda panel, series: seen.update({panel.name: series}) or drawn(panel)
    )
    section = panels.learning_curves(record, folder)
    return seen, section


def drawn(panel: Any) -> Any:
    return drawing.Picture(panel.name, "", "", b"", 1, 1, "alt")


def test_a_line_is_the_mean_and_its_band_the_range_over_the_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [a_run(tmp_path, "sg", 0), a_run(tmp_path, "sg", 1, epochs=(0, 1, 2, 4)), a_run(tmp_path, "sg", 2)]
    row = a_row(tmp_path, "sg", seeds=())
    record = a_suite([type(row)("sg", (), tuple(runs))])
    seen, _ = lines_of(record, tmp_path, monkeypatch)
    (loss,) = seen["loss"]
    table = np.array([[-0.1 * epoch - 0.01 * seed for seed in range(3)] for epoch in (2, 4)])
    assert list(loss.x) == [2, 4]  # common to all seeds; none is measured at 0
    np.testing.assert_allclose(loss.y, table.mean(axis=1))
    np.testing.assert_allclose(loss.band, [table.min(axis=1), table.max(axis=1)])
    assert list(seen["knn_top1"][0].x) == [0, 2, 4]


@pytest.mark.parametrize("other", [{"method": "simclr"}, {"differs": {"similarity": "cross_entropy"}}])
def test_losses_of_different_scales_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    rows = [a_row(tmp_path, "sg"), a_row(tmp_path, "other", **other)]
    seen, section = lines_of(a_suite(rows), tmp_path, monkeypatch)
    assert set(seen) == {"output_std_ratio", "knn_top1"}
    assert "different losses" in section.blocks[0].text


def test_two_rows_are_blue_and_red_and_ten_at_most_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [a_row(tmp_path, f"row{place}", seeds=(0,)) for place in range(11)]
    seen, section = lines_of(a_suite(rows[:2]), tmp_path, monkeypatch)
    assert [line.role for line in seen["loss"]] == [0, 2]
    assert section.blocks[1].together.name == "figure"
    seen, section = lines_of(a_suite(rows), tmp_path, monkeypatch)
    assert [line.label for line in seen["loss"]] == [row.name for row in rows[:10]]
    assert "The first 10 of 11 rows are drawn." in section.blocks[0].text
    assert section.blocks[1].together is None


def test_names_that_are_alike_when_cut_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [a_row(tmp_path, f"{'a' * 30}{middle}{'z' * 30}", seeds=(0,)) for middle in "xy"]
    seen, _ = lines_of(a_suite(rows), tmp_path, monkeypatch)
    assert [line.label for line in seen["loss"]] == ["row 1", "row 2"]


def test_untrained_rows_and_rows_of_others_have_no_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        a_row(tmp_path, "sg"),
        a_row(tmp_path, "before", verdict="untrained"),
        a_row(tmp_path, "b", same_as="sg"),
    ]
    seen, section = lines_of(a_suite(rows), tmp_path, monkeypatch)
    assert [line.label for line in seen["loss"]] == ["sg"]
    assert "b (as sg)" in section.blocks[0].text


def test_the_figure_has_three_panels_and_the_table_in_its_legend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {}
    monkeypatch.setattr(
        panels, "chart", lambda name, paint, **more: kept.update({name: paint}) or drawn(METRICS.get("loss"))
    )
    panels.learning_curves(a_suite([a_row(tmp_path, "sg"), a_row(tmp_path, "no_sg")]), tmp_path)
    figure = painted(kept["figure"])
    assert [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes] == [
        METRICS.get(name).chart for name in PANELS
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "sg: top-1 92.0 ± 2.0 %", "no_sg: top-1 92.0 ± 2.0 %",
    ]  # fmt: skip


def test_a_suite_names_the_curves_that_it_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = dataclasses.replace(a_suite([a_row(tmp_path, "sg")]), curves=("knn_top1", "output_std_ratio"))
    seen, section = lines_of(record, tmp_path, monkeypatch)
    assert list(seen) == ["knn_top1", "output_std_ratio"]
    assert "Std ratio" in section.blocks[0].text


def test_a_heat_map_is_symmetric_with_singles_on_the_diagonal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(
        figures, "chart", lambda name, paint, **more: kept.update(more, paint=paint) or "picture"
    )
    rows = [a_row(tmp_path, name) for name in ("crop", "blur", "crop+blur", "flip", "flip+crop")]
    means = dict(
        zip(("crop", "blur", "crop+blur", "flip", "flip+crop"), (0.1, 0.2, 0.3, 0.4, 0.5), strict=True)
    )
    rows = [type(r)(r.name, (), (a_run(tmp_path, r.name, 0, values={"top1": means[r.name]}),)) for r in rows]
    record = a_suite(rows, switches=("crop", "blur", "flip"), figures=({"kind": "heat_map"},))
    figures.figures(record)
    texts = {t.get_position(): t.get_text() for t in painted(kept["paint"]).axes[0].texts}
    assert texts == {
        (0, 0): "10.0", (1, 1): "20.0", (2, 2): "40.0", (0, 1): "30.0", (1, 0): "30.0", (0, 2): "50.0", (2, 0): "50.0",
    }  # fmt: skip
    assert "crop+blur 30.0" in kept["alt"]


def test_text_on_a_heat_map_can_be_read() -> None:
    values = np.linspace(0, 1, 100).reshape(10, 10)
    (axes,) = painted(heat_map("", [*"abcdefghij"], values, lambda value: f"{value}")).axes
    colours = axes.images[0].get_cmap()(values)[..., :3]
    for text in axes.texts:
        column, row = text.get_position()
        assert drawing._contrast(text.get_color(), tuple(colours[int(row), int(column)])) >= 4.5


@pytest.mark.parametrize(("numbers", "scale"), [((16, 64, 128), "linear"), ((16, 64, 256), "log")])
def test_lines_over_a_number(numbers: tuple[int, ...], scale: str) -> None:
    group = Group("byol", numbers, (0.5, 0.6, 0.7), (0.01, 0.02, float("nan")))
    paint = against("top-1", [group], x="batch size", baselines=[("supervised", 0.9)], percent=True)
    (axes,) = painted(paint).axes
    assert axes.get_xscale() == scale
    assert axes.get_xlabel() == "batch size"
    bars = axes.collections[0].get_segments()
    np.testing.assert_allclose([(b[0, 1] + b[1, 1]) / 2 for b in bars], group.y)
    np.testing.assert_allclose([(b[1, 1] - b[0, 1]) / 2 for b in bars], [0.01, 0.02, 0], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("batch_256", ("batch", 256)),
        ("a_b_0.5", ("a_b", 0.5)),
        ("lr_1e-3", ("lr", 0.001)),
        ("plain", None),
        ("b4", None),
    ],
)
def test_rows_are_placed_by_the_number_at_their_end(name: str, place: tuple[Any, ...] | None) -> None:
    assert numbered(name) == place


def test_lines_take_groups_from_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {}
    monkeypatch.setattr(figures, "chart", lambda name, paint, **more: kept.update(more) or "picture")
    rows = [a_row(tmp_path, name) for name in ("byol_64", "byol_16", "sup")]
    figures.figures(a_suite(rows, figures=({"kind": "lines", "metric": "top1", "x": "batch size"},)))
    assert kept["alt"] == "top-1, % over batch size: byol at 16 92.0; byol at 64 92.0; sup 92.0."


def test_intervals_are_in_points_and_against_zero(tmp_path: Path) -> None:
    section = next(s for s in suite_page(incomplete(tmp_path), tmp_path).sections if s.anchor == "claims")
    accuracy, ratio = section.blocks[-1].pictures
    assert "top1(sg) > top1(no_sg): 10.0 (8.00 to 12.0), holds" in accuracy.alt
    assert "output_std_ratio(sg) < 0.5: 0.491 (0.490 to 0.492), fails" in ratio.alt
    (axes,) = painted(differences("", [Difference("claim", "holds", 10.0, 8.0, 12.0)])).axes
    interval, point, zero = (line.get_xdata() for line in axes.lines)
    assert [*interval] == [8.0, 12.0]
    assert [*point] == [10.0]
    assert [*zero] == [0, 0]


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        (["holds"], "1 of 1 claim holds"),
        (["fails"], "0 of 1 claim holds, 1 fails"),
        (["holds", "undecided", "undecided"], "1 of 3 claims holds, 2 are undecided"),
        (["not asked", "not asked"], "none of 2 claims is asked"),
        (
            ["no difference", "holds", "not asked", "fails", "holds", "holds"],
            "3 of 5 claims hold, 1 fails, 1 shows no difference; 1 not asked",
        ),
    ],
)
def test_outcomes_are_counted_among_the_claims_that_are_asked(outcomes: list[str], text: str) -> None:
    assert counted(outcomes) == text


def test_each_outcome_has_a_sign_of_its_own(tmp_path: Path) -> None:
    records = tuple(ClaimRecord(f"top1(sg) > 0.{i}", outcome, "Why.") for i, outcome in enumerate(OUTCOMES))
    record = a_suite([a_row(tmp_path, "sg")], claims=records)
    files = contents(record, tmp_path)
    for text in (words_of(files["report.html"].decode()), files["report.md"].decode()):
        assert "1 of 4 claims holds, 1 fails, 1 shows no difference, 1 is undecided; 1 not asked" in text
        for signed in ("✓ holds", "✕ fails", "≈ no difference", "? undecided", "– not asked"):
            assert text.count(signed) > 1, "in the table and in the legend"
    badge = claims_badge(record)
    assert badge is not None
    assert badge.tone == "bad"


def test_a_record_with_another_outcome_is_not_read(tmp_path: Path) -> None:
    record = a_suite([a_row(tmp_path, "sg")], claims=(ClaimRecord("sg is healthy", "open", "Why."),))
    record.write(tmp_path)
    with pytest.raises(
        ValueError, match="outcomes are holds, fails, no difference, undecided, not asked; there is open"
    ):
        read(tmp_path)
    old = {"text": "sg is healthy", "state": "undecided", "why": "Why."}  # without what would decide it
    values = json.loads((tmp_path / "suite.json").read_text())
    (tmp_path / "suite.json").write_text(json.dumps({**values, "claims": [old]}))
    assert read(tmp_path).claims == (ClaimRecord(**old),)


def test_claims_of_one_state_are_counted(tmp_path: Path) -> None:
    record = a_suite([a_row(tmp_path, "sg")], claims=claims()[:1] * 2)
    assert "✓ 2 of 2 claims hold" in words_of(contents(record, tmp_path)["report.html"].decode())
