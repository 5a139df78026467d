"""Weighted k-nearest-neighbour accuracy: are images of one class near each other?

A query asks its k most similar images of a labelled bank, and each votes for its own class with the weight
exp(s / tau), s being the cosine similarity [0, Sec. 3.4]:

    prediction = argmax_c  sum_{i in k nearest, y_i = c}  exp(s_i / tau)

Nothing is trained, so the figure follows the features closely from epoch to epoch. `k` = 200 and `tau` = 0.1
are those of the MoCo and SimSiam CIFAR-10 runs (InstDisc itself: tau = 0.07). lightly's `knn_predict`
gives the same predictions; it is not used because it holds a (queries * k, classes) matrix, 800 MB for 1,024
queries and 1,000 classes, takes class numbers from 0 without gaps, and lets exp(s / tau) overflow for tau
below 0.0113.

- [0] InstDisc, 2018, https://arxiv.org/abs/1805.01978
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ssl_zoo.errors import UserError

__all__ = ["knn_predict_labels", "knn_top1"]


def knn_top1(
    bank: Tensor,
    bank_labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    k: int,
    temperature: float,
    chunk: int = 1024,
) -> float:
    """Returns the share of queries whose class the weighted kNN predicts, in [0, 1].

    Args:
        bank: (M, D) features with known labels, on any device; normalised here.
        bank_labels: (M,) integers, any numbers.
        queries: (N, D) features, on the bank's device.
        query_labels: (N,) integers. A class that the bank does not have is never predicted.
        k: neighbours that vote.
        temperature: tau, above 0; small values leave the vote to the nearest.
        chunk: queries compared at a time; memory grows with chunk * M floats.

    Returns:
        Top-1 accuracy; nan where a feature is not finite, since such features have no neighbours.

    Raises:
        UserError: k exceeds M.
    """
    if not (bank.isfinite().all() and queries.isfinite().all()):
        return float("nan")
    predicted = knn_predict_labels(bank, bank_labels, queries, k, temperature, chunk)  # (N,)
    return float((predicted == query_labels.to(predicted.device)).sum().item() / len(queries))


@torch.no_grad()
def knn_predict_labels(
    bank: Tensor, bank_labels: Tensor, queries: Tensor, k: int, temperature: float, chunk: int = 1024
) -> Tensor:
    """Returns the predicted label of each query, (N,); arguments and errors as in `knn_top1`."""
    if k > len(bank):
        raise UserError(
            f"the kNN monitor needs k <= labelled images in its bank; received k={k} and {len(bank)} images; "
            f"set monitor.knn.k={max(len(bank), 1)} or less"
        )
    classes, bank_index = torch.unique(bank_labels.to(bank.device), return_inverse=True)  # (C,), (M,)
    # Autocast would turn the similarities into bf16, in which thousands of neighbours tie.
    with torch.autocast(bank.device.type, enabled=False):
        keys = normalize(bank.float(), dim=1)  # (M, D)
        predicted = []
        for block in torch.split(queries, chunk):
            similarity = normalize(block.float(), dim=1) @ keys.T  # (B, M)
            nearest, index = similarity.topk(k, dim=1)  # (B, k), the most similar first
            # A factor common to all votes of a query changes no argmax; this one keeps exp within (0, 1].
            votes = ((nearest - nearest[:, :1]) / temperature).exp()  # (B, k)
            scores = votes.new_zeros(len(block), len(classes))  # (B, C)
            scores.scatter_add_(1, bank_index[index], votes)
            predicted.append(classes[scores.argmax(dim=1)])
    return torch.cat(predicted)
