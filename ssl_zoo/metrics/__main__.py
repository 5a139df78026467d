"""`python -m ssl_zoo.metrics > docs/metrics.md`: the page of all metrics, from their declarations."""

from __future__ import annotations

from typing import get_args

from ssl_zoo.metrics import METRICS, Metric
from ssl_zoo.metrics.declaration import Group

HEAD = """\
# Metrics

Made by `python -m ssl_zoo.metrics > docs/metrics.md` from the declarations in [ssl_zoo/metrics](../ssl_zoo/metrics).
A metric has one key in every file, in Python, in TensorBoard (`epoch/KEY`) and in the columns and claims of suites.
All are measured in evaluation mode and in float32. Accuracies are fractions of 1 and those of the last epoch."""
COLUMNS = "| key | title | meaning | better | source | stands in |\n|---|---|---|---|---|---|"
GROUPS = {
    "training": "## Training",
    "accuracy": "## Accuracy\n\nWithout labels there is none.",
    "embeddings": "## Embeddings\n\nOf the embeddings z of two augmented views of up to `monitor.samples` training "
    "images, each view by itself and averaged; of N images and D channels. They need no labels. Those of predictions "
    "are left out where a method has no predictor.",
    "cost": "## Cost",
    "features": "## Features\n\nOf the backbone's features, N images and F channels, by `protocol=label_free`.",
}


def page() -> str:
    """Returns the page as Markdown."""
    parts = [HEAD]
    for group in get_args(Group):
        rows = [_row(metric) for metric in METRICS.registered() if metric.group == group]
        parts += ["", GROUPS[group], "", COLUMNS, *rows]
    return "\n".join(parts) + "\n"


def _row(metric: Metric) -> str:
    files = ", ".join(f"`{file}`" for file in metric.files)
    cells = (f"`{metric.name}`", metric.title, metric.meaning, metric.better or "", metric.source, files)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(page(), end="")
