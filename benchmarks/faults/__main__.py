"""Plants faults into commands of ssl-zoo: what does the user read, and is anything lost? Exit status 1 if so.

    python -m ssl_zoo.benchmarks.faults OUT [--n 200] [--seed 0] [--only TEXT ...] [--write docs]

A full disk, a broken one, a kill at any file operation, a power cut, a file system that hangs, a clock that jumps, two
starts at once, damaged images, killed processes. After each the same command runs again, and what it leaves is
compared to the bit with a command that nothing happened to. `OUT/faults.jsonl` gets a line for each fault; one that is
there is not tried again. `--write docs` writes docs/results/faults.md. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .case import Case, Outcome, Workshop
from .page import markdown_page
from .processes import Command, warm_up
from .scenarios import SCENARIOS, schedule
from .subjects import make_inputs


def main() -> int:
    """Tries the faults that are missing, and prints or writes the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of the record and of what is tried")
    parser.add_argument("--n", type=int, default=200, help="number of faults")
    parser.add_argument("--seed", type=int, default=0, help="of their order and moments")
    parser.add_argument(
        "--only", nargs="*", metavar="TEXT", default=(), help="of scenarios or commands so named"
    )
    parser.add_argument("--numbers", nargs="*", type=int, help="of which faults alone")
    parser.add_argument("--write", type=Path, help="folder that gets results/faults.md")
    options = parser.parse_args()
    out: Path = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    record = out / "faults.jsonl"
    known = {o.number: o for o in _read(record)}
    missing = [
        (number, *pair)
        for number, pair in enumerate(schedule(options.n, options.seed))
        if number not in known
        and (not options.only or any(text in " ".join(pair) for text in options.only))
        and (not options.numbers or number in options.numbers)
    ]
    if missing:
        known |= {outcome.number: outcome for outcome in _try(missing, out, record, options.seed)}
    outcomes = [known[number] for number in sorted(known)]
    page = markdown_page(
        outcomes, f"python -m ssl_zoo.benchmarks.faults OUT --n {options.n} --seed {options.seed}"
    )
    sys.stdout.write(page)
    if options.write is not None:
        (options.write / "results" / "faults.md").write_text(page, encoding="utf-8")
    return int(not all(outcome.is_well for outcome in outcomes))


def _read(record: Path) -> list[Outcome]:
    lines = record.read_text(encoding="utf-8").splitlines() if record.is_file() else []
    return [Outcome(**json.loads(line)) for line in lines]


def _try(missing: Sequence[tuple[int, str, str]], out: Path, record: Path, seed: int) -> list[Outcome]:
    from ssl_zoo.run_dir.environment import git_commit

    warm_up()

    def start(arguments: Sequence[str]) -> None:
        ended = Command(arguments, out).wait()
        assert ended.status == 0, ended.err

    make_inputs(out / "inputs", start)
    workshop, commit, outcomes = Workshop(out), git_commit() or "", []
    for number, scenario, subject in missing:
        outcome = Outcome(number, scenario, subject, "", commit=commit)
        started, case = time.monotonic(), Case(workshop, outcome, random.Random(f"{seed} {number}"))
        try:
            SCENARIOS[scenario].carry_out(case)
        except TimeoutError as error:
            outcome.lost.append(str(error))
        outcome.seconds = round(time.monotonic() - started, 1)
        line = case.record()
        with record.open("a") as file:
            file.write(json.dumps(line) + "\n")
        outcomes.append(Outcome(**line))
        marks = "; ".join([*outcome.lost, *outcome.unclear, *outcome.left]) or "well"
        sys.stderr.write(f"{number} {scenario}, {subject} ({outcome.seconds} s): {marks[:300]}\n")
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
