"""Speed compared: ssl-zoo's training, a bare loop over the same model, and lightly's way.

    python -m ssl_zoo.benchmarks.speed.compare method=simsiam
    python -m ssl_zoo.benchmarks.speed.compare --threads 4 --json FILE experiment=cifar10/simsiam data=imagefolder \\
        data.train=FOLDER batch_size=256

ssl-zoo        `ssl-zoo train` unchanged: Lightning, TensorBoard, checkpoints. Its measurements are timed separately;
               "the whole run" accounts for them and the checkpoints at the run's settings
bare           a plain loop over the same model in the same precision, over views made beforehand: the upper limit
bare-fp32      the same in float32, contiguous
bare-compiled  the same as bare, by torch.compile
bare-stock     the same as bare, with torch's own convolutions instead of ssl-zoo's
lightly        the method as lightly's documentation writes it, in its default precision (see `lightly_way`)

Each trains in a process of its own. Only one computes at a time, all others and their workers are stopped: A B C A B
C …; so other load on the machine affects all equally. `--threads N` pins all processes of each to N cores.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.build import hardware_for
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.run_dir.environment import environment

from . import lightly_way
from .contenders import CONTENDERS
from .flops import flops_per_view, peak_flops
from .interleave import Contender, ContenderFailed, available_cores, take_turns
from .pause import Order
from .report import contender_figures, fractions, notes, ratios, regular_costs, table
from .step_times import DEFAULT, check_single

__all__ = ["compare", "main"]

Report = dict[str, Any]
STANDARD = ("ssl-zoo", "bare", "lightly")
WATCHED = ("ssl-zoo", "lightly")  # whose time is divided into parts


def main(overrides: Sequence[str] | None = None) -> int:
    """Measures, prints, writes."""
    options = _options(overrides)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the contenders are ended
    try:
        result = compare(options)
    except UserError as error:
        sys.stderr.write(f"ssl-zoo: {error}\n")
        return 2
    sys.stdout.write(table(result))
    if options.json is not None:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


def _options(overrides: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overrides", nargs="*", help="as for `ssl-zoo train`; method=simsiam if none")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="timed steps a turn, at least")
    parser.add_argument("--seconds", type=float, default=2.0, help="timed seconds a turn, at least")
    parser.add_argument("--warmup", type=int, default=3, help="steps before the first round")
    parser.add_argument("--untimed", type=int, default=1, help="steps at the head of each turn")
    parser.add_argument("--threads", type=int, help="cores and threads of each contender; default: all")
    parser.add_argument("--workers", type=int, help="of lightly's DataLoader; default: as many as cores")
    parser.add_argument("--contenders", default=",".join(STANDARD), help=f"of {', '.join(CONTENDERS)}")
    parser.add_argument(
        "--together", action="store_true", help="start all at once; start-up times mean nothing"
    )
    parser.add_argument("--json", type=Path, help="file that gets all figures")
    return parser.parse_intermixed_args(overrides)


def compare(options: argparse.Namespace) -> Report:
    """Runs all contenders in turns and returns the figures; docs/speed.md explains them.

    Raises:
        UserError: the overrides or options are wrong.
    """
    overrides = options.overrides or list(DEFAULT)
    config = compose(overrides)
    names = _checked(options, config)
    cores = available_cores(options.threads)
    workers = len(cores) if options.workers is None else options.workers
    device = hardware_for(config)
    load = os.getloadavg()[0]
    views_per_step = config.batch_size * len(config.views)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:

        def launch(name: str, *flags: str) -> Contender:
            run_folder = Path(folder) / "-".join((name, *flags))
            run_folder.mkdir()
            command = [sys.executable, "-m", "ssl_zoo.benchmarks.speed.contenders", name, *flags]
            command += ["--folder", str(run_folder), "--workers", str(workers), "--overrides", *overrides]
            contender = Contender(name, command, log=run_folder.with_suffix(".log"), cores=cores)
            running.callback(contender.close)
            return contender

        def begin(contender: Contender) -> Report:
            begun = contender.ready()
            before = time.monotonic()
            contender.turn(Order(untimed=options.warmup, steps=0))
            return {**begun, "warmup_seconds": time.monotonic() - before}

        started: dict[str, tuple[Contender, Report]] = {}
        timed: dict[str, Contender] = {}  # by the parts of a step
        failed: dict[str, str] = {}
        watched = [name for name in names if name in WATCHED]
        launched = [launch(name) for name in names] if options.together else []
        waiting = [launch(name, "--parts") for name in watched] if options.together else []
        for number, name in enumerate(names):
            with _noted(failed, name):
                contender = launched[number] if launched else launch(name)
                started[name] = contender, begin(contender)
        for contender in waiting:
            with _noted(failed, f"{contender.name}, in parts"):
                begin(contender)
                timed[contender.name] = contender
        if not started:
            raise ContenderFailed("\n".join(failed.values()))
        names = list(started)
        order = Order(options.untimed, options.steps, options.seconds)
        reports = take_turns([contender for contender, _ in started.values()], order, options.rounds)
        costs = started["ssl-zoo"][0].ask("costs") if "ssl-zoo" in names else None
        measured = {
            name: {
                **contender_figures(reports[name], views_per_step),
                **_footprint(*started[name], reports[name]),
            }
            for name in names
        }
        for contender, _ in started.values():
            contender.close()
        for name in (name for name in watched if name in started):
            with _noted(failed, f"{name}, in parts"):
                if not options.together:
                    timed[name] = launch(name, "--parts")
                    begin(timed[name])
                if name in timed:
                    measured[name]["fractions"] = fractions(timed[name].turn(order)["parts"])
                    timed[name].close()
    flops = flops_per_view(overrides)
    gpu = torch.cuda.get_device_name(device.device) if device.device.type == "cuda" else None
    peak = peak_flops(gpu) if gpu else None
    machine = environment(device)
    ours = measured.get("ssl-zoo")
    return {
        "command": sys.argv,
        "overrides": overrides,
        "run": _described(config),
        "machine": {
            "processor": machine["processor"],
            "cores": machine["cpu_cores"],
            "threads": len(cores),
            "affinity": cores,
            "gpu": gpu,
            "load": load,
            "platform": machine["platform"],
        },
        "precision": {"ssl-zoo": device.precision, "reason": device.reason},
        "versions": machine["versions"],
        "git_commit": machine["git_commit"],
        **{key: getattr(options, key) for key in ("rounds", "steps", "seconds", "warmup", "untimed")},
        "workers": workers,
        "contenders": measured,
        "failed": failed,
        "ratios": ratios(measured) if ours else {},
        "costs": regular_costs(costs, config, ours["views_per_second"]["median"]) if costs and ours else None,
        "flops_per_view": flops,
        "utilisation": {
            name: flops * value["views_per_second"]["median"] / peak
            for name, value in measured.items()
            if name not in ("lightly", "bare-fp32")  # they compute in float32
        }
        if peak
        else None,
        "notes": notes(config, names),
    }


@contextmanager
def _noted(failed: dict[str, str], name: str) -> Iterator[None]:
    """Notes a contender that ends by itself; the others go on."""
    try:
        yield
    except ContenderFailed as error:
        failed[name] = str(error)


def _checked(options: argparse.Namespace, config: Any) -> list[str]:
    names = [name for name in options.contenders.split(",") if name]
    for name in names:
        if name not in CONTENDERS:
            raise unknown_name("contender", name, CONTENDERS)
    for key in ("rounds", "steps", "untimed", "warmup"):
        if getattr(options, key) < 1:
            raise UserError(f"--{key} must be at least 1; received {getattr(options, key)}")
    check_single(config)
    if "lightly" in names:
        lightly_way.check(config)
    return names


def _footprint(contender: Contender, begun: Report, reports: Sequence[Report]) -> Report:
    """Start-up and memory: on a GPU what was allocated there at most; else the peak of the main process and the most
    that its workers had to themselves."""
    on_gpu = reports[-1]["gpu_mb"]
    on_cpu = None if contender.peak_mb is None else contender.peak_mb + contender.workers_mb
    return {
        "memory_mb": on_gpu or on_cpu,
        "cpu_memory_mb": on_cpu,
        "workers_mb": contender.workers_mb,
        "startup_seconds": begun["begun"] - contender.started,
        "warmup_seconds": begun["warmup_seconds"],  # of the first steps: a compiled contender compiles there
        "imports_seconds": begun["imported"] - contender.started,
        "threads": reports[-1]["threads"],
    }


def _described(config: Any) -> Report:
    return {
        "method": config.method.name,
        "data": config.data.name,
        "backbone": config.backbone.name,
        "size": config.augment.size,
        "batch_size": config.batch_size,
        "views": len(config.views),
        "accumulate": config.trainer.accumulate,
    }


if __name__ == "__main__":
    sys.exit(main())
