"""Memory of a process under each strategy, with and without activation checkpointing.

    python -m ssl_zoo.benchmarks.big_models estimate [--backbone NAME] [--processes 8] [--batch 64] [--pixels 224]
    python -m ssl_zoo.benchmarks.big_models measure  [--backbone NAME] [--processes 2] [--batch 4] [--pixels 64]
                                                [--recompute no|yes]

`estimate` imagines a step of BYOL with AdamW in float32, as `trainer.memory_check` does, and takes no memory.
`measure` takes two steps in so many processes on this machine's CPU, on noise, and reads the peak of each process's
resident memory (VmHWM) from the first step to the last, less what it had before it built anything. What is freed
leaves the process at once (MALLOC_MMAP_THRESHOLD_), as it leaves torch's part of a GPU; otherwise glibc keeps gathered
blocks, in pieces. Linux alone.
`--batch` counts the images of a process.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from .memory_estimate import write_noise

__all__ = ["main", "overrides", "settings"]

GIB = 2**30
STRATEGIES = ("ddp", "zero1", "fsdp")


def main(words: Sequence[str] | None = None) -> int:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("how", choices=("estimate", "measure", "worker"))
    parser.add_argument("--backbone", default="vit_large_patch16_224")
    parser.add_argument("--processes", type=int)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--pixels", type=int)
    parser.add_argument("--recompute", choices=("no", "yes", "both"), default="both")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    if options.how == "worker":
        return _worker(json.loads(options.worker))
    few = options.how == "measure"
    for key, value in (("processes", (8, 2)), ("batch", (64, 4)), ("pixels", (224, 64))):
        if getattr(options, key) is None:
            setattr(options, key, value[few])
    if few:
        print("| strategy | blocks recomputed | peak of each process in GiB |\n|---|---|---:|")
    else:
        print("| strategy | blocks recomputed | kept | training step | measuring |\n|---|---|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        # Of an estimate only the number counts: as many as are measured at a time.
        write_noise(
            images, options.pixels if few else 8, 2 * options.batch * options.processes if few else 512
        )
        for strategy, recompute in settings():
            if options.recompute not in ("both", "yes" if recompute else "no"):
                continue
            run = overrides(options, images, strategy, recompute)
            cells = _measured(run, Path(folder), options.processes) if few else _estimated(run)
            print(f"| {strategy} | {'yes' if recompute else 'no'} | {' | '.join(cells)} |", flush=True)
    return 0


def settings() -> Iterator[tuple[str, bool]]:
    """Yields each strategy, without and with activation checkpointing."""
    for strategy in STRATEGIES:
        for recompute in (False, True):
            yield strategy, recompute


def overrides(options: Any, images: Path, strategy: str, recompute: bool) -> list[str]:
    """Returns the overrides of a run."""
    return [
        "method=byol", "data=imagefolder", f"data.train={images}", "recipe=null", "epochs=1", "data.workers=0",
        f"backbone.name={options.backbone}", "backbone.stem=standard", f"augment.size={options.pixels}",
        f"batch_size={options.batch * options.processes}", "optimizer.name=adamw", "optimizer.lr=1e-4",
        "optimizer.warmup_epochs=0", "precision=fp32", "monitor.baselines=false", "trainer.progress=false",
        f"trainer.devices={options.processes}", "trainer.threads=1", f"trainer.strategy={strategy}",
        f"trainer.activation_checkpointing={str(recompute).lower()}", "trainer.memory_check=false",
    ]  # fmt: skip


def _estimated(run: list[str]) -> list[str]:
    from ssl_zoo.config.compose import compose
    from ssl_zoo.data import load_data
    from ssl_zoo.training.footprint import footprint

    config = compose(run)
    of = footprint(config, load_data(config.data))
    return [f"{part / GIB:.2f}" for part in (of.kept, of.step, of.measuring)]


def _measured(run: list[str], folder: Path, processes: int) -> list[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    run = [*run, "trainer.accelerator=cpu", f"run_dir={folder / str(time.time_ns())}"]
    common = {**os.environ, "TORCHELASTIC_RUN_ID": "big", "WORLD_SIZE": str(processes), "GROUP_RANK": "0",
              "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
              "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}  # fmt: skip
    command = [sys.executable, "-m", "ssl_zoo.benchmarks.big_models", "worker", "--worker", json.dumps(run)]
    started = [
        subprocess.Popen(
            command,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]
    results = [json.loads(process.communicate()[0].splitlines()[-1]) for process in started]
    return [" and ".join(f"{result / GIB:.2f}" for result in results)]


def _worker(run: list[str]) -> int:
    """One of the processes of a run, which ends with its last step."""
    import torch

    import ssl_zoo
    from ssl_zoo.hardware.free_memory import resident
    from ssl_zoo.training.module import TrainingModule

    before = resident()
    start, step = TrainingModule.on_train_start, TrainingModule.optimizer_step

    def starting(module: TrainingModule) -> None:
        start(module)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # VmHWM counts from here

    def stepping(module: TrainingModule, *args: Any, **kwargs: Any) -> None:
        last = module.progress.step == module.total_steps - 1
        step(module, *args, **kwargs)
        if last:
            status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
            print(json.dumps(1024 * peak - before), flush=True)
            torch.distributed.barrier()
            os._exit(0)

    with (
        mock.patch.object(TrainingModule, "on_train_start", starting),
        mock.patch.object(TrainingModule, "optimizer_step", stepping),
    ):
        ssl_zoo.train(run, silent=True)
    return 1  # it had no last step


if __name__ == "__main__":
    sys.exit(main())
