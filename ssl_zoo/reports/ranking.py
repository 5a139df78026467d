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
    "ScoredRun",
    "correlations",
    "goodness",
    "overlap",
    "sort_by_score",
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
class ScoredRun:
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


def sort_by_score(scored_runs: Sequence[ScoredRun]) -> list[ScoredRun]:
    """Sorts the runs that may be best by score, the highest first; then the others, likewise."""

    def key(scored_run: ScoredRun) -> tuple[bool, float]:
        return not scored_run.may_be_best, -scored_run.score if math.isfinite(scored_run.score) else math.inf

    return sorted(scored_runs, key=key)


def who_is_better(scored_runs: Sequence[ScoredRun]) -> tuple[ScoredRun | None, list[ScoredRun]]:
    """Returns the best by score and the runs that cannot be told from it.

    Those are the runs whose intervals overlap the best one's and, as ranks grow with the width, the second if its
    outputs are of another width. None and an empty list where no run may be best.
    """
    candidates = [scored_run for scored_run in sort_by_score(scored_runs) if scored_run.may_be_best]
    if not candidates:
        return None, []
    best, others = candidates[0], candidates[1:]
    second = [scored_run for scored_run in others[:1] if scored_run.width != best.width]
    return best, [scored_run for scored_run in others if scored_run in second or overlap(scored_run, best)]


def overlap(scored_run: ScoredRun, other: ScoredRun) -> bool:
    """Whether the intervals of two scores overlap."""
    return scored_run.interval[0] <= other.interval[1] and other.interval[0] <= scored_run.interval[1]


def widths_differ(scored_runs: Sequence[ScoredRun]) -> bool:
    """Whether the scores compared are of outputs of several widths."""
    return len({scored_run.width for scored_run in scored_runs}) > 1


def correlations(scored_runs: Sequence[ScoredRun]) -> tuple[int, dict[tuple[str, str], float]]:
    """Returns the number of runs, and Spearman's correlation of each score with the linear probe by (layer, score).

    No correlation for fewer than four runs with both; nan where all are alike.
    """
    known = [
        scored_run
        for scored_run in scored_runs
        if scored_run.linear is not None and math.isfinite(scored_run.score)
    ]
    known = [scored_run for scored_run in known if math.isfinite(scored_run.linear or 0.0)]
    if len(known) < FEWEST:
        return len(known), {}
    linear = [scored_run.linear for scored_run in known]
    spearman = {}
    for layer in LAYERS:
        for name in SCORES:
            values = [goodness(scored_run.scores[layer], name) for scored_run in known]
            varied = len(set(values)) > 1 and len(set(linear)) > 1
            spearman[layer, name] = float(spearmanr(values, linear)[0]) if varied else math.nan
    return len(known), spearman
