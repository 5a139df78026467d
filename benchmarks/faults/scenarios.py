"""The scenarios: what happens to which commands, and how often."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from . import disk_faults, image_faults, process_faults
from .case import Case

__all__ = ["SCENARIOS", "Scenario", "schedule"]

WRITERS = (  # in such shares as their time allows
    "train", "embed-npy", "eval", "export", "shards", "train", "import", "embed-parquet", "train", "report",
    "embed-npy", "eval", "train", "export", "import", "bench", "report-again",
)  # fmt: skip


class Scenario(NamedTuple):
    """A kind of fault: which commands it happens to, how often among 200, and how it is carried out."""

    name: str
    subjects: tuple[str, ...]  # in turn
    times: int
    carry_out: Callable[[Case], None]


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("disk full", WRITERS, 34, disk_faults.full_disk),
        Scenario("file cannot grow", WRITERS, 21, disk_faults.file_cannot_grow),
        Scenario("disk error", WRITERS, 33, disk_faults.disk_error),
        Scenario("killed", WRITERS, 24, disk_faults.killed),
        Scenario("power cut", WRITERS, 28, disk_faults.power_cut),
        Scenario("file system hangs", ("train", "embed-npy", "train-files", "export"), 4, disk_faults.hang),
        Scenario("clock jumps", ("train", "eval", "embed-parquet"), 6, process_faults.clock),
        Scenario("clock between starts", ("train", "embed-npy"), 8, process_faults.clock_between),
        Scenario("twice at once", WRITERS, 12, process_faults.at_once),
        Scenario("read while it trains", ("train",), 6, process_faults.reported),
        Scenario(
            "folder removed", ("train", "eval", "export", "train", "eval", "bench"), 6, disk_faults.vanished
        ),
        Scenario("image damaged before", ("train-files",), 2, image_faults.corrupt_before),
        Scenario("image damaged later", ("train-files",), 4, image_faults.corrupt_later),
        Scenario("image skipped", ("train-skip",), 2, image_faults.skipped),
        Scenario("loader worker killed", ("train-files",), 2, image_faults.worker_killed),
        Scenario(
            "process killed", ("train-four", "train-four", "train-two"), 6, process_faults.process_killed
        ),
        Scenario("process hangs", ("train-four",), 2, process_faults.process_hangs),
    )
}


def schedule(number: int, seed: int) -> list[tuple[str, str]]:
    """Returns the scenario and the subject of each of so many faults, in the order in which they are tried."""
    pairs: list[tuple[str, str]] = []
    for scenario in SCENARIOS.values():
        start = random.Random(f"{seed} {scenario.name}").randrange(len(scenario.subjects))
        turns = (scenario.subjects[(start + turn) % len(scenario.subjects)] for turn in range(scenario.times))
        pairs += [(scenario.name, subject) for subject in turns]
    pairs = [pairs[index % len(pairs)] for index in range(max(number, len(pairs)))]
    random.Random(seed).shuffle(pairs)
    return pairs[:number]
