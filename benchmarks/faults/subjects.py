"""The commands that faults happen to, one for each verb that writes, small enough for a second or two."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["SUBJECTS", "Subject", "make_inputs"]

RUN = [
    "method=moco", "data=digits", "data.limit=72", "backbone.name=test_resnet", "augment.size=8", "epochs=2",
    "batch_size=18", "precision=fp32", "method.projector.hidden_dim=32", "method.projector.output_dim=16",
    "method.queue.size=36", "optimizer.warmup_epochs=0", "monitor.every_epochs=1", "monitor.knn.k=5",
    "monitor.probe.draws=1", "monitor.baselines=false", "trainer.threads=1", "trainer.progress=false",
    "trainer.log_every_steps=1", "trainer.checkpoint_every_epochs=1", "trainer.checkpoint_every_steps=2",
    "trainer.memory_check=false",
]  # fmt: skip
LEFT_OUT = ("batch_size", "method.queue", "epochs")  # of these overrides by the next
FILES = [  # `images` is found from the folder, whose name would be in the configuration's hash
    "method=simsiam", "data=imagefolder", "data.train=images", "data.cache_mb=0", "data.workers=2", "batch_size=1000",
    "monitor.samples=500", "epochs=1", *(override for override in RUN[3:] if not override.startswith(LEFT_OUT)),
]  # fmt: skip
FOUR = [  # as two nodes, since one process takes a core
    *RUN, "trainer.devices=2", "trainer.num_nodes=2", "batch_size=24", "method.queue.size=48", "method.batch_norm=sync",
]  # fmt: skip
SUITE = """\
title: Two rows
paper: None
source: https://example.org
section: Table 0
question: Does it run?
base: >
  {base}
rows:
  one: {{}}
  two: {{overrides: method.momentum_encoder.decay=0.5}}
claims: [top1(one) > top1(two)]
"""
IMAGES = 10_000


class Subject(NamedTuple):
    """A command, in a folder of its own."""

    name: str
    verb: str
    arguments: tuple[str, ...]  # FOLDER and INPUTS are replaced
    copied: str = ""  # what the folder holds before: `run`, a trained one; that with a report; or images
    ranks: int = 1  # processes of a training, which begin as torchrun's do

    def line(self, folder: Path, inputs: Path) -> list[str]:
        """Returns the command's arguments."""
        words = (self.verb, *self.arguments)
        return [word.replace("FOLDER", str(folder)).replace("INPUTS", str(inputs)) for word in words]

    def prepare(self, folder: Path, inputs: Path) -> None:
        """Makes the folder, with what the command needs in it."""
        folder.mkdir(parents=True, exist_ok=True)
        if self.copied:
            link = os.link if self.copied == "images" else shutil.copy2
            name = Path(self.copied).name
            shutil.copytree(inputs / self.copied, folder / name, copy_function=link, dirs_exist_ok=True)


def _reader(name: str, verb: str, *arguments: str) -> Subject:
    return Subject(name, verb, ("run=FOLDER/run", *arguments), "run")


SUBJECTS = {
    subject.name: subject
    for subject in (
        Subject("train", "train", (*RUN, "run_dir=FOLDER/run", "resume=auto")),
        Subject("train-files", "train", (*FILES, "run_dir=FOLDER/run", "resume=auto"), "images"),
        Subject("train-skip", "train", (*FILES, "data.on_error=skip", "run_dir=FOLDER/run", "resume=auto"), "images"),
        Subject("train-four", "train", (*FOUR, "run_dir=FOLDER/run", "resume=auto"), ranks=4),
        Subject("train-two", "train", (*RUN, "trainer.devices=2", "run_dir=FOLDER/run", "resume=auto")),
        Subject("bench", "bench", ("suite=INPUTS/two.yaml", "seeds=1", "workers=1", "out=FOLDER/out")),
        _reader("eval", "eval", "protocol=[knn,linear]", "threads=1", "progress=false"),
        _reader("report", "report"),
        Subject("report-again", "report", ("run=FOLDER/run",), "reported/run"),
        _reader("export", "export", "format=[safetensors,timm]"),
        _reader("embed-parquet", "embed", "out=FOLDER/all.parquet", "batch_size=8", "threads=1"),
        _reader("embed-npy", "embed", "out=FOLDER/all.npy", "batch_size=8", "threads=1"),
        Subject("shards", "shards", ("data.train=small", "images_per_shard=20", "out=FOLDER/out"), "small"),
        Subject(
            "import", "import",
            ("file=INPUTS/weights.pth", "format=timm", "backbone.name=test_resnet", "size=32", "run_dir=FOLDER/run"),
        ),
    )
}  # fmt: skip


def make_inputs(inputs: Path, start: Callable[[Sequence[str]], None]) -> None:
    """Writes what the commands read, unless it is there: a trained run, a suite, images, weights of another program.

    Args:
        inputs: the folder.
        start: carries out a command, given its arguments, and checks that it succeeds.
    """
    if (inputs / "whole").exists():
        return
    if inputs.exists():
        shutil.rmtree(inputs)
    inputs.mkdir(parents=True)
    start(["train", *RUN, f"run_dir={inputs / 'run'}"])
    shutil.copytree(inputs / "run", inputs / "reported" / "run")
    start(["report", f"run={inputs / 'reported' / 'run'}"])
    base = " ".join(override for override in RUN if not override.startswith("data="))
    (inputs / "two.yaml").write_text(SUITE.format(base=base), encoding="utf-8")
    _write_images(inputs / "images", IMAGES)
    _write_images(inputs / "small", 60)
    _write_weights(inputs / "weights.pth")
    (inputs / "whole").touch()


def _write_images(folder: Path, count: int) -> None:
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        pixels = random.integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png", compress_level=1)


def _write_weights(file: Path) -> None:
    import timm
    import torch

    weights = timm.create_model("test_resnet").state_dict()
    torch.save({name: torch.full_like(weight, 0.01) for name, weight in weights.items()}, file)
