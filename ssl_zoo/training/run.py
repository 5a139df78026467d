"""A run, from its configuration to its directory."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import resource
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch

from ssl_zoo import registry
from ssl_zoo.augment import Augment
from ssl_zoo.backbone import build_backbone
from ssl_zoo.config import compose, config_hash, to_yaml
from ssl_zoo.curves import draw_curves
from ssl_zoo.data import Data, load_data
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.monitors.probe import describe
from ssl_zoo.monitors.verdict import Evidence, Verdict, judge
from ssl_zoo.naming import differences, variant
from ssl_zoo.result import Baselines, Result, environment, git_commit, versions, write_json
from ssl_zoo.schema import RunConfig
from ssl_zoo.terminal import Narrator, closing_table
from ssl_zoo.training.evaluator import Evaluator, Measurement, Scores
from ssl_zoo.training.hardware import Plan, plan
from ssl_zoo.training.module import TrainingModule
from ssl_zoo.training.recorder import Recorder
from ssl_zoo.training.resume import Position, check_checkpoint, choose_run_dir, find_checkpoint

__all__ = ["build_method", "run", "train"]


def train(words: Sequence[str] = (), *, silent: bool = False) -> Result:
    """Trains a method: `ssl_zoo.train(["method=simsiam", "epochs=5"])`, as `ssl-zoo train` does.

    Args:
        words: the same `key=value` words as on the command line.
        silent: print nothing.

    Returns:
        What `result.json` in the run directory holds.

    Raises:
        UserError: the words, or what they name, are wrong; nothing has been created.
        Interrupted: Ctrl-C; the run is saved and `resume=auto` continues it.
    """
    return run(compose(words), silent=silent)


def build_method(words: Sequence[str] = ()) -> Method:
    """Builds a method with its backbone, untrained: `ssl_zoo.build_method(["method=byol"])`.

    The number of channels and the image size follow `data.channels` and `augment.size`; the weights follow
    `seed`.
    """
    return _build_method(compose(words))


def _build_method(config: RunConfig, channels: int | None = None) -> Method:
    pl.seed_everything(config.seed, workers=True, verbose=False)
    backbone = build_backbone(config.backbone, channels or config.data.channels, config.augment.size)
    return registry.get(config.method.name).method(config.method, *backbone)


def run(config: RunConfig, *, silent: bool = False) -> Result:
    """Trains by a complete configuration. See `train`."""
    # All that can be wrong with the input shows before anything is created.
    hardware = plan(config)
    run_dir = choose_run_dir(config)
    checkpoint = find_checkpoint(config, run_dir)
    position = Position(0, 0) if checkpoint is None else check_checkpoint(checkpoint, config)
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    data = load_data(config.data)
    if config.batch_size > len(data.train):
        raise UserError(
            f"batch_size must be at most the number of training images, {len(data.train)}; received "
            f"{config.batch_size}; set batch_size={len(data.train) // 2}"
        )
    method = _build_method(config, data.channels).to(hardware.device)
    if config.trainer.channels_last:
        method = method.to(memory_format=torch.channels_last)
    evaluator = Evaluator(config, data, hardware.device)
    initial = evaluator.measure(method)
    baselines = _Baselines.measure(config, evaluator, method)

    run_dir.mkdir(parents=True, exist_ok=True)
    (run_dir / "config.yaml").write_text(to_yaml(config))
    write_json(
        run_dir / "environment.json", environment(hardware.device, hardware.precision, hardware.reason)
    )

    title = f"{variant(config)} on {config.data.name}"
    narrator = Narrator(config.epochs, silent=silent, bar=config.trainer.progress)
    narrator.start(f"[bold]{title}[/bold] · {_heading(config, data, method, hardware)}")
    try:
        module, recorder = _fit(
            config, data, method, evaluator, initial, run_dir, checkpoint, position, narrator
        )
    finally:
        narrator.stop()

    scores = evaluator.scores(method.encoder.backbone)
    verdict = _judge(config, data, method, recorder, initial, scores, baselines)
    result = _result(config, run_dir, hardware, module, recorder, scores, baselines, verdict)
    result.write()
    draw_curves(run_dir / "curves.png", f"{title}, seed {config.seed}", recorder.rows, baselines.figures)
    narrator.console.print(
        closing_table(result, f"{title} · seed {config.seed}", dataclasses.asdict(initial.diagnostics))
    )
    return result


@dataclasses.dataclass(frozen=True)
class _Baselines:
    random: Scores | None
    figures: Baselines

    @classmethod
    def measure(cls, config: RunConfig, evaluator: Evaluator, method: Method) -> _Baselines:
        if not config.monitor.baselines or not evaluator.scored:
            return cls(None, Baselines())
        random, pixels = evaluator.scores(method.encoder.backbone), evaluator.pixel_scores()
        assert random is not None
        assert pixels is not None
        return cls(
            random,
            Baselines(
                pixels_knn_top1=pixels.knn_top1,
                pixels_linear_top1=pixels.probe.mean,
                random_encoder_knn_top1=random.knn_top1,
                random_encoder_linear_top1=random.probe.mean,
            ),
        )


def _fit(
    config: RunConfig,
    data: Data,
    method: Method,
    evaluator: Evaluator,
    initial: Measurement,
    run_dir: Path,
    checkpoint: Path | None,
    position: Position,
    narrator: Narrator,
) -> tuple[TrainingModule, Recorder]:
    views = config.augment.flat
    loader = data.train.train_loader(config.batch_size, views, seed=config.seed)
    loader.set_position(position.epoch, position.batch)
    augment = Augment(views, config.data.mean, config.data.std)
    module = TrainingModule(config, method, augment, batches=len(loader))
    recorder = Recorder(
        run_dir,
        evaluator,
        loader,
        every=config.monitor.every,
        checkpoint_every=config.trainer.checkpoint_every,
        log_every=config.trainer.log_every,
        initial=initial,
        say=narrator.epoch,
    )
    hardware = plan(config)
    with _quiet_lightning():
        trainer = pl.Trainer(
            accelerator={"cuda": "gpu"}.get(hardware.device.type, hardware.device.type),
            devices=1,
            precision=hardware.lightning,  # type: ignore[arg-type]
            max_epochs=config.epochs,
            accumulate_grad_batches=config.trainer.accumulate,
            gradient_clip_val=config.optimizer.clip_grad_norm,
            callbacks=[recorder],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=run_dir,
        )
        trainer.fit(module, loader, ckpt_path=checkpoint, weights_only=True)
    return module, recorder


def _judge(
    config: RunConfig,
    data: Data,
    method: Method,
    recorder: Recorder,
    initial: Measurement,
    scores: Scores | None,
    baselines: _Baselines,
) -> Verdict:
    random = baselines.random
    return judge(
        Evidence(
            epochs=int(recorder.rows[-1]["epoch"] or 0),
            loss=recorder.rows[-1].get("loss"),
            weights_finite=all(bool(p.isfinite().all()) for p in method.parameters()),
            diagnostics=recorder.last.diagnostics,
            initial=initial.diagnostics,
            directions=min(method.embedding_dim, min(config.monitor.samples, len(data.train)) - 1),
            classes=None if data.classes is None else len(data.classes),
            linear_top1=None if scores is None else scores.probe.mean,
            random_linear_top1=None if random is None else random.probe.mean,
            linear_draws=None if scores is None else scores.probe.draws,
            random_linear_draws=None if random is None else random.probe.draws,
            test_size=None if data.test is None else len(data.test),
        )
    )


def _result(
    config: RunConfig,
    run_dir: Path,
    hardware: Plan,
    module: TrainingModule,
    recorder: Recorder,
    scores: Scores | None,
    baselines: _Baselines,
    verdict: Verdict,
) -> Result:
    last, knn, probe = recorder.rows[-1], config.monitor.knn, config.monitor.probe
    measured = recorder.last.diagnostics
    return Result(
        method=config.method.name,
        data=config.data.name,
        seed=config.seed,
        epochs=int(last["epoch"] or 0),
        steps=int(last["step"] or 0),
        loss=last.get("loss"),
        knn_top1=None if scores is None else scores.knn_top1,
        knn_protocol=None
        if scores is None
        else f"weighted kNN on the backbone's features, k={knn.k}, T={knn.temperature}",
        linear_top1=None if scores is None else scores.probe.mean,
        linear_top1_std=None if scores is None else scores.probe.std,
        linear_protocol=None if scores is None else describe(probe.labels_per_class, probe.draws),
        baselines=baselines.figures,
        output_std_ratio=measured.output_std_ratio,
        center_ratio=measured.center_ratio,
        residual_ratio=measured.residual_ratio,
        effective_rank=measured.effective_rank,
        alignment=measured.alignment,
        uniformity=measured.uniformity,
        verdict=verdict.name,
        verdict_reason=verdict.reason,
        differs_from_paper=differences(config),
        views_per_second=recorder.views / recorder.seconds if recorder.seconds else None,
        train_seconds=recorder.seconds,
        peak_memory_mb=_peak_memory_mb(hardware.device),
        config_hash=config_hash(config),
        git_commit=git_commit(),
        versions=versions(),
        run_dir=str(run_dir),
    )


def _heading(config: RunConfig, data: Data, method: Method, hardware: Plan) -> str:
    weights = sum(parameter.numel() for parameter in method.encoder.parameters())
    where = (
        f"{torch.get_num_threads()} CPU threads" if hardware.device.type == "cpu" else str(hardware.device)
    )
    return (
        f"{config.backbone.name} ({weights / 1e6:.1f} M with projector) · {len(data.train)} images · "
        f"{config.epochs} epochs · batch {config.batch_size * config.trainer.accumulate} · "
        f"{hardware.precision} on {where}"
    )


def _peak_memory_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


@contextlib.contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Lightning's hints about loggers, loaders and devices say nothing that a user could act on."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning.pytorch")]
    loggers += [logging.getLogger(f"{logger.name}.utilities.rank_zero") for logger in loggers]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"pytorch_lightning|lightning")
            warnings.filterwarnings(
                "ignore", message=r".*(num_workers|GPU available|LeafSpec|isinstance\(treespec).*"
            )
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
