"""Kills runs with SIGKILL at random moments, continues them with resume=auto, and compares them to the bit with
runs that were never killed. Exit status 1 if anything differs.

    python -m ssl_zoo.benchmarks.kill_and_resume OUT [--kills 3] [--seed 0] [--only TEXT ...] [--write docs]

The kills are drawn from the events of the run that is left alone: the run is divided into as many parts as there are
kills, and each part has a kill at a random event, with a delay up to the next one. Of several processes one is killed,
drawn at random; the others must end by themselves. `OUT/results.json` holds the results. Needs Linux.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import itertools
import json
import logging
import os
import random
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .compare_runs import compare_run_dirs
from .kill_page import Kill, VariantOutcome, markdown_page
from .kill_processes import Action, Start, adopt, fork_ranks, start

__all__ = ["VARIANTS", "folder_of", "main", "variants"]

COMMON = [
    "data.limit=192", "backbone.name=test_resnet", "augment.size=8", "epochs=3", "batch_size=32", "precision=fp32",
    "method.projector.hidden_dim=32", "method.projector.output_dim=16", "method.predictor.hidden_dim=16",
    "method.queue.size=80", "optimizer.warmup_epochs=1", "monitor.every_epochs=1", "monitor.knn.k=5",
    "monitor.probe.draws=2", "trainer.threads=1", "trainer.progress=false", "trainer.log_every_steps=1",
    "trainer.checkpoint_every_epochs=1", "trainer.checkpoint_every_steps=2", "trainer.memory_check=false",
]  # fmt: skip
SHARDS = [
    "data=webdataset", "data.train=OUT/shards", "data.root=OUT/cache", "data.holdout=0.2", "data.cache_mb=0",
    "data.shuffle_shards=2",
]  # fmt: skip
QUICK = [  # two epochs of four steps
    "data.limit=72", "batch_size=18", "epochs=2", "monitor.every_epochs=2", "monitor.baselines=false",
]  # fmt: skip
SWAV = ["method=swav", "method.prototypes.number=12"]
# Their state is that of other variants, and of `ssl-zoo check`'s clause of resuming, which is about each method.
CONTAINED = {
    "SimSiam", "SimCLR, AdamW, clipped", "MoCo v3", "NNCLR", "SwAV", "SimSiam, inverse predictor", "ReSSL",
}  # fmt: skip
VARIANTS = {
    "SimSiam": ["method=simsiam"],
    "BYOL, LARS": ["method=byol", "optimizer.name=lars"],
    "SimCLR, AdamW, clipped": ["method=simclr", "optimizer.name=adamw", "optimizer.clip_grad_norm=1.0"],
    "MoCo": ["method=moco"],
    "MoCo v3": ["method=mocov3"],
    "NNCLR": ["method=nnclr"],
    "SwAV": SWAV,
    "SimSiam, alternations of 3 steps": ["method=simsiam", "method.alternation_steps=3"],
    "SimSiam, alternations of an epoch": ["method=simsiam", "method.alternation_steps=epoch"],
    "SimSiam, moving averages as targets": [
        "method=simsiam", "method.predictor.kind=identity", "method.assignment=moving_average",
    ],
    "BYOL, DirectPred every 3 steps": [
        "method=byol", "method.predictor.kind=direct", "method.predictor.direct.every=3",
    ],
    "UniGrad": [
        "method=byol", "method.predictor.kind=identity", "method.similarity=gradient", "method.negatives=correlation",
    ],
    "SimSiam, inverse predictor": [
        "method=simsiam", "method.predictor.on=both", "method.predictor.inverse=true",
    ],
    "MoCo, memory bank": [
        "method=moco", "method.negatives=memory_bank", "method.assignment=memory", "method.memory.negatives=32",
        "method.momentum_encoder.enabled=false",
    ],
    "MoCo, symmetric, in bf16": ["method=moco", "method.symmetric=true", "precision=bf16"],
    "SwAV, Sinkhorn's queue from epoch 1": [
        *SWAV, "method.sinkhorn.queue_size=36", "method.sinkhorn.queue_from_epoch=1",
    ],
    "DINO, AdamW, rising weight decay": [
        "method=dino", "method.prototypes.number=12", "optimizer.name=adamw", "optimizer.final_weight_decay=0.1",
    ],
    "ReSSL": ["method=ressl"],
    "BYOL, two batches per step": ["method=byol", "trainer.accumulate=2"],
    "SimSiam, images from files, two workers": [
        "method=simsiam", "data=imagefolder", "data.train=OUT/pictures", "data.holdout=0.2", "data.cache_mb=0",
        "data.workers=2",
    ],
    "SimSiam, images from shards": ["method=simsiam", *SHARDS, "data.workers=1"],
    "MoCo in two processes": ["method=moco", "trainer.devices=2", "method.batch_norm=sync"],
    "DINO, AdamW, zero1, recomputed blocks, in two processes": [
        "method=dino", "method.prototypes.number=12", "optimizer.name=adamw", "trainer.devices=2",
        "trainer.strategy=zero1", "trainer.activation_checkpointing=true",
    ],
    "MoCo in two processes, images from shards, memory bank": [
        "method=moco", *SHARDS, "trainer.devices=2", "method.batch_norm=sync", "method.negatives=memory_bank",
        "method.assignment=memory", "method.memory.negatives=32", "method.momentum_encoder.enabled=false",
    ],
    "BYOL, AdamW, fsdp, two batches per step, in two processes": [
        "method=byol", "optimizer.name=adamw", "trainer.devices=2", "trainer.strategy=fsdp", "trainer.accumulate=2",
    ],
    "MoCo in three processes": ["method=moco", "trainer.devices=3", "method.batch_norm=sync", "batch_size=30"],
}  # fmt: skip


def main() -> int:
    """Runs all variants and prints or writes the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the run directories, new or empty")
    parser.add_argument("--kills", type=int, default=3, help="of each variant")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="for the tests: shorter, killed at a step once something is saved",
    )
    parser.add_argument(
        "--only", nargs="*", metavar="TEXT", default=(), help="variants whose name contains one of these"
    )
    parser.add_argument("--write", type=Path, help="folder that gets results/kill-and-resume.md")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        parser.error(f"OUT must be new or empty; '{out}' holds files; name another folder")
    if (options.quick or options.only) and options.write is not None:
        parser.error("--write is for whole runs of all variants; leave --quick and --only out")
    chosen = variants(options.quick, options.only)
    if not chosen:
        parser.error(
            f"no variant's name contains {options.only}; there are {'; '.join(variants(options.quick))}"
        )
    _prepare(out, options.quick)
    # All starts first: a process that has computed must not be forked.
    outcomes = [_variant(name, options) for name in chosen]
    for outcome in outcomes:
        _examine(outcome, out / folder_of(outcome.name))
    (out / "results.json").write_text(
        json.dumps([dataclasses.asdict(o) for o in outcomes], indent=1), encoding="utf-8"
    )
    command = "python -m ssl_zoo.benchmarks.kill_and_resume OUT"
    command += f" --kills {options.kills} --seed {options.seed}" + " --quick" * options.quick
    command += (
        f" --only {shlex.join(options.only)}" if options.only else " --write docs" * (not options.quick)
    )
    report = markdown_page(outcomes, command)
    sys.stdout.write(report)
    if options.write is not None:
        (options.write / "results").mkdir(parents=True, exist_ok=True)
        (options.write / "results" / "kill-and-resume.md").write_text(report, encoding="utf-8")
    return int(any(outcome.problems for outcome in outcomes))


def variants(quick: bool, only: Sequence[str] = ()) -> list[str]:
    """Returns the variants for which this machine has the cores; with `quick` without those contained in others.

    Args:
        quick: whether runs are the tests' short ones.
        only: texts of which a name contains at least one; none for all names.
    """
    devices = ["trainer.devices=2", "trainer.devices=3"][: (os.cpu_count() or 1) - 1]
    slow = {"data.workers=2", *devices[:-1]} if quick else set()
    left_out = {"trainer.devices=2", "trainer.devices=3"} - set(devices) | slow
    contained = CONTAINED if quick else set()
    return [
        name
        for name, overrides in VARIANTS.items()
        if not left_out & set(overrides)
        and name not in contained
        and (not only or any(text in name for text in only))
    ]


def folder_of(name: str) -> str:
    """Returns the name of a variant's folder."""
    return "-".join("".join(letter if letter.isalnum() else " " for letter in name.lower()).split())


def _prepare(out: Path, quick: bool) -> None:
    """Imports heavy modules once, and writes the images that some variants read."""
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    adopt()
    from PIL import Image
    from sklearn.datasets import load_digits

    logging.getLogger("tensorboard").setLevel(logging.ERROR)  # it warns at each restart
    conclude = importlib.import_module("ssl_zoo.training.conclude")
    if quick:
        conclude.draw_curves = lambda *_: None  # type: ignore[attr-defined]  # curves follow from metrics.csv
    digits = load_digits()
    for number, (image, target) in enumerate(zip(digits.images[:300], digits.target, strict=False)):
        file = out / "pictures" / str(target) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        side = 16 + number % 3  # images of one size would be kept in memory
        Image.fromarray((15 * image).astype("uint8")).resize((side, side)).save(file)
    sharding = importlib.import_module("ssl_zoo.sharding.run")
    options = [f"data.train={out}/pictures", f"out={out}/shards", "images_per_shard=60", "data.workers=0"]
    sharding.write_shards(options, silent=True)


def _variant(name: str, options: argparse.Namespace) -> VariantOutcome:
    """Runs a variant without a kill, and again killed and continued until it is done."""
    folder = options.out / folder_of(name)
    folder.mkdir()
    outcome = VariantOutcome(name, VARIANTS[name])
    draw = random.Random(f"{options.seed} {name}")
    overrides = [override.replace("OUT", str(options.out.absolute())) for override in VARIANTS[name]]
    action = _action_of([*COMMON, *overrides, *(QUICK if options.quick else [])], options.quick)
    whole = start(action(folder / "whole"), folder / "whole.log")
    outcome.steps = whole.last("saved")
    kills = options.kills if whole.status == 0 else 0
    starts: list[Start] = []
    for number in range(kills):
        early = whole.events.index("saved 2") / len(whole.events) if options.quick else 0.0
        low, high = (early + (1 - early) * part / kills for part in (number, number + 1))
        kill = _draw(whole, starts, low, high, draw)
        starts.append(
            start(
                action(folder / "parts"),
                folder / "parts.log",
                kill,
                None if options.quick else draw,
                halt=options.quick,
            )
        )
        if starts[-1].status == 0:
            break  # it was done sooner than expected
    else:
        starts.append(start(action(folder / "parts"), folder / "parts.log"))
    outcome.seconds = sum(part.seconds for part in starts)
    saved = 0
    for before, after in itertools.pairwise(starts):
        saved = max(saved, before.last("saved"))
        continued = after.last("begun", otherwise=outcome.steps)
        outcome.kills.append(Kill(before.events[-1], before.killed or 0, saved, continued))
        if continued != saved and before.events[-1] != f"saving {continued}":
            outcome.problems.append(f"step {saved} was saved, and the run went on from step {continued}")
    for status in (whole.status, starts[-1].status):
        if status != 0:
            outcome.problems.append(
                f"a run that was not killed ended with status {status}; see {folder}/*.log"
            )
    if left := sum(part.left for part in starts):
        outcome.problems.append(f"{left} processes did not end with the one that was killed")
    return outcome


def _action_of(overrides: list[str], quick: bool) -> Callable[[Path], Action | str]:
    """Returns the action that trains, or continues, the run of a folder."""
    from ssl_zoo.config.compose import compose
    from ssl_zoo.training.run import run

    config = compose(overrides)
    several = config.trainer.devices

    def action(folder: Path) -> Action | str:
        if several > 1 and not quick:  # as a user starts it
            line = ["train", *overrides, f"run_dir={folder}", "resume=auto"]
            return (
                "from ssl_zoo.cli import main as cli; from ssl_zoo.benchmarks.kill_processes import report_events; "
                f"report_events(lambda: cli.main({line!r}), {{pipe}})"
            )

        def fork() -> int:
            if several > 1:
                fork_ranks(several)
            run(dataclasses.replace(config, run_dir=str(folder), resume="auto"))
            return 0

        return fork

    return action


def _draw(
    whole: Start, starts: list[Start], low: float, high: float, draw: random.Random
) -> tuple[str, float]:
    """Draws an event in a part of the run that no start has reached, and the delay of the kill after it."""
    events = whole.events
    reached = {events.index(line) + 1 for part in starts for line in part.events if line in events}
    first = min(max([int(low * len(events)), *reached]), len(events) - 1)
    chosen = draw.randrange(first, max(first + 1, int(high * len(events))))
    gap = whole.moments[chosen + 1][1] - whole.moments[chosen][1]
    return events[chosen], draw.uniform(0, gap if chosen + 1 < len(events) else gap / 2)  # before its end


def _examine(outcome: VariantOutcome, folder: Path) -> None:
    """Compares the two runs of a variant."""
    from ssl_zoo.run_dir.checkpoints import Damaged

    try:
        outcome.compared = compare_run_dirs(folder / "whole", folder / "parts")
    except (OSError, Damaged) as error:
        outcome.problems.append(f"there is nothing to compare: {error}")
        return
    outcome.problems += [f"differs: {difference}" for difference in outcome.compared.differences]
    trained = json.loads((folder / "parts" / "result.json").read_text(encoding="utf-8"))["train_seconds"]
    if not 0 < trained < outcome.seconds:
        outcome.problems.append(f"train_seconds={trained} of {outcome.seconds} s that all starts took")


if __name__ == "__main__":
    sys.exit(main())
