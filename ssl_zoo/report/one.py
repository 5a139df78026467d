"""The report of one run."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.monitors.label_free import label_free, spectrum
from ssl_zoo.report.charts import Series, curves
from ssl_zoo.report.drawing import chart
from ssl_zoo.report.encode import Outputs, encode
from ssl_zoo.report.figures import Told, accuracies, badge, diagnostics, evaluated, facts, made, title
from ssl_zoo.report.history import column
from ssl_zoo.report.images import data_of, load_images
from ssl_zoo.report.looks import feature_map, neighbours, views_seen
from ssl_zoo.report.options import ReportConfig
from ssl_zoo.report.page import Gallery, Page, Prose, Section, Table, number, percent
from ssl_zoo.report.seen import Seen
from ssl_zoo.saved import SavedRun

__all__ = ["page_of"]

PANELS = (
    ("loss", "Training loss", False),
    ("knn_top1", "kNN top-1", True),
    ("output_std_ratio", "Output std ratio", False),
    ("effective_rank", "Effective rank of z/|z|", False),
    ("lr", "Learning rate", False),
)


def page_of(run: SavedRun, config: ReportConfig, words: Sequence[str], say: Callable[[str], None]) -> Page:
    """Measures a run and puts its report together; nothing is written.

    Args:
        run: finished or not.
        config: the options.
        words: about the data.
        say: is given a line for the person who waits.

    Raises:
        UserError: the run's images are not there, or cannot be read; a weight is missing.
    """
    told, data = Told.of(run), data_of(words, run, run)
    images = load_images(data, config.samples, config.seed)
    say(f"reading {images.in_words}")
    methods = {"trained": run.method()}
    try:
        methods["untrained"] = run.method(trained=False)
    except UserError:  # pretrained weights to start from, and no network
        say("the initial weights cannot be fetched: the report goes without the untrained encoder")
    found = encode([m.encoder for m in methods.values()], images, run.config.augment.size, data)
    seen = Seen(run, config, data, images, dict(zip(methods, found, strict=True)))
    say("drawing")
    command = shlex.join(["ssl-zoo", "report", *config.run, *config.words(), *words])
    sections = [
        accuracies(told, images.labels is not None),
        _curves(told),
        feature_map(seen),
        neighbours(seen),
        views_seen(seen),
        _spectra(seen),
        diagnostics(told),
        evaluated(told),
        made(told, command),
    ]
    return Page(
        title=title(told),
        kicker=f"ssl-zoo report · seed {run.config.seed} · {run.config.backbone.name} · {run.folder.name}",
        lead=told.reason,
        badge=badge(told),
        facts=facts(told, found[0].embeddings.shape[1]),
        sections=[section for section in sections if section is not None],
        foot=f"Pictures and scores are of {images.in_words}, without augmentation unless said otherwise. "
        "This page needs no network and no other file.",
    )


def _curves(told: Told) -> Section:
    pictures = []
    for name, heading, is_share in PANELS:
        x, y = column(told.rows, name)
        if not y:
            continue
        dashed = []
        if name == "knn_top1":
            pairs = (("pixels", "raw pixels"), ("random_encoder", "untrained encoder"))
            dashed = [(w, b) for key, w in pairs if (b := told.baseline(f"{key}_knn_top1")) is not None]
        elif name == "output_std_ratio":
            dashed = [("isotropic", 1.0)]
        show = percent if is_share else number
        alt = (
            f"{heading} over {x[-1]:.0f} epochs: {show(y[0])} at epoch {x[0]:.0f}, {show(y[-1])} at the last"
        )
        alt += "".join(f"; {words} {show(height)}" for words, height in dashed) + "."
        bottom = 0.0 if name in ("output_std_ratio", "effective_rank", "lr") else None
        paint = curves(heading, [Series("", x, y)], baselines=dashed, percent=is_share, bottom=bottom)
        pictures.append(chart(f"curve-{name.replace('_', '-')}", paint, alt=alt))
    if not pictures:
        return Section("curves", "Learning curves", [Prose("There is no metrics.csv beside the checkpoint.")])
    return Section("curves", "Learning curves", [Gallery(pictures)])


def _spectra(seen: Seen) -> Section:
    """Eigenvalues of features and embeddings, and the label-free scores."""
    pictures, rows = [], []
    layers: tuple[tuple[str, str, Callable[[Outputs], Tensor]], ...] = (
        ("features", "Backbone's features", lambda one: one.features),
        ("embeddings", "Projector's outputs, z/|z|", lambda one: one.directions),
    )
    if not seen.usable:
        return Section("spectrum", "Spectrum", [Prose("No spectrum: the features are not finite.")])
    for key, heading, layer in layers:
        series, told = [], []
        for name, one in seen.usable.items():
            eigenvalues, rank = spectrum(layer(one)), label_free(layer(one)).effective_rank
            shares = (eigenvalues / eigenvalues.sum())[eigenvalues > 0].tolist()
            role = "trained" if name == "trained" else "random"
            series.append(Series(f"{name}, rank {number(rank)}", range(1, len(shares) + 1), shares, role))
            largest = f"the largest holds {percent(shares[0])} of the variance" if shares else "no variance"
            width = layer(one).shape[1]
            told.append(
                f"{name}: effective rank {number(rank)} of {width}, {len(shares)} above rounding, {largest}"
            )
        paint = curves(heading, series, x="eigenvalue, by size", log_y=True)
        alt = f"Eigenvalues of the covariance of {heading}, as shares of the variance. {'; '.join(told)}."
        pictures.append(chart(f"spectrum-{key}", paint, alt=alt, size=(4.0, 3.0)))
    for name, one in seen.usable.items():
        for words, x in (("features", one.features), ("projector's outputs", one.embeddings)):
            s = label_free(x)
            figures = (s.rankme, s.alpha_req, s.effective_rank, s.participation_ratio)
            rows.append((f"{name}, {words}", str(x.shape[1]), *map(number, figures)))
    text = (
        "Eigenvalues of the covariance, each as a share of the variance. A cliff is dimensional collapse: the "
        "directions beyond it are not used. The rank in the legend is the effective rank."
    )
    caption = (
        f"Label-free scores of {len(seen.images)} images. Ranks: higher uses more directions; alpha of the "
        "power law of the eigenvalues: 1 is best. They compare encoders of one architecture; alone they prove nothing."
    )
    if any(
        len(seen.images) <= x.shape[1] for one in seen.usable.values() for x in (one.features, one.embeddings)
    ):
        caption += " There are fewer images than dimensions, which bounds the ranks."
    table = Table(
        ("encoder, layer", "width", "RankMe", "alpha-ReQ", "effective rank", "participation ratio"),
        rows,
        caption,
    )
    return Section("spectrum", "Spectrum", [Prose(text), Gallery(pictures, wide=True), table])
