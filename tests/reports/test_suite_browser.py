"""The page of a suite in a browser: it sorts by mouse and by keyboard, complains of nothing and fits a phone."""

from __future__ import annotations

from typing import Any

import pytest
from helpers.browser import MARKS, Watched
from helpers.suite_records import a_row, a_suite, incomplete

from ssl_zoo.reports.suite import contents

pytestmark = MARKS


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The page of an incomplete suite, with a row whose name and words are long."""
    folder = tmp_path_factory.mktemp("suite")
    record = incomplete(folder)
    long = a_row(
        folder,
        "no_batch_norm_anywhere_in_the_projector_or_the_predictor",
        overrides=("method.x=" + "y" * 80,),
    )
    figures = ({"kind": "heat_map", "metric": "top1"}, {"kind": "lines", "metric": "top1", "x": "batch size"})
    byol = [a_row(folder, f"byol_{number}") for number in (16, 512)]
    rows = (*record.rows, long, *byol)
    record = a_suite(
        rows, claims=record.claims, pixels=record.pixels, figures=figures, switches=("sg", "no_sg")
    )
    for name, content in contents(record, folder).items():
        (folder / name).write_bytes(content)
    return folder / "report.html"


class WatchedSuite(Watched):
    """The page of a suite, with its table of results."""

    def rows(self) -> Any:
        """The first and the second cell of each row of the results."""
        return self.ask("""[...document.querySelectorAll('#results table.sortable tbody tr')].map(row =>
            [row.cells[0].dataset.order, row.cells[1].textContent.trim()])""")

    def sorted_by(self) -> Any:
        return self.ask("""[...document.querySelectorAll('#results table.sortable [aria-sort]')].map(head =>
            [head.textContent.trim(), head.ariaSort])""")


def accuracies(rows: Any) -> Any:
    """Of those rows that have one, in their order; the others come last."""
    known = [text != "–" for _, text in rows]
    assert known == sorted(known, reverse=True)
    return [float(text.split()[0]) for (_, text), is_known in zip(rows, known, strict=True) if is_known]


def test_a_click_sorts_and_the_third_restores(browser: Any, report: Any) -> None:
    with WatchedSuite(browser, report) as seen:
        first = seen.rows()
        heading = seen.page.get_by_role("button", name="top-1").first
        heading.click()
        assert seen.sorted_by() == [["top-1", "descending"]]
        found = accuracies(seen.rows())
        assert found == sorted(found, reverse=True)
        assert seen.rows() != first
        heading.click()
        assert seen.sorted_by() == [["top-1", "ascending"]]
        found = accuracies(seen.rows())
        assert found == sorted(found)
        heading.click()
        assert seen.sorted_by() == []
        assert seen.rows() == first
        assert seen.complaints == []


def test_a_heading_sorts_by_keyboard(browser: Any, report: Any) -> None:
    with WatchedSuite(browser, report) as seen:
        seen.page.locator("#results .scroll").first.focus()
        seen.page.keyboard.press("Tab")
        assert seen.ask("document.activeElement.textContent.trim()") == "row"
        assert seen.ask("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        seen.page.keyboard.press("Enter")
        names = [name for name, _ in seen.rows()]
        assert names == seen.ask(f"{names}.sort((a, b) => a.localeCompare(b))")
        assert names[0] == "again"
        seen.page.keyboard.press("Space")
        assert [name for name, _ in seen.rows()] == names[::-1]
        assert seen.ask("document.activeElement.textContent.trim()") == "row"


def test_sorting_one_column_ends_the_order_of_another(browser: Any, report: Any) -> None:
    with WatchedSuite(browser, report) as seen:
        seen.page.get_by_role("button", name="top-1").first.click()
        seen.page.get_by_role("button", name="verdict").first.click()
        assert seen.sorted_by() == [["verdict", "ascending"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_is_there_and_nothing_is_fetched(browser: Any, report: Any, scheme: str) -> None:
    with WatchedSuite(browser, report, scheme) as seen:
        images = seen.ask("[...document.images].map(i => [i.naturalWidth, i.alt])")
        assert len(images) == 7  # two of claims, three panels, a heat map, lines
        assert all(width > 0 and alt.strip() for width, alt in images)
        assert seen.complaints == []
        assert [url for url in seen.asked if not url.startswith("data:")] == [report.as_uri()]


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_overflows(browser: Any, report: Any, width: int) -> None:
    with WatchedSuite(browser, report, width=width) as seen:
        seen.ask("document.querySelectorAll('details').forEach(block => block.open = true)")
        assert seen.ask("document.documentElement.scrollWidth") <= width
        outside = seen.ask(
            "[...document.querySelectorAll('main *, header *')].filter(e => !e.closest('.scroll, pre') &&"
            " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"
        )
        assert outside == []


def test_the_states_of_claims_are_in_sight_on_a_phone(browser: Any, report: Any) -> None:
    with WatchedSuite(browser, report, width=360) as seen:
        right = seen.ask(
            "[...document.querySelectorAll('#claims td .badge')].map(e => e.getBoundingClientRect().right)"
        )
        assert len(right) == 3
        assert max(right) <= 360


def test_bars_are_as_long_as_the_accuracies_and_say_so(browser: Any, report: Any) -> None:
    with WatchedSuite(browser, report) as seen:
        bars = seen.ask("""[...document.querySelectorAll('#results tbody tr:first-child .bars')].map(e =>
            [e.getAttribute('role'), e.ariaLabel, e.clientWidth,
             [...e.children].map(bar => bar.getBoundingClientRect().width)])""")
        ((role, label, room, (here, paper)),) = bars
        assert (role, label) == ("img", "here: 92.00%, in the paper: 67.70%")
        assert here / room == pytest.approx(0.92, abs=0.01)
        assert paper / room == pytest.approx(0.677, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Any, report: Any, scheme: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for all text, on the ground that is painted behind it."""
    with WatchedSuite(browser, report, scheme) as seen:
        seen.page.get_by_role("button", name="top-1").first.click()
        worst = seen.ask("""() => {
            const parts = c => c.match(/[\\d.]+/g).map(Number);
            const light = c => parts(c).slice(0, 3).map(v => v / 255)
                .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = e => { for (; e; e = e.parentElement) {
                const c = getComputedStyle(e).backgroundColor; if (parts(c)[3] !== 0) return c; } };
            return Math.min(...[...document.querySelectorAll('body *')].filter(e => e.textContent.trim()).map(e => {
                const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => x - y);
                return (b + 0.05) / (a + 0.05); }));
        }""")
        assert worst >= 4.5


def test_without_the_script_the_tables_are_plain(browser: Any, report: Any) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#results thead button").count() == 0
    assert page.locator(".hint:visible").count() == 0
    assert page.locator("#results thead th").first.text_content() == "row"
    context.close()
