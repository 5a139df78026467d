"""The end of a run: the last measurements, the verdict, `result.json` and what a person sees of them."""

from __future__ import annotations

from ssl_zoo.build import to_device
from ssl_zoo.config.mapping import config_hash
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data
from ssl_zoo.hardware.peak_memory import peak_memory_mb
from ssl_zoo.monitors.evidence import Classifier, Evidence
from ssl_zoo.monitors.remedy import Remedy, remedy
from ssl_zoo.monitors.verdict import Verdict, judge
from ssl_zoo.run_dir.environment import git_commit, versions
from ssl_zoo.run_dir.naming import differing_axes, variant
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.run_dir.saved_run import start_hash
from ssl_zoo.training.callbacks import EpochRows
from ssl_zoo.training.closing_table import closing_lines, closing_table, next_steps
from ssl_zoo.training.curves import draw_curves
from ssl_zoo.training.facts import gather_facts
from ssl_zoo.training.fit import Trained
from ssl_zoo.training.gradients import GRADIENT_NORMS
from ssl_zoo.training.loggers import log_epoch
from ssl_zoo.training.measurement import Measurement, Scores
from ssl_zoo.training.prepare import Prepared
from ssl_zoo.training.progress import TrainingProgress

__all__ = ["conclude"]


def conclude(ready: Prepared, trained: Trained, progress: TrainingProgress) -> Result:
    """Measures and judges the trained encoder and writes the result, in the process of rank zero."""
    config, evaluator = ready.config, ready.evaluator
    assert evaluator is not None
    compare = config.monitor.baselines
    with progress.waiting("measuring the trained encoder, the untrained one and raw pixels"):
        # Moved once more, since Lightning took it to the CPU.
        final = evaluator.measure(to_device(config, ready.method, ready.hardware))
        initial = evaluator.measure_untrained(ready.untrained(), scores=compare)
        pixels = evaluator.pixel_scores() if compare else Scores()
    _complete(trained, None if ready.start else initial, final)
    baselines = Baselines(
        pixels_knn_top1=pixels.knn_top1,
        pixels_linear_top1=None if pixels.probe is None else pixels.probe.mean,
        random_encoder_knn_top1=initial.scores.knn_top1,
        random_encoder_linear_top1=None if initial.scores.probe is None else initial.scores.probe.mean,
    )
    verdict = _judge(ready, trained.epochs, final, initial, pixels)
    named = None
    if verdict.name != "healthy":
        named = remedy(config, gather_facts(ready, trained.epochs.rows, verdict.name, initial))
    result = _result(ready, trained.epochs, final, baselines, verdict, named)
    result.write()
    title = f"{variant(config)} on {config.data.name}, seed {config.seed}"
    draw_curves(ready.run_dir / "curves.png", title, trained.epochs.rows, result.baselines)
    if progress.results.is_jupyter:
        progress.show(closing_lines(result))
    else:
        progress.show(closing_table(result, title, initial.diagnostics))
    progress.show(next_steps(result), style="dim")
    return result


def _complete(trained: Trained, initial: Measurement | None, final: Measurement) -> None:
    """Adds the measurements of the untrained and of the trained encoder to the first row and the last.

    None: the run began with another's weights, and its first row is of these.
    """
    rows = trained.epochs.rows
    if initial is not None:
        rows[0].update(initial.row)
    rows[-1].update(final.row)
    trained.epochs.write(last=True)
    log_epoch(trained.loggers, final.row, int(rows[-1]["step"] or 0))
    for logger in trained.loggers:
        logger.save()  # a full disk is noticed before the run counts as done
        logger.finalize("success")


def _judge(
    ready: Prepared, epochs: EpochRows, final: Measurement, initial: Measurement, pixels: Scores
) -> Verdict:
    data, evaluator = ready.data, ready.evaluator
    assert evaluator is not None
    compared = (
        ("linear probe", final.scores.linear, initial.scores.linear, pixels.linear),
        ("kNN", final.scores.knn, initial.scores.knn, pixels.knn),
    )
    return judge(
        Evidence(
            epochs=int(epochs.rows[-1]["epoch"] or 0),
            loss=epochs.rows[-1].get("loss"),
            weights_finite=all(bool(p.isfinite().all()) for p in ready.method.parameters()),
            diagnostics=final.diagnostics,
            initial=initial.diagnostics,
            distances=final.distances,
            initial_distances=initial.distances,
            width=ready.method.embedding_dim,
            images=min(ready.config.monitor.samples, len(data.train)),
            classes=evaluator.classes,
            classifiers=tuple(
                Classifier(name, trained, *others)
                for name, trained, *others in compared
                if trained is not None
            ),
        )
    )


def _result(
    ready: Prepared,
    epochs: EpochRows,
    final: Measurement,
    baselines: Baselines,
    verdict: Verdict,
    named: Remedy | None,
) -> Result:
    assert ready.evaluator is not None
    config, last, scores = ready.config, epochs.rows[-1], final.scores
    return Result(
        method=config.method.name,
        data=config.data.name,
        seed=config.seed,
        epochs=int(last["epoch"] or 0),
        steps=int(last["step"] or 0),
        loss=last.get("loss"),
        knn_top1=scores.knn_top1,
        knn_protocol=ready.evaluator.knn_protocol,
        linear_top1=None if scores.probe is None else scores.probe.mean,
        linear_top1_std=None if scores.probe is None else scores.probe.std,
        linear_protocol=ready.evaluator.linear_protocol,
        test_images=None if ready.data.test is None or scores.knn_top1 is None else len(ready.data.test),
        baselines=baselines,
        metrics=final.diagnostics
        | {key: norm for key in GRADIENT_NORMS if (norm := last.get(key)) is not None},
        verdict=verdict.name,
        verdict_reason=verdict.reason,
        collapsed_epoch=epochs.collapsed_epoch
        or (int(last["epoch"] or 0) if verdict.name == "collapsed" else None),
        cause=None if named is None else f"{named.name}: {named.cause}",
        remedy=None if named is None else named.action,
        differs_from_paper=differing_axes(config),
        start_from=ready.start,
        views_per_second=epochs.views / epochs.seconds if epochs.seconds else None,
        train_seconds=epochs.seconds,
        peak_memory_mb=peak_memory_mb(ready.hardware.device),
        skipped=_skipped(ready.data, config),
        config_hash=config_hash(config, start_hash(ready.start)),
        git_commit=git_commit(),
        versions=versions(),
        run_dir=str(ready.run_dir),
    )


def _skipped(data: Data, config: RunConfig) -> int | None:
    return len({*data.skipped, *data.unreadable}) if SOURCES.get(config.data.source).reads_train else None
