"""Measurements of an encoder: tensors in, numbers out. Nothing here knows of trainers or datasets.

`knn` and `probe` ask what the features are good for, `label_free` how many directions they use, and `verdict` puts the
figures into one word and one sentence. How the embeddings lie on the sphere is in `ssl_zoo.metrics`.
"""

from __future__ import annotations

from .evidence import Evidence
from .knn import knn_predict_labels, knn_top1
from .probe import ProbeResult, few_label_top1, probe_protocol
from .verdict import Verdict, judge

__all__ = [
    "Evidence",
    "ProbeResult",
    "Verdict",
    "few_label_top1",
    "judge",
    "knn_predict_labels",
    "knn_top1",
    "probe_protocol",
]
