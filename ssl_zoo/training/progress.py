"""Progress of a training: its heading, and a bar on a terminal or a line per measurement elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ssl_zoo.equation import Siamese
from ssl_zoo.image_defaults import describe_images
from ssl_zoo.metrics import METRICS
from ssl_zoo.run_dir.naming import variant
from ssl_zoo.terminal.console import styled
from ssl_zoo.terminal.progress import ProgressDisplay
from ssl_zoo.training.prepare import Prepared
from ssl_zoo.training.resume import schedule_change
from ssl_zoo.training.start_from import describe_start

__all__ = ["TrainingProgress"]

FIGURES = ("loss", "knn_top1", "output_std_ratio")


class TrainingProgress(ProgressDisplay):
    """Logs how the training of a run goes.

    Args:
        epochs: of the whole run.
        done: epochs of earlier starts, which the time left doesn't count as this one's.
        silent: print nothing at all.
        bar: whether a terminal gets a bar.
    """

    def __init__(self, epochs: int, done: int = 0, *, silent: bool = False, bar: bool = True) -> None:
        super().__init__("epoch", epochs, done, silent=silent, bar=bar)

    def announce(self, ready: Prepared, *, locked: bool) -> None:
        """Logs what is trained, on what and how it continues, and shows the bar.

        Args:
            ready: the run.
            locked: whether other processes are kept out of the run directory.
        """
        config, saved = ready.config, ready.saved
        for line in _about_images(ready):
            self.log(line)
        self.heading(f"{variant(config)} on {config.data.name}", f" · {_size(ready)}")
        if not locked:
            self.log(f"the file system of '{ready.run_dir}' has no locks: start nothing else in that folder")
        if ready.start is not None and saved is None:
            self.log(describe_start(ready.start))
        if (change := schedule_change(config, saved)) is not None:
            self.log(change)
        if saved is not None and saved.instead_of is not None:
            self.log(f"{saved.instead_of}; continuing from the one before it, '{saved.path}'")

    def heading(self, title: str, rest: str) -> None:
        """Prints the heading, its title in bold, and shows the bar."""
        self.console.print(styled((title, "bold"), rest))
        self.start()

    def report(self, row: dict[str, float | None]) -> None:
        """Logs an epoch that is done."""
        figures = [
            f"{METRICS.get(name).title} {value:.3f}"
            for name in FIGURES
            if (value := row.get(name)) is not None
        ]
        epoch = int(row["epoch"] or 0)
        if self.update(epoch, " · ".join(figures)):
            return
        if row.get("output_std_ratio") is not None or epoch == self.total:
            self.log(f"epoch {epoch:>4}/{self.total} · {' · '.join(figures)} · {self.seconds:.0f} s")


def _about_images(ready: Prepared) -> Iterator[str]:
    """Yields how a folder's images are trained on, and what was left out of it."""
    data = ready.data
    if (line := describe_images(ready.config)) is not None:
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
        f"{ready.hardware.precision} on {where}" + _memories(ready)
    )


def _memories(ready: Prepared) -> str:
    """Returns the number of processes, and what memory a method takes besides its encoder."""
    parts = [] if ready.process.world_size == 1 else [f"{ready.process.world_size} processes"]
    method = ready.method
    if isinstance(method, Siamese):
        if method.memory is not None:
            parts.append(f"a memory of {method.memory.vectors.nbytes / 2**20:.1f} MiB")
        if method.config.alternation_steps != 1:
            parts.append("a second encoder, whose weights stand still within an alternation")
    return "".join(f" · {part}" for part in parts)
