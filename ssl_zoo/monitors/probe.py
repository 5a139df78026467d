"""The few-label linear probe: how well does a linear classifier do with a handful of labels?

For each draw, a number or a fraction of each class's labelled images is sampled, a logistic regression is fitted to
their features, and its top-1 accuracy on all queries is measured. The accuracy depends much on which images are
sampled, hence several draws. They depend on the labels and the seed alone: raw pixels, the untrained encoder and the
trained one are probed with the same draws, so that their accuracies differ by the features only and may be subtracted
draw by draw. A draw of fewer labels is a subset of the draw of more.

The features are standardised by mean and standard deviation of all labelled images, which needs no labels. The
classifier is scikit-learn's, L2-regularised with C = 1 and nothing tuned: there is no validation set to tune
on with ten labels a class.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from ssl_zoo.data.sampling import at_least_one, equal_count, sample_classes
from ssl_zoo.errors import UserError

__all__ = ["ProbeResult", "draw_labels", "few_label_top1", "probe_protocol"]

NAN = float("nan")


@dataclass(frozen=True)
class ProbeResult:
    """Top-1 accuracies, fractions of 1."""

    mean: float
    std: float  # over the draws (n - 1 in the denominator); nan for a single draw
    draws: tuple[float, ...]  # one per draw; the same draws for every encoder
    hits: tuple[float, ...] = ()  # per query the fraction of draws that got it right; () where not measured


def probe_protocol(labels_per_class: int | None, draws: int, label_fraction: float | None = None) -> str:
    """Returns the protocol in words, for `linear_protocol` in a run's result; arguments as in `few_label_top1`."""
    if label_fraction is not None:
        labels = f"{100 * label_fraction:g} % of each class's labels, at least one"
    else:
        labels = f"{labels_per_class} label{'s' if labels_per_class != 1 else ''} per class"
    over = f"mean over {draws} draws of the labels" if draws > 1 else "one draw of the labels"
    return f"logistic regression (L2, C=1) on frozen standardised features, {labels}, {over}"


def few_label_top1(
    labelled: Tensor,
    labels: Tensor,
    queries: Tensor,
    query_labels: Tensor,
    labels_per_class: int | None,
    draws: int,
    seed: int = 0,
    label_fraction: float | None = None,
) -> ProbeResult:
    """Fits the probe once per draw and tests it on the queries.

    Args:
        labelled: (M, D) features of the images that labels are drawn from, any device and float type.
        labels: (M,) integers, any numbers.
        queries: (N, D) features of the test images.
        query_labels: (N,) integers. A class that no labelled image has counts as an error.
        labels_per_class: labels drawn per class, >= 1; a class with fewer gives all it has. None with `label_fraction`.
        draws: independent draws of the labels, >= 1.
        seed: of the draws.
        label_fraction: labels drawn of each class as a fraction of its images, in (0, 1], rounded, at least one; in
            place of `labels_per_class`.

    Returns:
        Mean and standard deviation over the draws, each draw's top-1 and each query's fraction of hits; nan where
        a feature is not finite. Features that are all constant predict one class: chance on a balanced test set.

    Raises:
        UserError: there are no labelled images or no queries.
    """
    if len(labelled) == 0 or len(queries) == 0:
        raise UserError(
            f"the linear probe needs labelled images to fit and to test; received {len(labelled)} and "
            f"{len(queries)}; check data.train, data.test and data.limit"
        )
    x, y = _array(labelled), labels.cpu().numpy()  # (M, D), (M,)
    x_test, y_test = _array(queries), query_labels.cpu().numpy()  # (N, D), (N,)
    if not (np.isfinite(x).all() and np.isfinite(x_test).all()):
        return ProbeResult(NAN, NAN, (NAN,) * draws)
    scaler = StandardScaler().fit(x)  # sums in float64, and leaves constant features at 0
    x_test = scaler.transform(x_test)
    right = np.empty((draws, len(y_test)), dtype=bool)  # (R, N)
    # More threads than one wait for one another longer than such small problems take: 2.0 s instead of 0.3 s, measured.
    # Set once, as each time takes some milliseconds, as long as a fit.
    with threadpool_limits(1):
        for draw, rows in enumerate(draw_labels(y, labels_per_class, draws, seed, label_fraction)):
            # Only the drawn rows need float64, in which lbfgs converges without trouble.
            right[draw] = _predict(scaler.transform(x[rows].astype(np.float64)), y[rows], x_test) == y_test
    accuracies = right.mean(axis=1)  # (R,)
    std = float(accuracies.std(ddof=1)) if draws > 1 else NAN
    return ProbeResult(
        float(accuracies.mean()), std, tuple(accuracies.tolist()), tuple(right.mean(axis=0).tolist())
    )


def draw_labels(
    labels: npt.NDArray[np.int64],
    labels_per_class: int | None,
    draws: int,
    seed: int,
    label_fraction: float | None = None,
) -> list[npt.NDArray[np.int64]]:
    """Returns positions of the drawn images, one array per draw; arguments as in `few_label_top1`."""
    if labels_per_class is None:
        assert label_fraction is not None
        number = at_least_one(label_fraction)
    else:
        assert label_fraction is None
        number = equal_count(labels_per_class)
    rng = np.random.default_rng(seed)
    known = torch.from_numpy(labels)
    return [
        sample_classes(known, number, lambda label, size: torch.from_numpy(rng.permutation(size))).numpy()
        for _ in range(draws)
    ]


def _array(features: Tensor) -> npt.NDArray[np.float32]:
    return features.detach().to("cpu", torch.float32).numpy()


def _predict(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.int64], x_test: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """Returns the labels (N,) of the rows of (N, D), by the classifier fitted to (n, D) and (n,)."""
    if (y == y[0]).all():  # scikit-learn refuses a single class
        return np.full(len(x_test), y[0])
    with warnings.catch_warnings():
        # The one warning of the optimizer is that of a line search at the limit of rounding: the optimum to all digits.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Labels are classes, however few images each has.
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        model = LogisticRegression(C=1.0, max_iter=10_000).fit(x, y)
    predicted: npt.NDArray[np.int64] = model.predict(x_test)
    return predicted
