"""Weighted k-nearest-neighbour accuracy: are images of one class near each other?

A query asks its k most similar images in a labelled set, and each votes for its own class with the weight
exp(s / tau), s being the cosine similarity [0, Sec. 3.4]:

    prediction = argmax_c  sum_{i in k nearest, y_i = c}  exp(s_i / tau)

Nothing is trained, so the figure follows the features closely from epoch to epoch. `k` = 200 and `tau` = 0.1
are those of the MoCo and SimSiam CIFAR-10 runs (InstDisc itself: tau = 0.07).

The labelled set is compared chunk by chunk and never held: of each query only its nearest so far are kept. How it is
cut into chunks decides nothing. Similarities are computed in float64 and rounded to 2^-24, as fine as float32 has
them, so that the order of a sum doesn't show; equal ones count in the order of the labelled set; votes are summed in
whole numbers, and the smallest label wins a tie.

lightly's `knn_predict` gives the same predictions; it is not used because it holds the labelled set and a
(queries * k, classes) matrix, 800 MB for 1,024 queries and 1,000 classes, takes class numbers from 0 without
gaps, and lets exp(s / tau) overflow for tau below 0.0113.

- [0] InstDisc, 2018, https://arxiv.org/abs/1805.01978
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.errors import UserError

__all__ = ["Neighbours", "knn_hits", "knn_predict_labels", "knn_top1", "usual_k"]

MOST = 200  # neighbours
CHUNK = 1024
STEP = 2**24  # similarities are whole multiples of 1 / STEP
PLACES = (
    2**28
)  # images that a labelled set may have: STEP * PLACES is the largest whole number exact in float64
VOTE = 2**40  # the nearest neighbour's vote


def usual_k(images: int) -> int:
    """The number of neighbours where none is set: 200, or a tenth of the labelled images where that is less."""
    return max(1, min(MOST, images // 10))


def knn_top1(
    labelled: Tensor,
    labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    k: int,
    temperature: float,
    chunk: int = CHUNK,
) -> float:
    """Returns the fraction of queries whose class the weighted kNN predicts, in [0, 1].

    Args:
        labelled: (M, D) features with known labels, on any device; normalised here.
        labels: (M,) integers, any numbers.
        queries: (N, D) features, on the same device.
        query_labels: (N,) integers. A class that no labelled image has is never predicted.
        k: neighbours that vote.
        temperature: tau, above 0; small values leave the vote to the nearest.
        chunk: images compared at a time; memory grows with its square.

    Returns:
        Top-1 accuracy; nan where a feature is not finite, since such features have no neighbours.

    Raises:
        UserError: k exceeds M.
    """
    return _neighbours(labelled, labels, queries, k, chunk).top1(query_labels, k, temperature)


def knn_hits(
    labelled: Tensor,
    labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    k: int,
    temperature: float,
    chunk: int = CHUNK,
) -> Tensor | None:
    """Returns whether each query's class is predicted, (N,) bool; None where a feature is not finite.

    Arguments and errors as in `knn_top1`.
    """
    return _neighbours(labelled, labels, queries, k, chunk).hits(query_labels, k, temperature)


def knn_predict_labels(
    labelled: Tensor, labels: Tensor, queries: Tensor, k: int, temperature: float, chunk: int = CHUNK
) -> Tensor:
    """Returns the predicted label of each query, (N,); arguments and errors as in `knn_top1`."""
    return _neighbours(labelled, labels, queries, k, chunk).predict(k, temperature)


def _neighbours(labelled: Tensor, labels: Tensor, queries: Tensor, k: int, chunk: int) -> Neighbours:
    if k > len(labelled):
        raise UserError(
            f"the kNN monitor needs k <= labelled images; received k={k} and {len(labelled)} images; "
            f"set monitor.knn.k={max(len(labelled), 1)} or less"
        )
    neighbours = Neighbours(queries, k, chunk)
    neighbours.add(labelled, labels)
    return neighbours


class Neighbours:
    """The nearest images of each query in a labelled set that is added piece by piece.

    A neighbour is one float64, a whole number: its similarity in steps, times PLACES, less its position in the
    set. No two are equal, and of equal similarities the earlier is greater.

    Args:
        queries: (N, D) features on any device; normalised here.
        k: neighbours that are kept.
        chunk: images compared at a time, of the queries and of the labelled set; memory grows with its square.
    """

    def __init__(self, queries: Tensor, k: int, chunk: int = CHUNK) -> None:
        self.k, self.chunk = k, chunk
        # MPS has no float64.
        self.device = torch.device("cpu") if queries.device.type == "mps" else queries.device
        self.finite = bool(queries.isfinite().all())  # and the labelled images, as far as it has been seen
        self.seen = self._compared = 0  # labelled images
        self._queries = torch.split(queries.detach().to(self.device), chunk)  # (B, D) each
        self._nearest = [
            torch.empty(len(block), 0, device=self.device, dtype=torch.float64) for block in self._queries
        ]
        self._labels: list[Tensor] = []
        self._waiting: list[Tensor] = []  # labelled images, less than a chunk

    def add(self, features: Tensor, labels: Tensor) -> None:
        """Adds the next labelled images: features (n, D), labels (n,)."""
        assert len(features) == len(labels)
        self.finite = self.finite and bool(features.isfinite().all())
        self.seen += len(features)
        self._labels.append(labels.to(self.device))
        for part in torch.split(features.detach().to(self.device), self.chunk):
            self._waiting.append(part)
            if sum(map(len, self._waiting)) >= self.chunk:
                self._compare()

    def top1(self, query_labels: Tensor, k: int, temperature: float) -> float:
        """Returns the fraction of queries whose label (N,) is predicted; nan where a feature is not finite."""
        hits = self.hits(query_labels, k, temperature)
        return float("nan") if hits is None else float(hits.sum().item() / len(hits))

    def hits(self, query_labels: Tensor, k: int, temperature: float) -> Tensor | None:
        """Returns whether each query's label (N,) is predicted, (N,) bool; None where a feature is not finite."""
        return self.predict(k, temperature) == query_labels.to(self.device) if self.finite else None

    @torch.no_grad()
    def predict(self, k: int, temperature: float) -> Tensor:
        """Returns the label (N,) that the k nearest of each query vote for; k at most that of the constructor."""
        self._compare()
        assert 1 <= k <= min(self.k, self.seen)
        classes, index = torch.unique(torch.cat(self._labels), return_inverse=True)  # (C,), (M,)
        predicted = []
        for nearest in self._nearest:
            keys = nearest.topk(k, dim=1).values.long()  # (B, k), the most similar first
            position = -keys & (PLACES - 1)  # (B, k)
            similarity = (keys + position).double() / (STEP * PLACES)  # (B, k)
            # A factor common to all votes of a query changes no argmax; this one keeps exp within (0, 1].
            votes = ((similarity - similarity[:, :1]) / temperature).exp()
            scores = keys.new_zeros(len(keys), len(classes))  # (B, C)
            scores.scatter_add_(1, index[position], (votes * VOTE).round().long())
            predicted.append(classes[scores.argmax(dim=1)])
        return torch.cat(predicted)

    @torch.no_grad()
    def _compare(self) -> None:
        """Compares the queries with the images that wait."""
        if not self._waiting:
            return
        keys = _unit(torch.cat(self._waiting))  # (n, D)
        self._waiting = []
        position = torch.arange(
            self._compared, self._compared + len(keys), device=self.device, dtype=torch.float64
        )
        self._compared += len(keys)
        assert self._compared <= PLACES
        for number, block in enumerate(self._queries):
            near = (_unit(block) @ keys.T).mul_(STEP).round_().mul_(PLACES).sub_(position)  # (B, n)
            near = torch.cat([self._nearest[number], near], dim=1)
            self._nearest[number] = _largest(near, min(self.k, near.shape[1]))


def _largest(rows: Tensor, k: int) -> Tensor:
    """Returns the k largest of each row (B, n), in any order; the rows are put in another order.

    On a CPU by numpy, whose partition of 1,224 numbers takes a sixth of the time of torch's topk.
    """
    if rows.device.type != "cpu":
        return rows.topk(k, dim=1, sorted=False).values
    array = rows.numpy()
    array.partition(array.shape[1] - k, axis=1)
    return rows[:, -k:].clone()


def _unit(x: Tensor) -> Tensor:
    """Returns unit vectors in float64, which autocast leaves alone; zero vectors stay zero."""
    return normalize(x.double(), dim=1, eps=torch.finfo(torch.float64).tiny)
