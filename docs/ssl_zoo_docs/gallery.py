"""The directive `gallery`: a card for each suite with picture and claims, which leads to its reports."""

from __future__ import annotations

import posixpath
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from .reports import SuiteReport, reports

__all__ = ["setup"]

# The order of the papers; what is not named here comes last.
PAPERS = ("SimSiam", "Zhang et al.", "Tian et al.", "UniGrad", "VICReg", "BYOL", "SimCLR", "MoCo", "ssl-zoo")
WORDS = {"✓": "holds", "✕": "fails", "≈": "no-difference", "?": "undecided", "–": "not-asked"}


class Gallery(SphinxDirective):
    """Cards of all suites, under a heading for each paper."""

    has_content: ClassVar[bool] = False

    def run(self) -> list[nodes.Node]:
        """Returns a section for each paper."""
        found = reports(Path(self.env.srcdir))
        for report in found:
            self.env.note_dependency(f"{report.page}.md")
        suites = [list(group) for _, group in groupby(found, key=lambda report: report.suite)]
        papers = sorted({group[0].paper for group in suites}, key=_rank)
        sections = []
        for paper in papers:
            section = nodes.section("", nodes.title("", paper), ids=[nodes.make_id(paper)], names=[paper])
            cards = nodes.container(classes=["gallery"])
            cards += [self._card(group) for group in suites if group[0].paper == paper]
            section += cards
            sections.append(section)
        return list[nodes.Node](sections)

    def _card(self, group: list[SuiteReport]) -> nodes.Element:
        first = group[0]
        card = nodes.container(classes=["card"])
        uri = f"/{Path(first.page).parent.as_posix()}/{first.picture}"
        alt = f"{first.title}, {first.source}, on {first.on}"
        picture = nodes.image(uri=uri, alt=alt, loading="lazy", classes=["chart"])
        card += nodes.paragraph("", "", self._link(first.page, picture), classes=["card-picture"])
        name = nodes.strong("", first.title)
        card += nodes.paragraph("", "", self._link(first.page, name), classes=["card-title"])
        card += nodes.paragraph("", f"{first.source}. {first.question}", classes=["card-question"])
        for report in group:
            marks = [
                nodes.inline("", sign, classes=["sign", WORDS[sign]])
                for sign in report.signs
                if sign in WORDS
            ]
            line = nodes.inline("", "", *marks, classes=["signs"])
            text = f"{report.on}: {report.outcome} "
            words = nodes.inline("", text)
            card += nodes.paragraph("", "", self._link(report.page, words), line, classes=["card-verdict"])
        return card

    def _link(self, page: str, *children: nodes.Node) -> nodes.Element:
        """Returns a reference; Sphinx's own would take the picture's text in the picture's place."""
        here = posixpath.dirname(self.env.docname)
        uri = f"{posixpath.relpath(page, here)}.html"
        return nodes.reference("", "", *children, refuri=uri, internal=True)


def _rank(paper: str) -> tuple[int, str]:
    return (PAPERS.index(paper) if paper in PAPERS else len(PAPERS), paper)


def setup(app: Sphinx) -> None:
    """Adds the directive."""
    app.add_directive("gallery", Gallery)
