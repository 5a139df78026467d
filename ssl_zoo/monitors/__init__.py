"""What is measured of an encoder: tensors in, numbers out. Nothing here knows of trainers or datasets.

`knn` and `probe` ask what the features are good for, `collapse` how the embeddings lie on the sphere, and
`verdict` puts the figures into one word and one sentence.
"""

from __future__ import annotations

from .collapse import Diagnostics, diagnose
from .knn import knn_predict_labels, knn_top1
from .probe import ProbeResult, describe, few_label_top1
from .verdict import Evidence, Verdict, judge

__all__ = [
    "Diagnostics",
    "Evidence",
    "ProbeResult",
    "Verdict",
    "describe",
    "diagnose",
    "few_label_top1",
    "judge",
    "knn_predict_labels",
    "knn_top1",
]
