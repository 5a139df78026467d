"""The time that `ssl-zoo runs` takes for many runs: processes from start to end, with their CPU time.

    python -m ssl_zoo.benchmarks.list_runs [RUNS]

Makes run directories of 50 settings with 20 seeds each in a temporary folder, as training leaves them but for the
checkpoints' contents, and lists them in several ways, in turn with `ssl-zoo --version`, which is the interpreter's
start. Everything has been read once before; CPU time is what a quiet machine takes.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.hardware.interpreter import module_command

SEEDS, EPOCHS, TIMES = 20, 100, 7
METHODS = ("simsiam", "byol", "simclr", "moco", "swav")
RATES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.8, 1.0)
METRICS = ("linear_top1", "knn_top1", "output_std_ratio", "effective_rank", "alignment", "uniformity", "loss")
COMMANDS: dict[str, Sequence[str]] = {
    "the interpreter": ("--version",),
    "all": ("runs", "{}"),
    "conditions and order": ("runs", "{}", "method=byol", "seed=0..4", "knn>50", "sort=knn"),
    "what differs": ("runs", "{}", "method=simsiam", "differing=true"),
    "all as JSON": ("runs", "{}", "--json"),
}


def write_runs(root: Path, count: int) -> None:
    """Writes run directories."""
    settings = [(method, rate) for method in METHODS for rate in RATES]
    texts = [
        to_yaml(compose([f"method={method}", "data=digits", f"epochs={EPOCHS}", f"optimizer.lr={rate}"]))
        for method, rate in settings
    ]
    rows = "\n".join(["epoch,step,loss,knn_top1", *(f"{e},{10 * e},-0.5,0.5" for e in range(EPOCHS + 1))])
    for number in range(count):
        which, seed = divmod(number, SEEDS)
        folder = root / f"digits-{settings[which % len(settings)][0]}-{number:05}"
        for name in ("checkpoints", "tensorboard"):
            (folder / name).mkdir(parents=True)
            (folder / name / f"{name}.bin").write_bytes(b"0" * 1000)
        text = texts[which % len(texts)]
        (folder / "config.yaml").write_text(
            text.replace("seed: 0", f"seed: {seed}").replace("run_dir: null", f"run_dir: {folder}"),
            encoding="utf-8",
        )
        figures = dict.fromkeys(METRICS, number % 997 / 997)
        result = {
            "method": settings[which % len(settings)][0],
            "epochs": EPOCHS,
            **figures,
            "baselines": {"pixels_knn_top1": 0.5},
            "verdict": "healthy" if number % 7 else "collapsed",
            "verdict_reason": "a sentence " * 40,
            "train_seconds": 100.0 + number,
            "versions": {"torch": "2.0"},
        }
        (folder / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")
        (folder / "metrics.csv").write_text(rows, encoding="utf-8")
        (folder / "environment.json").write_text("{}", encoding="utf-8")


def seconds_of(arguments: Sequence[str]) -> tuple[float, float]:
    """Returns the seconds that a process takes, and those of its CPU time."""
    before, started = os.times(), time.perf_counter()
    subprocess.run([*module_command("ssl_zoo"), *arguments], check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - started, cpu


def measure(root: Path) -> Iterator[str]:
    """Yields a line for each command."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for turn in range(TIMES + 1):
        for name, arguments in COMMANDS.items():
            pair = seconds_of([argument.format(root) for argument in arguments])
            if turn:  # the first reads the disk
                taken[name].append(pair)
    for name, pairs in taken.items():
        wall, cpu = ([pair[at] for pair in pairs] for at in (0, 1))
        spread = f"{min(wall):.2f} to {max(wall):.2f} s"
        yield f"{name:22} {statistics.median(wall):.2f} s ({spread}), CPU {statistics.median(cpu):.2f} s"


def main() -> None:
    """Prints the times."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        write_runs(Path(folder), count)
        print(f"{count} runs, median of {TIMES} processes each, in turn")
        for line in measure(Path(folder)):
            print(line)


if __name__ == "__main__":
    main()
