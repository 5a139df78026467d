"""Trains digits with faults planted on purpose, and recipes without one: is the cause named, is nobody accused?

    python -m ssl_zoo.benchmarks.planted_faults OUT [--only WORDS ...] [--follow] [--write docs]

A fault counts if it breaks the run, that is, if the verdict is not healthy. Held-out faults were written down before
any of them was run, and no rule was changed for them. `--follow` trains each broken run once more with its remedy.
A run that OUT holds is not trained again. `--write docs` writes docs/results/planted-faults.md. Exit status 1 if
fewer than 9 of 10 faults are named rightly or a healthy run is accused.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import multiprocessing
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["FAULTS", "HEALTHY", "Fault", "main"]

COMMON = [  # half of the recipes' epochs or less, as most faults show by then
    "epochs=10", "monitor.every_epochs=10", "precision=fp32", "trainer.threads=1", "trainer.progress=false",
    "trainer.loggers=[]",
]  # fmt: skip
SEED = "seed=0"
RIGHTLY = 0.9  # of the broken runs


class Fault(NamedTuple):
    """A fault, and the cause that it is."""

    cause: str
    overrides: str
    held_out: bool = False

    @property
    def group(self) -> str:
        if self.cause == "healthy":
            return "healthy"
        return "held-out" if self.held_out else "faults"


FAULTS = (
    Fault("no predictor", "method=simsiam method.predictor.kind=identity"),
    Fault("stop-gradient off", "method=simsiam method.stop_gradient=false"),
    Fault("predictor fixed", "method=simsiam method.predictor.trainable=false"),
    Fault("rate too high", "method=simsiam optimizer.lr=160"),
    Fault("weight decay too high", "method=simsiam optimizer.weight_decay=0.5"),
    Fault("BN over few images", "method=simsiam batch_size=2 data.limit=200"),
    Fault("head too narrow", "method=simsiam method.projector.output_dim=1"),
    Fault("no predictor", "method=byol method.predictor.kind=identity method.momentum_encoder.enabled=false"),
    Fault("rate too high", "method=byol optimizer.lr=100"),
    Fault("crops too small", "method=byol 'augment.crop.scale=[0.01,0.02]'"),
    Fault("views too strong", "method=byol augment.affine.translate=1"),
    Fault("views identical", "method=simclr 'augment.crop.scale=[1,1]' augment.affine.p=0 augment.jitter.p=0"),
    Fault("rate too low", "method=simclr optimizer.lr=0.000001"),
    Fault("no negatives", "method=simclr method.similarity=cosine method.negatives=none"),
    Fault("too few steps", "method=simclr batch_size=1437 epochs=2"),
    Fault("momentum encoder too fast", "method=moco method.momentum_encoder.decay=0"),
    Fault("temperature far off", "method=moco method.temperature=0.001"),
    Fault("rate too high", "method=moco optimizer.lr=50"),
    Fault("queue never filled", "method=moco method.queue.size=100000"),
    Fault("epsilon too large", "method=swav method.sinkhorn.epsilon=1"),
    Fault("stop-gradient off", "method=swav method.stop_gradient=false"),
    Fault("too few prototypes", "method=swav method.prototypes.number=1"),
    Fault("rate too high", "method=swav optimizer.lr=100"),
    Fault("warmup too long", "method=swav optimizer.warmup_epochs=10000"),
    Fault("images all alike", "method=swav data=imagefolder data.train=OUT/gray data.channels=1 data.holdout=0.2 "
          "backbone.name=test_resnet batch_size=64 epochs=5 method.prototypes.number=30 "
          "method.projector.hidden_dim=64 method.projector.output_dim=32 optimizer.warmup_epochs=0"),
    # Held out: written down before any of them was run.
    Fault("stop-gradient off", "method=byol method.momentum_encoder.enabled=false method.stop_gradient=false", True),
    Fault("predictor fixed", "method=byol method.predictor.lr_multiplier=0", True),
    Fault("views too strong", "method=simsiam augment.cutout.p=1 'augment.cutout.scale=[0.9,1]'", True),
    Fault("images badly normalised", "method=simsiam 'data.std=[1000]'", True),
    Fault("BN over few images", "method=byol batch_size=2 data.limit=200", True),
    Fault("weight decay too high", "method=simclr optimizer.weight_decay=1", True),
    Fault("head too narrow", "method=simclr method.projector.hidden_dim=1", True),
    Fault("gradients clipped away", "method=simclr optimizer.clip_grad_norm=0.000001", True),
    Fault("head too narrow", "method=moco method.projector.output_dim=2", True),
    Fault("rate too low", "method=moco optimizer.lr=0.0000001", True),
    Fault("crops too small", "method=moco 'augment.crop.scale=[0.01,0.02]'", True),
    Fault("temperature far off", "method=swav method.temperature=50", True),
    Fault("too few epochs", "method=swav epochs=1", True),
    Fault("epsilon too large", "method=swav method.sinkhorn.epsilon=0.5", True),
)  # fmt: skip
METHODS = ("byol", "moco", "simclr", "simsiam", "swav")
SETTINGS = ("seed=0", "seed=1", "seed=2 'augment.crop.scale=[0.5,1]'", "seed=3 data.holdout=0.2")
HEALTHY = tuple(f"method={method} {setting}" for method in METHODS for setting in SETTINGS)


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    fault: Fault
    verdict: str
    cause: str  # named; empty where the verdict is healthy
    remedy: str
    seconds: float
    after: str = ""  # verdict with the remedy

    @property
    def is_broken(self) -> bool:
        return self.verdict != "healthy"

    @property
    def is_right(self) -> bool:
        return self.cause.startswith(f"{self.fault.cause}:")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="planted_faults", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--only", nargs="*", default=(), help="runs whose overrides contain one of these words"
    )
    parser.add_argument("--done", action="store_true", help="train nothing: report what OUT holds")
    parser.add_argument("--group", choices=("faults", "held-out", "healthy"), help="these runs alone")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--follow", action="store_true", help="train broken runs again with their remedy")
    parser.add_argument("--write", type=Path, help="folder of the documents")
    options = parser.parse_args(argv)
    out = options.out.absolute()
    _draw_gray(out / "gray")
    chosen = [
        fault
        for fault in (*FAULTS, *(Fault("healthy", overrides) for overrides in HEALTHY))
        if (not options.only or any(word in fault.overrides for word in options.only))
        and options.group in (None, fault.group)
        and not (options.done and not (_folder(_words(fault, out), out) / "result.json").exists())
    ]
    importlib.import_module("ssl_zoo.training.run")  # once, before the forks
    outcomes = []
    # A process for each run gives its memory back.
    with multiprocessing.get_context("fork").Pool(options.jobs, maxtasksperchild=1) as pool:
        for outcome in pool.imap(
            functools.partial(_run, out=out, follow=options.follow), chosen, chunksize=1
        ):
            outcomes.append(outcome)
            fault = outcome.fault
            right = "" if fault.cause == "healthy" or not outcome.is_broken else f"right={outcome.is_right} "
            print(f"{fault.cause} | {fault.overrides} | {outcome.verdict} | {right}| {outcome.cause[:90]} | "
                  f"{outcome.remedy} | {outcome.after} | {outcome.seconds:.0f} s", flush=True)  # fmt: skip
    if options.write is not None:
        (options.write / "results" / "planted-faults.md").write_text(_report(outcomes, options.follow))
    planted = [each for each in outcomes if each.fault.cause != "healthy" and each.is_broken]
    accused = [each for each in outcomes if each.fault.cause == "healthy" and each.is_broken]
    return int(bool(accused) or sum(each.is_right for each in planted) < RIGHTLY * len(planted))


def _run(fault: Fault, out: Path, follow: bool) -> Outcome:
    words = _words(fault, out)
    result, seconds = _train(words, out)
    outcome = Outcome(fault, result["verdict"], result["cause"] or "", result["remedy"] or "", seconds)
    if not (follow and outcome.is_broken and _is_override(outcome.remedy)):
        return outcome
    after, more = _train([*words, *shlex.split(outcome.remedy)], out)
    return Outcome(
        fault, outcome.verdict, outcome.cause, outcome.remedy, seconds + more, str(after["verdict"])
    )


def _words(fault: Fault, out: Path) -> list[str]:
    """Returns the overrides of a run."""
    words = shlex.split(fault.overrides.replace("OUT", str(out)))
    return [*COMMON, *words, *([] if "seed=" in fault.overrides else [SEED])]


def _folder(words: list[str], out: Path) -> Path:
    """Returns the run directory of overrides."""
    from ssl_zoo.config.compose import compose
    from ssl_zoo.config.mapping import config_hash

    return out / config_hash(compose(words))


def _is_override(remedy: str) -> bool:
    return "=" in remedy and " of " not in remedy and not remedy.startswith("look")


def _train(words: list[str], out: Path) -> tuple[dict[str, Any], float]:
    """Trains a run unless it is there; returns its result and the seconds of processor time it took."""
    import ssl_zoo

    folder = _folder(words, out)
    done = folder / "result.json"
    seconds = 0.0
    if not done.exists():
        start = time.process_time()
        ssl_zoo.train([*words, f"run_dir={folder}"], silent=True)
        seconds = time.process_time() - start
        (folder / "seconds").write_text(f"{seconds:.1f}")
    seconds = float((folder / "seconds").read_text()) if (folder / "seconds").exists() else seconds
    return json.loads(done.read_text()), seconds


def _draw_gray(folder: Path) -> None:
    """Writes 600 equal gray images in three classes."""
    from PIL import Image

    for number in range(0 if folder.exists() else 600):
        file = folder / str(number % 3) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 128).save(file)


HEADER = """# Planted faults

Runs on digits with a fault that was planted on purpose, one each, and healthy runs: is the likely cause named rightly,
and is no healthy run accused? A fault counts where it breaks the run, so that the verdict is not healthy. Held-out
faults were written down before any of them was run, and no rule was changed for them. One seed each; a run took
{mean:.0f} s of processor time on average.

Planted while the causes were written, and left out, as digits are learned in spite of them, at ten epochs: BYOL without
predictor, with a momentum encoder that never moves, with a momentum of 0.999, with noise of std 1; SimCLR at a
temperature of 100 and of 0.001, with all images in one step, on 4 and on 2 pixels in a standard stem; MoCo with a decay
of 1 and with a queue of 1; SimSiam after one epoch. Made by

    {command}

at commit `{commit}`.

| | runs | broken | named rightly |
|---|---|---|---|
{totals}
| healthy | {healthy} | {accused} | |

"""
COLUMNS = "| planted | overrides | verdict | cause named | to try | right |{after}\n|---|---|---|---|---|---|{line}\n"


def _report(outcomes: list[Outcome], follow: bool) -> str:
    from ssl_zoo.runs.environment import git_commit

    groups = {
        "faults": [each for each in outcomes if each.fault.cause != "healthy" and not each.fault.held_out],
        "held-out faults": [each for each in outcomes if each.fault.held_out],
    }
    healthy = [each for each in outcomes if each.fault.cause == "healthy"]
    totals = []
    for name, group in groups.items():
        broken = [each for each in group if each.is_broken]
        totals.append(f"| {name} | {len(group)} | {len(broken)} | {sum(each.is_right for each in broken)} |")
    text = HEADER.format(
        mean=sum(each.seconds for each in outcomes) / len(outcomes),
        command="python -m ssl_zoo.benchmarks.planted_faults OUT" + " --follow" * follow + " --write docs",
        commit=git_commit(),
        totals="\n".join(totals),
        healthy=len(healthy),
        accused=sum(each.is_broken for each in healthy),
    )
    columns = COLUMNS.format(after=" verdict after it |" * follow, line="---|" * follow)
    for name, group in groups.items():
        rows = "\n".join(_row(each, follow) for each in group)
        text += f"## {name.capitalize()}\n\n{columns}{rows}\n\n"
    runs = "\n".join(f"| `{each.fault.overrides}` | {each.verdict} |" for each in healthy)
    return f"{text}## Healthy runs\n\n| overrides | verdict |\n|---|---|\n{runs}\n"


def _row(each: Outcome, follow: bool) -> str:
    cause = each.cause or "–"
    right = "–" if not each.is_broken else "yes" if each.is_right else "**no**"
    remedy = f"`{each.remedy}`" if each.remedy else "–"
    cells = [each.fault.cause, f"`{each.fault.overrides}`", each.verdict, cause, remedy, right]
    cells += [each.after or "–"] if follow else []
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
