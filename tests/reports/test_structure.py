"""Neighbours, clusters, map and ranking against naive references."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import rankdata

from ssl_zoo.monitors.label_free import LabelFreeScores
from ssl_zoo.reports.ranking import ScoredRun, correlations, sort_by_score, who_is_better, widths_differ
from ssl_zoo.reports.runs import _headline as headline
from ssl_zoo.reports.runs import _record as record_of
from ssl_zoo.reports.structure import agreement, chance, choose_queries, clusters, embed_in_2d, nearest


def blobs(groups: int = 3, each: int = 15, width: int = 20) -> Any:
    """Well separated groups in shuffled order: features and the group of each row."""
    generator = torch.Generator().manual_seed(0)
    centres = 20 * torch.eye(width)[:groups]
    labels = torch.arange(groups).repeat_interleave(each)[torch.randperm(groups * each, generator=generator)]
    return centres[labels] + torch.randn(groups * each, width, generator=generator), labels


def test_nearest_is_that_of_a_loop() -> None:
    features = torch.randn(40, 6, generator=torch.Generator().manual_seed(1))
    features[7] = features[3] * 2  # a tie: the same direction
    queries = torch.tensor([0, 3, 39])
    found = nearest(features, queries, 5)
    for row, query in enumerate(queries.tolist()):
        cosines = [
            (-float(torch.nn.functional.cosine_similarity(features[query], other, dim=0)), i)
            for i, other in enumerate(features)
            if i != query
        ]
        assert found.index[row].tolist() == [i for _, i in sorted(cosines)[:5]]
        assert found.similarity[row].tolist() == pytest.approx([-c for c, _ in sorted(cosines)[:5]], abs=1e-6)


def test_among_equals_the_first_and_never_the_query() -> None:
    found = nearest(torch.ones(6, 3), torch.tensor([2]), 5)
    assert found.index.tolist() == [[0, 1, 3, 4, 5]]


def test_agreement_is_that_of_a_loop() -> None:
    torch.manual_seed(2)
    features, labels = torch.randn(30, 4), torch.randint(3, (30,))
    hits = 0
    for i in range(30):
        cosines = torch.nn.functional.cosine_similarity(features[i : i + 1], features)
        cosines[i] = -2
        hits += sum(int(labels[j] == labels[i]) for j in cosines.argsort(descending=True)[:4])
    assert agreement(features, labels, 4) == pytest.approx(hits / 120)


def test_chance_counts_no_image_as_its_own_neighbour() -> None:
    labels = torch.tensor([0, 0, 0, 1, 3, 3])
    pairs = [(a == b).item() for i, a in enumerate(labels) for j, b in enumerate(labels) if i != j]
    assert chance(labels) == pytest.approx(sum(pairs) / len(pairs))
    assert chance(torch.tensor([0, 1, 2])) == 0


def test_clusters_find_separated_groups_the_largest_first() -> None:
    features, labels = blobs()
    drop = torch.tensor([i for i in range(len(labels)) if labels[i] != 2 or i % 2])  # group 2 is smaller
    found = clusters(features[drop], 3, seed=0)
    pairs = set(zip(labels[drop].tolist(), found.tolist(), strict=True))
    assert len(pairs) == 3
    sizes = torch.bincount(found)
    assert sizes.tolist() == sorted(sizes.tolist(), reverse=True)


def test_clusters_of_equal_images_are_one() -> None:
    assert clusters(torch.ones(12, 3), 4, seed=0).tolist() == [0] * 12


def test_the_map_keeps_separated_groups_apart_and_is_the_same_again() -> None:
    features, labels = blobs()
    xy = torch.from_numpy(embed_in_2d(features, seed=1))
    distances = torch.cdist(xy, xy).fill_diagonal_(torch.inf)
    assert (labels[distances.argmin(dim=1)] == labels).all()
    assert torch.equal(xy, torch.from_numpy(embed_in_2d(features, seed=1)))


@pytest.mark.parametrize("width", [1, 3])
def test_a_map_of_narrow_or_equal_features(width: int) -> None:
    assert embed_in_2d(torch.ones(12, width), seed=0).tolist() == [[0, 0]] * 12
    assert np.isfinite(embed_in_2d(torch.randn(12, width), seed=0)).all()


def test_queries_are_one_of_each_group() -> None:
    groups = torch.tensor([4, 4, 0, 0, 2, 2, 2])
    chosen = choose_queries(groups, 5, seed=0)
    assert groups[chosen].tolist() == [0, 2, 4]
    assert len(choose_queries(groups, 2, seed=0)) == 2
    assert len({tuple(choose_queries(groups, 5, seed=seed).tolist()) for seed in range(10)}) > 1


def scored_run(
    name: Any, score: Any, half: float = 0.0, verdict: str = "healthy", linear: Any = None, width: int = 9
) -> Any:
    scores = LabelFreeScores(score, 1 + 1 / score, score, score)
    layers = ("features", "embeddings")
    errors = LabelFreeScores(*[half / 1.96] * 4)
    return ScoredRun(
        name,
        verdict,
        dict.fromkeys(layers, scores),
        dict.fromkeys(layers, errors),
        dict.fromkeys(layers, width),
        linear,
    )


def test_the_best_is_the_highest_that_may_be() -> None:
    runs = [
        scored_run("low", 3),
        scored_run("collapsed", 9, verdict="collapsed"),
        scored_run("high", 5),
        scored_run("nan", math.nan, verdict="diverged"),
    ]
    assert [one.name for one in sort_by_score(runs)] == ["high", "low", "collapsed", "nan"]
    best, close = who_is_better(runs)
    assert best is not None
    assert (best.name, close) == ("high", [])
    assert who_is_better(runs[1:2]) == (None, [])


@pytest.mark.parametrize(("half", "undecided"), [(0.4, []), (0.6, ["b"])])
def test_overlapping_intervals_are_undecided(half: float, undecided: Any) -> None:
    best, close = who_is_better(
        [scored_run("a", 5, half), scored_run("b", 4, half), scored_run("c", 1, half)]
    )
    assert best is not None
    assert best.name == "a"
    assert [one.name for one in close] == undecided


def test_outputs_of_two_widths_are_undecided_where_they_come_first() -> None:
    wide, narrow, last = (
        scored_run("wide", 9, width=512),
        scored_run("narrow", 5, width=64),
        scored_run("last", 3),
    )
    best, close = who_is_better([narrow, wide, last])
    assert best is wide
    assert close == [narrow]
    assert headline([wide, narrow, last]).startswith(
        "Undecided: wide has the highest label-free score, but its outputs are 512 wide and those of narrow 64"
    )
    alike = [scored_run("a", 9), scored_run("b", 5), scored_run("c", 3, width=64)]
    assert who_is_better(alike)[1] == []
    assert headline(alike).endswith("The outputs differ in width, with which the score grows.")
    assert [widths_differ(alike), widths_differ(alike[:2])] == [True, False]
    assert record_of(alike)["widths_differ"] is True
    assert record_of([wide, narrow])["best"] is None
    assert record_of([wide, narrow])["undecided"] == ["wide", "narrow"]


def test_the_headline_is_about_those_that_may_be_best() -> None:
    high, low = scored_run("high", 5), scored_run("low", 3)
    out = [scored_run("c", 9, verdict="collapsed"), scored_run("d", 1, verdict="not learning")]
    assert (
        headline([high, *out])
        == "high is the only one not ruled out by its verdict; its score decides nothing."
    )
    assert headline([high, low]) == "high has the highest label-free score of the 2 that may be best."
    assert headline([high, low, *out]) == (
        "high has the highest label-free score of the 2 that may be best. 2 are ruled out by verdict."
    )
    near = [scored_run("high", 5, 1), scored_run("low", 4, 1), out[0]]
    assert headline(near) == (
        "Undecided: high has the highest label-free score, but low cannot be told from it. 1 is ruled out by verdict."
    )
    assert headline(out).startswith("None of these runs can be called best")


def test_correlation_is_that_of_ranks() -> None:
    scores, linear = [3.0, 1.0, 4.0, 1.5, 9.0], [0.8, 0.2, 0.7, 0.3, 0.75]
    runs = [scored_run(str(s), s, linear=p) for s, p in zip(scores, linear, strict=True)]
    count, found = correlations([*runs, scored_run("unknown", 2), scored_run("nan", math.nan, linear=0.1)])
    expected = np.corrcoef(rankdata(scores), rankdata(linear))[0, 1]
    assert count == 5
    assert found["embeddings", "rankme"] == pytest.approx(expected)
    assert found["features", "alpha_req"] == pytest.approx(expected)  # nearer to 1 is better
    assert correlations(runs[:3]) == (3, {})
