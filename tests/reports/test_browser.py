"""The pages in a browser: nothing is fetched, nothing overflows, every picture is there in light and in dark."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from helpers.browser import MARKS, Watched
from PIL import Image

from ssl_zoo.reports.report import report

pytestmark = MARKS


@pytest.fixture(scope="module")
def pages(labelled: Any, unlabelled: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("compared") / "out"
    compared = report([str(labelled), str(unlabelled), "samples=20", f"out={folder}"], silent=True)
    return {
        "labelled": labelled / "report" / "report.html",
        "unlabelled": unlabelled / "report" / "report.html",
        "compared": compared,
    }


@pytest.mark.parametrize("name", ["labelled", "unlabelled", "compared"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_picture_is_there_and_nothing_is_fetched(
    browser: Any, pages: Any, name: str, scheme: str
) -> None:
    seen = Watched(browser, pages[name], scheme, 1100)
    images = seen.ask(
        "[...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width, i.alt])"
    )
    assert images
    assert all(natural > 0 and shown > 0 and alt.strip() for natural, shown, alt in images)
    assert seen.complaints == []
    assert [url for url in seen.asked if not url.startswith("data:")] == [pages[name].as_uri()]
    seen.context.close()


@pytest.mark.parametrize("name", ["labelled", "unlabelled", "compared"])
@pytest.mark.parametrize("width", [360, 768])
def test_nothing_overflows(browser: Any, pages: Any, name: str, width: int) -> None:
    seen = Watched(browser, pages[name], "light", width)
    seen.ask("document.querySelectorAll('details').forEach(block => block.open = true)")
    assert seen.ask("document.documentElement.scrollWidth") <= width
    outside = seen.ask(
        "[...document.querySelectorAll('main *, header *')].filter(e => !e.closest('.scroll, pre') &&"
        " e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName)"
    )
    assert outside == []
    seen.context.close()


@pytest.mark.parametrize("name", ["labelled", "compared"])
def test_sentences_of_a_table_stand_below_their_row_on_a_narrow_page(
    browser: Any, pages: Any, name: str
) -> None:
    seen = Watched(browser, pages[name], "light", 360)
    places = seen.ask("""[...document.querySelectorAll('td.words')].map(e => {
        const own = e.getBoundingClientRect(), row = e.parentElement.firstElementChild.getBoundingClientRect();
        return [own.left, own.right, own.top - row.bottom]; })""")
    assert places
    assert all(left >= 0 and right <= 360 and below >= -1 for left, right, below in places)
    seen.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_table_that_is_cut_off_has_a_shadow_at_that_edge_alone(
    browser: Any, pages: Any, scheme: str
) -> None:
    seen = Watched(browser, pages["compared"], scheme, 360)
    box = seen.ask("""() => {
        const e = [...document.querySelectorAll('.scroll')].find(e => e.scrollWidth > e.clientWidth + 40);
        e.querySelectorAll('*').forEach(inner => { inner.style.color = 'transparent'; inner.style.background = 'none';
                                                   inner.style.borderColor = 'transparent'; });
        e.scrollIntoView();
        return {x: e.getBoundingClientRect().x, y: e.getBoundingClientRect().y, width: e.clientWidth, height: 20};
    }""")
    pixels = np.asarray(Image.open(io.BytesIO(seen.page.screenshot(clip=box))).convert("L"), float)
    left, middle, right = (pixels[:, at].mean() for at in (1, pixels.shape[1] // 2, -2))
    assert abs(left - middle) < 2
    assert abs(right - middle) > 15
    seen.context.close()


def test_light_and_dark_differ(browser: Any, pages: Any) -> None:
    found = {}
    for scheme in ("light", "dark"):
        seen = Watched(browser, pages["labelled"], scheme, 800)
        found[scheme] = seen.ask(
            "[getComputedStyle(document.body).backgroundColor, getComputedStyle(document.body).color,"
            " document.querySelector('.gallery img').currentSrc]"
        )
        seen.context.close()
    assert all(light != dark for light, dark in zip(found["light"], found["dark"], strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(browser: Any, pages: Any, scheme: str) -> None:
    """WCAG 2 AA: 4.5 to 1 for all text, on the ground that is painted behind it."""
    seen = Watched(browser, pages["compared"], scheme, 800)
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
    seen.context.close()
