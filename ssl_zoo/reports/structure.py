"""The structure of features: a map of them, their clusters, and the nearest neighbours of some images."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import normalize

__all__ = [
    "LEAST",
    "NearestImages",
    "agreement",
    "chance",
    "choose_queries",
    "clusters",
    "embed_in_2d",
    "nearest",
]

LEAST = 10  # images, of a map
PERPLEXITY = 30.0
COMPONENTS = 50


def embed_in_2d(features: Tensor, seed: int) -> NDArray[np.float32]:
    """Returns t-SNE coordinates (N, 2) of (N, F) features, N >= 10; PCA to 50 dimensions comes first [0].

    It starts from the first two principal components, so that the map's large distances mean something [1]. Features
    that are all one vector are all at the origin.

    - [0] van der Maaten and Hinton, 2008, https://jmlr.org/papers/v9/vandermaaten08a.html
    - [1] Kobak and Berens, 2019, https://doi.org/10.1038/s41467-019-13056-x
    """
    x = _principal(features)  # (N, at most 50), largest variance first
    if x.shape[1] == 0:
        return np.zeros((len(x), 2), np.float32)
    start = np.zeros((len(x), 2), np.float32)
    start[:, : x.shape[1]] = x[:, :2] / x[:, 0].std() * 1e-4  # as scikit-learn scales init="pca"
    perplexity = min(PERPLEXITY, (len(x) - 1) / 3)
    with threadpool_limits(torch.get_num_threads()):
        model = TSNE(perplexity=perplexity, init=start, random_state=seed % 2**32)
        xy: NDArray[np.float32] = model.fit_transform(x)
    return xy


def clusters(features: Tensor, number: int, seed: int) -> Tensor:
    """Returns (N,) k-means clusters of z/|z|, numbered by size, the largest first; fewer where images coincide."""
    x = normalize(features, dim=1).double().numpy()
    with threadpool_limits(torch.get_num_threads()), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct points than clusters
        assigned = KMeans(min(number, len(x)), n_init=4, random_state=seed % 2**32).fit_predict(x)
    sizes = torch.bincount(torch.from_numpy(assigned).long())
    rank = sizes.argsort(descending=True, stable=True).argsort()
    return rank[torch.from_numpy(assigned).long()]


@dataclass(frozen=True)
class NearestImages:
    """The most similar images of each query, the most similar first; the query is not among them."""

    index: Tensor  # (Q, k) positions
    similarity: Tensor  # (Q, k) cosines


def nearest(features: Tensor, queries: Tensor, k: int) -> NearestImages:
    """Finds the k nearest of N images by cosine similarity; among equals the first.

    Args:
        features: (N, F).
        queries: (Q,) positions of the query images.
        k: at most N - 1.
    """
    unit = normalize(features.double(), dim=1)  # float32 would make ties of near twins
    similarity = unit[queries] @ unit.T  # (Q, N)
    similarity[torch.arange(len(queries)), queries] = -torch.inf
    values, index = similarity.sort(dim=1, descending=True, stable=True)
    return NearestImages(index[:, :k], values[:, :k])


def agreement(features: Tensor, labels: Tensor, k: int) -> float:
    """Returns the fraction of all images' k nearest neighbours that are of the image's own class."""
    same = 0
    for queries in torch.split(torch.arange(len(features)), 1024):
        index = nearest(features, queries, k).index  # (Q, k)
        same += int((labels[index] == labels[queries, None]).sum())
    return same / (len(features) * k)


def chance(labels: Tensor) -> float:
    """Returns what `agreement` is on average where neighbours are drawn blindly from the other images; labels (N,)."""
    sizes, total = torch.bincount(labels), len(labels)
    return int((sizes * (sizes - 1)).sum()) / (total * (total - 1))


def choose_queries(groups: Tensor, number: int, seed: int) -> Tensor:
    """Returns positions of query images: one of each group (class or cluster), chosen by the seed alone.

    Args:
        groups: (N,) group of each image.
        number: queries at most; with more groups, the seed chooses some of them.
        seed: of both choices.
    """
    rng = np.random.default_rng(seed)
    present = np.unique(groups.numpy())
    if len(present) > number:
        present = np.sort(rng.choice(present, number, replace=False))
    return torch.tensor([int(rng.choice(np.flatnonzero(groups.numpy() == group))) for group in present])


def _principal(features: Tensor) -> NDArray[np.float32]:
    """Projects (N, F) features on their first 50 principal components at most, those that are rounding left out."""
    x = features.double()
    centred = x - x.mean(dim=0)
    if float(centred.square().sum()) <= torch.finfo(features.dtype).eps ** 2 * float(x.square().sum()):
        return np.zeros((len(x), 0), np.float32)
    u, s, _ = torch.linalg.svd(centred, full_matrices=False)
    kept = min(COMPONENTS, int((s > s[0] * 1e-6).sum()))
    # The sign of a component is arbitrary: fixed, so that the map is the same on every machine.
    signs = u[u.abs().argmax(dim=0), torch.arange(u.shape[1])].sign()
    principal: NDArray[np.float32] = (u * s * signs)[:, :kept].float().numpy()
    return principal
