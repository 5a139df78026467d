"""Declarations of what a run is measured by besides its embeddings: accuracies, loss, cost, and scores of its features.

They are measured where the figures arise: the accuracies in `ssl_zoo.monitors`, the cost in `ssl_zoo.training` and
`ssl_zoo.suites`.
"""

from __future__ import annotations

from .declaration import CSV, LABEL_FREE, METRICS, RESULT, SUITE, Metric

# fmt: off
DECLARATIONS = (
    Metric(
        name="loss", title="loss", group="training", chart="Training loss",
        meaning="Mean of the method's loss over an epoch, computed in float32.",
    ),
    Metric(
        name="lr", title="learning rate", group="training", files=(CSV,), chart="Learning rate", bottom=0.0,
        meaning="Learning rate after the epoch's last step.",
    ),
    Metric(
        name="encoder_gradient_norm", title="encoder gradient norm", group="training", bottom=0.0,
        chart="Gradient norm of the encoder",
        meaning="Length of the gradient of the encoder's weights, before it is clipped; mean over the optimizer steps "
        "of an epoch.",
    ),
    Metric(
        name="predictor_gradient_norm", title="predictor gradient norm", group="training", bottom=0.0,
        chart="Gradient norm of the predictor",
        meaning="The same of the predictor's weights; left out where a method has none to train.",
    ),
    Metric(
        name="tuned", title="tuned to", group="training", unit="setting", files=(SUITE,),
        meaning="The value of the suite's `tune` key that was chosen for the row.",
    ),
    Metric(
        name="top1", title="top-1", group="accuracy", unit="fraction", better="higher", files=(SUITE,),
        meaning="A suite's headline accuracy: of its first protocol under `evaluate`, or else `linear_top1`.",
    ),
    Metric(
        name="linear_top1", title="linear probe", group="accuracy", unit="fraction", better="higher",
        files=(RESULT, SUITE),
        meaning="Top-1 of a logistic regression on frozen features with few labels, mean over draws of the "
        "labels; `linear_protocol` says which.",
    ),
    Metric(
        name="knn_top1", title="kNN", group="accuracy", unit="fraction", better="higher", chart="kNN top-1",
        source="[InstDisc](https://arxiv.org/abs/1805.01978)",
        meaning="Top-1 of weighted k nearest neighbours on the backbone's features; `knn_protocol` says with "
        "which k and how large a labelled training set.",
    ),
    Metric(
        name="random_encoder_linear_top1", title="untrained", group="accuracy", unit="fraction", files=(SUITE,),
        meaning="`linear_top1` of the encoder before its training; in `result.json` among the `baselines`, in a "
        "suite where `top1` is `linear_top1`.",
    ),
    Metric(
        name="test_images", title="test images", group="accuracy", unit="count", files=(SUITE,),
        meaning="Labelled test images, from `result.json`; an accuracy moves in steps of one of them.",
    ),
    Metric(
        name="images_seen", title="images seen", group="cost", unit="count", files=(SUITE,),
        meaning="Images that the training took, each epoch anew.",
    ),
    Metric(
        name="forward_passes", title="forward passes", group="cost", unit="count", files=(SUITE,),
        meaning="Images through an encoder during training, the momentum encoder's included.",
    ),
    Metric(
        name="train_seconds", title="training, s", group="cost", files=(RESULT, SUITE),
        meaning="Seconds of training, without measurements.",
    ),
    Metric(
        name="seconds", title="whole run, s", group="cost", files=(SUITE,),
        meaning="Seconds of a run of a suite from start to end, its evaluations included.",
    ),
    Metric(
        name="views_per_second", title="views/s", group="cost",
        meaning="Views trained on per second of training.",
    ),
    Metric(
        name="peak_memory_mb", title="peak memory, MiB", group="cost", files=(RESULT, SUITE),
        meaning="The most memory allocated on a GPU; elsewhere the most that the process had.",
    ),
    Metric(
        name="rankme", title="RankMe", group="features", better="higher", files=(LABEL_FREE,),
        reading="1 to min(N, F), higher is better", source="[RankMe](https://arxiv.org/abs/2210.02885)",
        meaning="exp of the entropy of the features' singular values; their mean counts as a direction.",
    ),
    Metric(
        name="alpha_req", title="alpha-ReQ", group="features", files=(LABEL_FREE,), reading="1 is best",
        source="Agrawal et al., 2022 (NeurIPS)",
        meaning="alpha of the power law j^-alpha that the eigenvalues of the features' covariance follow.",
    ),
    Metric(
        name="participation_ratio", title="participation ratio", group="features", better="higher",
        files=(LABEL_FREE,), reading="1 to min(N, F), higher is better",
        source="[Gao et al.](https://doi.org/10.1101/214262)",
        meaning="(sum of the eigenvalues of the features' covariance)² over the sum of their squares.",
    ),
)
# fmt: on

for declaration in DECLARATIONS:
    METRICS.add(declaration)
