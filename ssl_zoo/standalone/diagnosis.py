"""A diagnosis: figures of embeddings, the verdict on them, its likely cause and remedy, in a form to print."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ssl_zoo.metrics import METRICS
from ssl_zoo.monitors.learning import Distances
from ssl_zoo.monitors.verdict import VerdictName

__all__ = ["Diagnosis"]


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Verdict on embeddings, with evidence; `print` shows it as a table, a notebook as HTML.

    Attributes:
        verdict: healthy, collapsed, partially collapsed, not learning or diverged; rules in docs/guide.md.
        reason: the figures behind the verdict, a sentence.
        metrics: of the embeddings, by key; docs/metrics.md explains each. Alignment is missing where one view was seen.
        initial: the same before training, or in its first step; None where it was not measured.
        cause: the likely cause of a verdict other than healthy.
        remedy: one thing to try.
        evidence: what the loss shows of predictor, stop-gradient and negatives, a sentence each.
        images: N that were measured together.
        width: D of the embeddings.
        epochs: trained; None: not known.
        loss: the last, a mean over the epoch where that is known.
    """

    verdict: VerdictName
    reason: str
    metrics: Mapping[str, float]
    initial: Mapping[str, float] | None = None
    cause: str | None = None
    remedy: str | None = None
    evidence: tuple[str, ...] = ()
    images: int
    width: int
    epochs: int | None = None
    loss: float | None = None
    distances: Distances | None = field(default=None, repr=False, compare=False)  # for a later `before=`

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, as in `collapse.json`."""
        names = ("verdict", "reason", "cause", "remedy", "evidence", "epochs", "loss", "images", "width")
        values = {name: getattr(self, name) for name in names}
        return {
            **values,
            "metrics": dict(self.metrics),
            "initial": None if self.initial is None else dict(self.initial),
        }

    def __str__(self) -> str:
        rows = self._rows()
        width = max(len(label) for label, *_ in rows)
        head = f"{self.verdict.upper()}: {self.reason}"
        more = [f"likely cause: {self.cause}", f"to try: {self.remedy}"] if self.cause else []
        more += [f"seen: {'; '.join(self.evidence)}"] if self.evidence else []
        columns = f"{'':{width}}  {'now':>9}" + ("" if self.initial is None else f"  {'before':>9}")
        table = [f"{label:{width}}  {now:>9}  {before:>9}".rstrip() for label, now, before in rows]
        return "\n".join([head, *more, "", columns, *table])

    def _repr_html_(self) -> str:
        colour = {"healthy": "#2e7d32", "collapsed": "#c62828", "diverged": "#c62828"}.get(
            self.verdict, "#b26a00"
        )
        more = "".join(
            f"<p><b>{name}</b> {escape(text)}</p>"
            for name, text in (
                ("Likely cause:", self.cause),
                ("To try:", self.remedy),
                ("Seen:", "; ".join(self.evidence)),
            )
            if text
        )
        cells = "".join(
            f"<tr><td style='text-align:left'>{escape(label)}</td><td>{now}</td><td>{before}</td></tr>"
            for label, now, before in self._rows()
        )
        return (
            f"<div><p><b style='color:{colour}'>{escape(self.verdict.upper())}</b> {escape(self.reason)}</p>{more}"
            f"<table><thead><tr><th></th><th>now</th><th>before</th></tr></thead><tbody>{cells}</tbody></table></div>"
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        known = METRICS.all()
        initial = self.initial or {}
        return [
            (
                f"{known[key].title} ({known[key].reading})" if known[key].reading else known[key].title,
                f"{value:.4g}",
                f"{initial[key]:.4g}" if key in initial else "",
            )
            for key, value in self.metrics.items()
        ]
