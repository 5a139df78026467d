"""The page that the faults leave."""

from __future__ import annotations

from collections.abc import Sequence

from .case import Outcome

__all__ = ["markdown_page"]


def markdown_page(outcomes: Sequence[Outcome], command: str) -> str:
    """Returns the outcomes as a page in Markdown."""
    return "\n".join(f"{o.number} {o.scenario} {o.subject} {o.fault} | {o.line}" for o in outcomes) + "\n"
