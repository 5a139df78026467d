"""The reports of suites in docs/results/suites/DATA/SUITE, as `ssl-zoo bench` writes them, as pages of the site."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

__all__ = ["DATA", "GALLERY", "REPORTS", "SuiteReport", "read_report", "reports", "setup"]

REPORTS = "results/suites"
GALLERY = "results/gallery"
DATA = {"digits": "digits", "cifar": "CIFAR-10"}  # titles of the folders; another is its own title
HEAD = re.compile(
    r"# (?P<title>.+)\n\n"
    r"(?:\[(?P<linked>[^\]]+)\]\((?P<url>[^)]+)\)|(?P<plain>.+))\n\n"
    r"\*\*(?:(?P<sign>\S) )?(?P<outcome>.+?)\*\* (?P<question>.+)\n"
)
PICTURE = re.compile(r"!\[[^\]]*\]\(([\w.+-]+\.png)\)")
CLAIM = re.compile(r"^\| `(.+?)` +\| ([✓✕≈?–]) ", re.MULTILINE)


@dataclass(frozen=True)
class SuiteReport:
    """What a report says at its top.

    Attributes:
        page: name of the page, without suffix.
        data: the folder of its data set.
        suite: name of the suite.
        title: of the suite.
        source: paper and table.
        sign: of the least good outcome of a claim.
        outcome: how many claims hold.
        question: what the suite asks.
        picture: the file that shows most.
        signs: the outcome of each claim.
    """

    page: str
    data: str
    suite: str
    title: str
    source: str
    sign: str
    outcome: str
    question: str
    picture: str
    signs: tuple[str, ...]

    @property
    def paper(self) -> str:
        """The paper alone."""
        return self.source.partition(", ")[0]

    @property
    def on(self) -> str:
        """The data set's title."""
        return DATA.get(self.data, self.data)


def read_report(docs: Path, page: str) -> SuiteReport:
    """Reads the top of a report.

    Raises:
        ExtensionError: it does not begin as `ssl-zoo bench` writes reports, or has no picture.
    """
    text = (docs / f"{page}.md").read_text(encoding="utf-8")
    head = HEAD.match(text)
    pictures = PICTURE.findall(text)
    if head is None or not pictures:
        raise ExtensionError(f"docs/{page}.md does not begin as a report of ssl-zoo bench, or has no picture")
    data, suite = page.split("/")[-3:-1]
    curves = [name for name in pictures if name == "figure.png"]
    curves += [name for name in pictures if not name.startswith("claims-")]
    return SuiteReport(
        page=page,
        data=data,
        suite=suite,
        title=head["title"],
        source=head["linked"] or head["plain"],
        sign=head["sign"] or "",
        outcome=head["outcome"],
        question=head["question"],
        picture=[*curves, *pictures][0],
        signs=tuple(sign for _, sign in CLAIM.findall(text)),
    )


def reports(docs: Path) -> list[SuiteReport]:
    """Returns all reports, by suite and then in the order of `DATA`."""
    order = list(DATA)
    found = [
        read_report(docs, path.relative_to(docs).with_suffix("").as_posix())
        for path in (docs / REPORTS).glob("*/*/report.md")
    ]
    return sorted(
        found, key=lambda r: (r.suite, order.index(r.data) if r.data in order else len(order), r.data)
    )


def _as_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Gives a report a title and a description of its own, and links to the gallery and to the suite on other data."""
    if not re.fullmatch(rf"{REPORTS}/[^/]+/[^/]+/report", page):
        return
    docs = Path(app.srcdir)
    report = read_report(docs, page)
    others = [other for other in reports(docs) if other.suite == report.suite and other.page != page]
    links = ["[All suites](../../../gallery.md)"]
    links += [f"[the same on {other.on}](../../{other.data}/{other.suite}/report.md)" for other in others]
    description = f"{report.source}, on {report.on}: {report.question} {report.outcome}.".replace('"', "'")
    body = source[0].partition("\n")[2]
    source[0] = (
        f'---\norphan: true\nmyst:\n  html_meta:\n    description: "{description}"\n---\n'
        f"# {report.title}: {report.source}, on {report.on}\n\n{' · '.join(links)}\n{body}"
    )


def setup(app: Sphinx) -> None:
    """Rewrites a report when it is read."""
    app.connect("source-read", _as_page)
