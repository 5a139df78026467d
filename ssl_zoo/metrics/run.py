"""Declarations of what a run is measured by besides its embeddings: accuracies, loss, cost, and scores of its features.

They are measured where the figures arise: the accuracies in `ssl_zoo.monitors`, the cost in `ssl_zoo.training` and
`ssl_zoo.suites`.
"""

from __future__ import annotations

from .declaration import CSV, LABEL_FREE, METRICS, RESULT, SUITE, Metric

DECLARATIONS = (
    Metric(
        name="loss",
        title="loss",
        meaning="Mean of the method's loss over an epoch, computed in float32.",
        group="training",
        chart="Training loss",
    ),
    Metric(
        name="lr",
        title="learning rate",
        meaning="Learning rate after the epoch's last step.",
        group="training",
        files=(CSV,),
        chart="Learning rate",
        bottom=0.0,
    ),
    Metric(
        name="tuned",
        title="tuned to",
        meaning="The value of the suite's `tune` key that was chosen for the row.",
        group="training",
        unit="setting",
        files=(SUITE,),
    ),
    Metric(
        name="top1",
        title="top-1",
        meaning="A suite's headline accuracy: of its first protocol under `evaluate`, or else `linear_top1`.",
        group="accuracy",
        unit="fraction",
        better="higher",
        files=(SUITE,),
    ),
    Metric(
        name="linear_top1",
        title="linear probe",
        meaning="Top-1 of a logistic regression on frozen features with few labels, mean over draws of the labels; "
        "`linear_protocol` says which.",
        group="accuracy",
        unit="fraction",
        better="higher",
        files=(RESULT, SUITE),
    ),
    Metric(
        name="knn_top1",
        title="kNN",
        meaning="Top-1 of weighted k nearest neighbours on the backbone's features; `knn_protocol` says with which k "
        "and how large a labelled training set.",
        group="accuracy",
        unit="fraction",
        better="higher",
        source="[InstDisc](https://arxiv.org/abs/1805.01978)",
        chart="kNN top-1",
    ),
    Metric(
        name="random_encoder_linear_top1",
        title="untrained",
        meaning="`linear_top1` of the encoder before its training; in `result.json` among the `baselines`, in a suite "
        "where `top1` is `linear_top1`.",
        group="accuracy",
        unit="fraction",
        files=(SUITE,),
    ),
    Metric(
        name="images_seen",
        title="images seen",
        meaning="Images that the training took, each epoch anew.",
        group="cost",
        unit="count",
        files=(SUITE,),
    ),
    Metric(
        name="forward_passes",
        title="forward passes",
        meaning="Images through an encoder during training, the momentum encoder's included.",
        group="cost",
        unit="count",
        files=(SUITE,),
    ),
    Metric(
        name="train_seconds",
        title="training, s",
        meaning="Seconds of training, without measurements.",
        group="cost",
        files=(RESULT, SUITE),
    ),
    Metric(
        name="seconds",
        title="whole run, s",
        meaning="Seconds of a run of a suite from start to end, its evaluations included.",
        group="cost",
        files=(SUITE,),
    ),
    Metric(
        name="views_per_second",
        title="views/s",
        meaning="Views trained on per second of training.",
        group="cost",
    ),
    Metric(
        name="peak_memory_mb",
        title="peak memory, MiB",
        meaning="The most memory allocated on a GPU; elsewhere the most that the process had.",
        group="cost",
        files=(RESULT, SUITE),
    ),
    Metric(
        name="rankme",
        title="RankMe",
        meaning="exp of the entropy of the features' singular values; their mean counts as a direction.",
        reading="1 to min(N, F), higher is better",
        group="features",
        better="higher",
        source="[RankMe](https://arxiv.org/abs/2210.02885)",
        files=(LABEL_FREE,),
    ),
    Metric(
        name="alpha_req",
        title="alpha-ReQ",
        meaning="alpha of the power law j^-alpha that the eigenvalues of the features' covariance follow.",
        reading="1 is best",
        group="features",
        source="Agrawal et al., 2022 (NeurIPS)",
        files=(LABEL_FREE,),
    ),
    Metric(
        name="participation_ratio",
        title="participation ratio",
        meaning="(sum of the eigenvalues of the features' covariance)² over the sum of their squares.",
        reading="1 to min(N, F), higher is better",
        group="features",
        better="higher",
        source="[Gao et al.](https://doi.org/10.1101/214262)",
        files=(LABEL_FREE,),
    ),
)

for one in DECLARATIONS:
    METRICS.add(one)
