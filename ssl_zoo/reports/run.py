"""The report of one run."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence

from torch import Tensor

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.errors import UserError
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.monitors.label_free import label_free, spectrum
from ssl_zoo.pages.charts import Series, curves, curves_size
from ssl_zoo.pages.drawing import chart
from ssl_zoo.pages.numbers import number, percent
from ssl_zoo.pages.page import Gallery, Page, Prose, Section, Table
from ssl_zoo.reports.encoded_images import LAYER_NAMES, EncodedImages, encode
from ssl_zoo.reports.evaluation_table import evaluation_table
from ssl_zoo.reports.image_sample import data_of, load_images
from ssl_zoo.reports.image_sections import feature_map, neighbours, training_views
from ssl_zoo.reports.imported import origin
from ssl_zoo.reports.options import ReportConfig
from ssl_zoo.reports.ranking import TITLES
from ssl_zoo.reports.reference import Reference, reference_of_run
from ssl_zoo.reports.run_sections import (
    RunSummary,
    accuracies,
    badge,
    diagnostics,
    facts,
    name_of,
    provenance,
    title,
)
from ssl_zoo.run_dir.metrics_csv import column
from ssl_zoo.run_dir.saved_run import SavedRun, digest_of, open_run

__all__ = ["run_page"]


def run_page(
    run: SavedRun, config: ReportConfig, overrides: Sequence[str], log: Callable[[str], None]
) -> Page:
    """Measures a run and makes the page of its report; nothing is written.

    Args:
        run: finished or not.
        config: the options.
        overrides: about the data.
        log: prints a line of progress.

    Raises:
        UserError: the run's images are not there, or cannot be read; a weight is missing.
    """
    named = None if config.reference is None else open_run(config.reference, "reference")
    reference = reference_of_run(run, named)
    summary, data = RunSummary.of(run), data_of(overrides, run, run)
    images = load_images(data, config.samples, config.seed)
    log(f"reading {images.in_words}")
    methods = {"trained": run.method()}
    try:
        methods["untrained"] = run.method(trained=False)
    except UserError:  # pretrained weights to start from, and no network
        log("the initial weights cannot be fetched: the report goes without the untrained encoder")
    outputs = encode([m.encoder for m in methods.values()], images, run.config.augment.size, data)
    encoded = EncodedImages(run, config, data, images, dict(zip(methods, outputs, strict=True)))
    before = digest_of(methods["untrained"].encoder.backbone.state_dict()) if "untrained" in methods else None
    log("drawing")
    command = shlex.join(["ssl-zoo", "report", *config.run, *config.overrides(), *overrides])
    trained_here = not run.is_imported
    labelled = images.labels is not None if _is_training_data(data, run) else None
    sections = [
        accuracies(summary, labelled, reference) if trained_here else None,
        origin(run),
        _curves(summary, reference) if trained_here else None,
        feature_map(encoded),
        neighbours(encoded),
        training_views(encoded) if trained_here else None,
        _spectra(encoded),
        diagnostics(summary) if trained_here else None,
        evaluation_table(run, before),
        provenance(summary, command),
    ]
    return Page(
        title=title(summary),
        kicker=f"ssl-zoo report · seed {run.config.seed} · {run.config.backbone.name} · {name_of(run)}",
        lead=summary.explanation,
        badge=badge(summary),
        facts=facts(summary, outputs[0].embeddings.shape[1]),
        sections=[section for section in sections if section is not None],
        foot=f"Pictures and scores are of {images.in_words}, without augmentation unless said otherwise. "
        "This page needs no network and no other file.",
    )


def _is_training_data(data: DataConfig, run: SavedRun) -> bool:
    """Whether these are the images that the run was trained on."""
    trained_on = run.config.data
    return (data.name, *data.training_images) == (trained_on.name, *trained_on.training_images)


def _curves(summary: RunSummary, reference: Reference | None) -> Section:
    pictures = []
    for name, metric in declared(CSV).items():
        x, y = column(summary.rows, name)
        if not (metric.chart and y):
            continue
        dashed = list(metric.lines)
        if name == "knn_top1":
            pairs = (("pixels", "raw pixels"), ("random_encoder", "untrained encoder"))
            values = [(label, summary.baseline(f"{key}_knn_top1")) for key, label in pairs]
            if reference is not None:
                values.append(("supervised" if reference.is_found else "reference", reference.mean(name)))
            dashed = [(label, value) for label, value in values if value is not None]
        show = percent if metric.is_fraction else number
        known = [value for value in y if math.isfinite(value)] or y
        alt = (
            f"{metric.chart} over {x[-1]:.0f} epochs: {show(y[0])} at epoch {x[0]:.0f}, {show(y[-1])} at the last; "
            f"lowest {show(min(known))}, highest {show(max(known))}"
        )
        alt += "".join(f"; {label} {show(height)}" for label, height in dashed) + "."
        line = Series("", x, y)
        paint = curves(
            metric.chart, [line], baselines=dashed, percent=metric.is_fraction, bottom=metric.bottom
        )
        pictures.append(chart(f"curve-{name.replace('_', '-')}", paint, alt=alt))
    if not pictures:
        return Section("curves", "Learning curves", [Prose("There is no metrics.csv beside the checkpoint.")])
    return Section("curves", "Learning curves", [Gallery(pictures)])


def _spectra(encoded: EncodedImages) -> Section:
    """Draws the eigenvalues of features and embeddings, with the label-free scores."""
    pictures, rows = [], []
    if not encoded.usable:
        return Section("spectrum", "Spectrum", [Prose("No spectrum: the features are not finite.")])
    for key, layer in LAYER_NAMES.items():
        series, descriptions = [], []
        for name, outputs in encoded.usable.items():
            x: Tensor = getattr(outputs, key)  # (N, width)
            s, eigenvalues = label_free(x), spectrum(x)
            figures = [getattr(s, name) for name in TITLES]
            rows.append((f"{name}, {layer}", str(x.shape[1]), *map(number, figures)))
            fractions = (eigenvalues / eigenvalues.sum())[eigenvalues > 0].tolist()
            role = "trained" if name == "trained" else "random"
            series.append(
                Series(
                    f"{name}, rank {number(s.effective_rank)}", range(1, len(fractions) + 1), fractions, role
                )
            )
            largest = (
                f"the largest holds {percent(fractions[0])} of the variance" if fractions else "no variance"
            )
            rank = f"effective rank {number(s.effective_rank)} of {x.shape[1]}"
            descriptions.append(f"{name}: {rank}, {len(fractions)} above rounding, {largest}")
        paint = curves(layer.capitalize(), series, x="eigenvalue, by size", log_y=True)
        alt = f"Eigenvalues of the covariance of the {layer}, as fractions of the variance. {'; '.join(descriptions)}."
        pictures.append(chart(f"spectrum-{key}", paint, alt=alt, size=curves_size(series)))
    text = (
        "Eigenvalues of the covariance, each as a fraction of the variance. A cliff is dimensional collapse: the "
        "directions beyond it are not used. The rank in the legend is the effective rank."
    )
    caption = (
        f"Label-free scores of {len(encoded.images)} images. Ranks: higher uses more directions; alpha of the "
        "power law of the eigenvalues: 1 is best. They compare encoders of one architecture; alone they prove nothing."
    )
    if any(
        len(encoded.images) <= x.shape[1]
        for outputs in encoded.usable.values()
        for x in (outputs.features, outputs.embeddings)
    ):
        caption += " There are fewer images than dimensions, which bounds the ranks."
    table = Table(
        ("encoder, layer", "width", *TITLES.values()),
        rows,
        caption,
    )
    return Section(
        "spectrum", "Spectrum", [Prose(text), *encoded.left_out, Gallery(pictures, wide=True), table]
    )
