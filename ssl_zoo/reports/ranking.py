"""The ranking of several encoders by their label-free score, and how far it can be trusted; numbers alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import spearmanr

from ssl_zoo.metrics import METRICS
from ssl_zoo.monitors.label_free import ORDER, LabelFreeScores

__all__ = [
    "LAYERS",
    "SCORES",
    "TITLES",
    "Contender",
    "correlations",
    "goodness",
    "overlap",
    "rank",
    "who_is_better",
    "widths_differ",
]

SCORES = ("rankme", "alpha_req", "effective_rank", "participation_ratio")
TITLES = {name: METRICS.get(name).title for name in SCORES}
LAYERS = ("features", "embeddings")
NEVER_BEST = ("collapsed", "diverged", "partially collapsed", "not learning")
Z = 1.96  # standard errors on either side: 95 % of a normal distribution
FEWEST = 4  # runs whose order may be compared with that of the linear probe


@dataclass(frozen=True)
class Contender:
    """A run among others.

    Attributes:
        name: unlike the others'.
        verdict: in a word.
        scores: of the features and of the embeddings.
        errors: their standard errors.
        widths: dimensions of features and embeddings.
        linear: top-1, a fraction of 1, where it is known and comparable.
    """

    name: str
    verdict: str
    scores: dict[str, LabelFreeScores]
    errors: dict[str, LabelFreeScores]
    widths: dict[str, int]
    linear: float | None = None

    @property
    def score(self) -> float:
        """The score by which runs are ordered."""
        return float(getattr(self.scores["embeddings"], ORDER))

    @property
    def width(self) -> int:
        """The width of the outputs that are scored, which bounds the score."""
        return self.widths["embeddings"]

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the score, over the choice of images."""
        half = Z * float(getattr(self.errors["embeddings"], ORDER))
        return self.score - half, self.score + half

    @property
    def may_be_best(self) -> bool:
        """Whether it may be called best: a collapsed, diverged or idle run may not, whatever its score."""
        return math.isfinite(self.score) and self.verdict not in NEVER_BEST


def goodness(scores: LabelFreeScores, name: str) -> float:
    """Turns a score so that more is better: alpha by its distance from 1."""
    return -scores.alpha_distance if name == "alpha_req" else float(getattr(scores, name))


def rank(contenders: Sequence[Contender]) -> list[Contender]:
    """Sorts the runs that may be best by score, the highest first; then the others, likewise."""

    def key(contender: Contender) -> tuple[bool, float]:
        return not contender.may_be_best, -contender.score if math.isfinite(contender.score) else math.inf

    return sorted(contenders, key=key)


def who_is_better(contenders: Sequence[Contender]) -> tuple[Contender | None, list[Contender]]:
    """Returns the best by score and the runs that cannot be told from it.

    Those are the runs whose intervals overlap the best one's and, as ranks grow with the width, the second if its
    outputs are of another width. None and an empty list where no run may be best.
    """
    candidates = [contender for contender in rank(contenders) if contender.may_be_best]
    if not candidates:
        return None, []
    best, others = candidates[0], candidates[1:]
    second = [contender for contender in others[:1] if contender.width != best.width]
    return best, [contender for contender in others if contender in second or overlap(contender, best)]


def overlap(contender: Contender, other: Contender) -> bool:
    """Whether the intervals of two scores overlap."""
    return contender.interval[0] <= other.interval[1] and other.interval[0] <= contender.interval[1]


def widths_differ(contenders: Sequence[Contender]) -> bool:
    """Whether the scores compared are of outputs of several widths."""
    return len({contender.width for contender in contenders}) > 1


def correlations(contenders: Sequence[Contender]) -> tuple[int, dict[tuple[str, str], float]]:
    """Returns the number of runs, and Spearman's correlation of each score with the linear probe by (layer, score).

    No correlation for fewer than four runs with both; nan where all are alike.
    """
    known = [
        contender
        for contender in contenders
        if contender.linear is not None and math.isfinite(contender.score)
    ]
    known = [contender for contender in known if math.isfinite(contender.linear or 0.0)]
    if len(known) < FEWEST:
        return len(known), {}
    linear = [contender.linear for contender in known]
    spearman = {}
    for layer in LAYERS:
        for name in SCORES:
            values = [goodness(contender.scores[layer], name) for contender in known]
            varied = len(set(values)) > 1 and len(set(linear)) > 1
            spearman[layer, name] = float(spearmanr(values, linear)[0]) if varied else math.nan
    return len(known), spearman
