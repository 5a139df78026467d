"""A run, from its configuration to its directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from ssl_zoo.build import to_device
from ssl_zoo.config.compose import config_hash, to_yaml
from ssl_zoo.config.registries import SOURCES
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import Data, FileSplit
from ssl_zoo.distributed import from_all, from_rank_zero
from ssl_zoo.equation import Siamese
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.writing import write_file
from ssl_zoo.image_defaults import describe
from ssl_zoo.monitors.verdict import Evidence, Verdict, judge
from ssl_zoo.runs.checkpoints import set_aside
from ssl_zoo.runs.continuation import compose_run
from ssl_zoo.runs.directory import check_run_dir, choose_run_dir, hold_run_dir
from ssl_zoo.runs.environment import environment, git_commit, versions
from ssl_zoo.runs.naming import differing_axes, variant
from ssl_zoo.runs.result import Baselines, Result
from ssl_zoo.runs.run_files import read_record
from ssl_zoo.training.curves import draw_curves
from ssl_zoo.training.fit import fit
from ssl_zoo.training.launch import launched, this_process
from ssl_zoo.training.measure import Measurement, Scores
from ssl_zoo.training.prepare import Prepared, prepare
from ssl_zoo.training.recorder import Recorder
from ssl_zoo.training.resume import stretched
from ssl_zoo.training.screen import Narrator, closing_table, next_steps

__all__ = ["peak_memory_mb", "run", "train"]


def train(overrides: Sequence[str] = (), *, silent: bool = False) -> Result:
    """Trains a method: `ssl_zoo.train(["method=simsiam", "epochs=5"])`, as `ssl-zoo train` does.

    Args:
        overrides: the same overrides as on the command line.
        silent: print nothing.

    Returns:
        What `result.json` in the run directory holds.

    Raises:
        UserError: the overrides, or what they name, are wrong; nothing has been created.
        Interrupted: Ctrl-C; the run is saved and `resume=auto` continues it.
    """
    return run(compose_run(overrides), silent=silent)


def run(config: RunConfig, *, silent: bool = False) -> Result:
    """Trains by a complete configuration. See `train`. Each of several processes returns the same."""
    threads = torch.get_num_threads()
    try:
        return _run(config, silent)
    finally:
        torch.set_num_threads(threads)


def _run(config: RunConfig, silent: bool) -> Result:
    if not this_process(config).rank_zero:
        return _train(prepare(config), silent=True)
    run_dir = choose_run_dir(config)
    with hold_run_dir(run_dir) as locked:
        check_run_dir(config, run_dir)  # once more: another process may have ended there meanwhile
        return _train(prepare(config, run_dir), silent=silent, locked=locked)


def _train(ready: Prepared, *, silent: bool, locked: bool = True) -> Result:
    config = ready.config
    passed_over = None if ready.saved is None else ready.saved.instead_of
    if ready.process.rank_zero:
        write_file(ready.run_dir / "config.yaml", to_yaml(config))
        write_json(ready.run_dir / "environment.json", _environment(ready))

    title = f"{variant(config)} on {config.data.name}"
    narrator = Narrator(config.epochs, silent=silent, bar=config.trainer.progress)
    for note in () if silent else _about_images(config, ready.data):
        narrator.note(note)
    narrator.start(title, f" · {_size(ready)}")
    if not locked:
        narrator.note(f"the file system of '{ready.run_dir}' has no locks: start nothing else in that folder")
    if (line := stretched(config, ready.saved)) is not None and ready.process.rank_zero:
        narrator.note(line)
        _set_result_aside(ready)
    if ready.saved is not None and passed_over is not None and ready.process.rank_zero:
        narrator.note(f"{passed_over}; continuing from the one before it, '{ready.saved.path}'")
        if ready.saved.path.parent.parent.samefile(ready.run_dir):
            set_aside(ready.saved.path.parent)
    with launched(config):
        try:
            recorder = fit(ready, say=narrator.epoch)
        finally:
            narrator.stop()
        _share_lost(ready.data)
        result = from_rank_zero(
            _conclude(ready, recorder, title, narrator) if ready.process.rank_zero else None
        )
    assert isinstance(result, Result)
    return result


def _environment(ready: Prepared) -> dict[str, Any]:
    """The record of the start that began the run, with those that continued it in order."""
    now = environment(ready.hardware)
    if (first := read_record(ready.run_dir / "environment.json")) is None:
        return now
    before = first.get("continued")
    starts = [*(before if isinstance(before, list) else []), {"from": list(ready.position), **now}]
    return {**first, "continued": starts}


def _set_result_aside(ready: Prepared) -> None:
    """Keeps the result of a run that had ended and is trained further under a name of its own."""
    assert ready.saved is not None
    result = ready.run_dir / "result.json"
    if result.is_file():
        os.replace(result, result.with_name(f"result-{ready.saved.epochs}-epochs.json"))


def _conclude(ready: Prepared, recorder: Recorder, title: str, narrator: Narrator) -> Result:
    """The last measurements, the verdict and what is written of them, by the first process."""
    config, evaluator = ready.config, ready.evaluator
    assert evaluator is not None
    compare = config.monitor.baselines
    with narrator.waiting("measuring the trained encoder, the untrained one and raw pixels"):
        # Placed once more, since Lightning took it to the CPU.
        trained = evaluator.measure(to_device(config, ready.method, ready.hardware))
        initial = evaluator.measure(ready.untrained(), knn=compare, probe=compare)
        pixels = evaluator.pixel_scores() if compare else Scores()
    recorder.complete(initial, trained)
    baselines = Baselines(
        pixels_knn_top1=pixels.knn_top1,
        pixels_linear_top1=None if pixels.probe is None else pixels.probe.mean,
        random_encoder_knn_top1=initial.scores.knn_top1,
        random_encoder_linear_top1=None if initial.scores.probe is None else initial.scores.probe.mean,
    )
    result = _result(ready, recorder, trained, baselines, _judge(ready, recorder, trained, initial))
    result.write()
    title = f"{title}, seed {config.seed}"
    draw_curves(ready.run_dir / "curves.png", title, recorder.rows, result.baselines)
    narrator.console.print(closing_table(result, title, initial.diagnostics))
    narrator.console.print(next_steps(result), style="dim")
    return result


def _judge(ready: Prepared, recorder: Recorder, trained: Measurement, initial: Measurement) -> Verdict:
    data = ready.data
    probe, random = trained.scores.probe, initial.scores.probe
    diagnosed = min(ready.config.monitor.samples, len(data.train))
    return judge(
        Evidence(
            epochs=int(recorder.rows[-1]["epoch"] or 0),
            loss=recorder.rows[-1].get("loss"),
            weights_finite=all(bool(p.isfinite().all()) for p in ready.method.parameters()),
            diagnostics=trained.diagnostics,
            initial=initial.diagnostics,
            directions=min(ready.method.embedding_dim, diagnosed - 1),
            classes=None if data.classes is None else len(data.classes),
            linear_top1=None if probe is None else probe.mean,
            random_linear_top1=None if random is None else random.mean,
            linear_draws=None if probe is None else probe.draws,
            random_linear_draws=None if random is None else random.draws,
            linear_hits=None if probe is None else probe.hits,
            random_linear_hits=None if random is None else random.hits,
            test_size=None if data.test is None else len(data.test),
            knn_top1=trained.scores.knn_top1,
            random_knn_top1=initial.scores.knn_top1,
        )
    )


def _result(
    ready: Prepared, recorder: Recorder, trained: Measurement, baselines: Baselines, verdict: Verdict
) -> Result:
    assert ready.evaluator is not None
    config, last, scores = ready.config, recorder.rows[-1], trained.scores
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
        baselines=baselines,
        metrics=trained.diagnostics,
        verdict=verdict.name,
        verdict_reason=verdict.reason,
        differs_from_paper=differing_axes(config),
        views_per_second=recorder.views / recorder.seconds if recorder.seconds else None,
        train_seconds=recorder.seconds,
        peak_memory_mb=peak_memory_mb(ready.hardware.device),
        skipped=_skipped(ready.data, config),
        config_hash=config_hash(config),
        git_commit=git_commit(),
        versions=versions(),
        run_dir=str(ready.run_dir),
    )


def _share_lost(data: Data) -> None:
    """Notes the files that other processes have skipped, so that the result counts them too."""
    everywhere = from_all(data.lost)
    if isinstance(data.train, FileSplit) and data.train.lost is not None:
        for lost in everywhere:
            data.train.lost.update(lost)


def _skipped(data: Data, config: RunConfig) -> int | None:
    return len({*data.skipped, *data.lost}) if SOURCES.get(config.data.source).folders else None


def _about_images(config: RunConfig, data: Data) -> Iterator[str]:
    """Yields lines for the screen: how a folder's images are trained on, and what was left out of it."""
    if (line := describe(config)) is not None:
        yield line
    if data.skipped:
        yield f"unreadable files left out: {len(data.skipped)}, such as '{data.skipped[0]}'"
    if data.emptied:
        yield f"classes without images left out: {len(data.emptied)}, such as '{data.emptied[0]}'"
    if data.passed_over:
        yield f"files passed over as no images: {len(data.passed_over)}, such as '{data.passed_over[0]}'"


def _size(ready: Prepared) -> str:
    config, device = ready.config, ready.hardware.device
    weights = sum(parameter.numel() for parameter in ready.method.encoder.parameters())
    each = " each" if ready.process.world_size > 1 else ""
    where = f"{torch.get_num_threads()} CPU threads{each}" if device.type == "cpu" else str(device)
    return (
        f"{config.backbone.name} ({weights / 1e6:.1f} M with projector) · {len(ready.data.train)} images · "
        f"{config.epochs} epochs · batch {config.batch_size * config.trainer.accumulate} · "
        f"{ready.hardware.precision} on {where}" + _kept(ready)
    )


def _kept(ready: Prepared) -> str:
    """The processes, and what memory a method takes besides its encoder."""
    parts = [] if ready.process.world_size == 1 else [f"{ready.process.world_size} processes"]
    method = ready.method
    if isinstance(method, Siamese):
        if method.memory is not None:
            parts.append(f"a memory of {method.memory.vectors.nbytes / 2**20:.1f} MiB")
        if method.config.alternation_steps != 1:
            parts.append("a second encoder, whose weights stand still within an alternation")
    return "".join(f" · {part}" for part in parts)


def peak_memory_mb(device: torch.device) -> float:
    """The most that was allocated on a GPU; elsewhere the most that this process ever had; in MiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
