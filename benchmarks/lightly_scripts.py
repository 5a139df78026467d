"""What the monitor says of lightly's example scripts, healthy and with planted faults: false alarms, misses, causes.

    python -m ssl_zoo.benchmarks.lightly_scripts [--seeds N …] [--scripts NAME …] [--json FILE]

Runs `examples/lightly` of a clone of the repository. A false alarm is any verdict but healthy on a script without a
fault; a miss is "healthy" on one with a fault.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["SCRIPTS", "Script", "table"]

EXAMPLES = Path("examples") / "lightly"


class Script(NamedTuple):
    """A script with a fault, or none."""

    name: str
    fault: str = ""
    cause: str = ""  # that should be named


SCRIPTS = (
    Script("simsiam"),
    Script("simclr"),
    Script("moco"),
    Script("barlow_twins"),
    Script("swav"),
    Script("dino"),
    Script("byol_loop"),
    Script("simsiam", "no-stop-gradient", "no stop-gradient"),
    Script("simsiam", "no-predictor", "nothing keeps images apart"),
    Script("simclr", "no-negatives", "nothing keeps images apart"),
    Script("moco", "no-negatives", "nothing keeps images apart"),
    Script("byol_loop", "no-predictor", "nothing keeps images apart"),
    Script("byol_loop", "no-predictor-no-stop-gradient", "gradient through the target encoder"),
    Script("barlow_twins", "same-view", "identical views"),
    Script("swav", "no-sinkhorn"),
    Script("dino", "no-centering"),
)


def run(script: Script, seed: int) -> dict[str, Any]:
    """Runs a script, and returns what was said of it."""
    module = importlib.import_module(script.name)
    start = time.perf_counter()
    diagnosis = module.train(script.fault, seed=seed, quiet=True)
    return {
        **script._asdict(),
        "seed": seed,
        "seconds": round(time.perf_counter() - start, 1),
        "verdict": diagnosis.verdict,
        "said_cause": diagnosis.cause,
        "reason": diagnosis.reason,
        "epochs": diagnosis.epochs,
        "output_std_ratio": diagnosis.metrics["output_std_ratio"],
    }


def table(outcomes: list[dict[str, Any]]) -> str:
    """Returns a row for each script and fault as Markdown, and the counts."""
    lines = [
        "| script | fault | seeds | verdicts | cause named | false alarms or misses |",
        "|---|---|---|---|---|---|",
    ]
    wrong = {True: [0, 0], False: [0, 0]}  # of healthy scripts, of faults: wrong ones and all
    for script in SCRIPTS:
        mine = [o for o in outcomes if (o["name"], o["fault"]) == (script.name, script.fault)]
        if not mine:
            continue
        verdicts = [o["verdict"] for o in mine]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        bad = sum((v == "healthy") == bool(script.fault) for v in verdicts)
        causes = sum(bool(script.cause) and (o["said_cause"] or "").startswith(script.cause) for o in mine)
        named = f"{script.cause}: {causes} of {len(mine)}" if script.cause else ""
        lines.append(
            f"| `{script.name}.py` | {script.fault or 'none'} | {len(mine)} | {counts} | {named} | {bad} |"
        )
        total = wrong[not script.fault]
        total[0], total[1] = total[0] + bad, total[1] + len(mine)
    counted = {True: "False alarms", False: "Missed faults"}
    return "\n".join([*lines, "", *(f"{counted[key]}: {bad} of {of}." for key, (bad, of) in wrong.items())])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--scripts", nargs="+", default=[], help="names; all without")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if not EXAMPLES.is_dir():
        parser.error(f"run it in a clone of the repository; {EXAMPLES} is not here")
    sys.path.insert(0, str(EXAMPLES))
    outcomes: list[dict[str, Any]] = []
    chosen = [script for script in SCRIPTS if not options.scripts or script.name in options.scripts]
    for seed in options.seeds:
        for script in chosen:
            outcome = run(script, seed)
            outcomes.append(outcome)
            print(json.dumps(outcome), flush=True)
            if options.json:
                options.json.write_text(json.dumps(outcomes, indent=1), encoding="utf-8")
    print(table(outcomes))


if __name__ == "__main__":
    main()
