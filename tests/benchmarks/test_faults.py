"""The harness of faults: a fault comes when and where it was planted, and a few of the 200 are tried here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ssl_zoo.benchmarks.faults.case import Outcome
from ssl_zoo.benchmarks.faults.injection import DAMAGES, Injection, damage
from ssl_zoo.benchmarks.faults.page import markdown_page, scenario_table
from ssl_zoo.benchmarks.faults.scenarios import SCENARIOS, schedule
from ssl_zoo.benchmarks.faults.subjects import SUBJECTS

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")

PROGRAM = """
import errno, os, sys, time
sys.path[:] = {path!r}
from ssl_zoo.benchmarks.faults.injection import Injection, plant
plant(Injection(*{fault!r}))
clock = time.time()
for name in ("one", "two", "three"):
    try:
        with open(name, "w") as file:
            file.write("all of it")
            if name == "one":
                file.flush()
                os.fsync(file.fileno())
        os.rename(name, name + " done")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
print(round((time.time() - clock) / 1000))
"""


def suffer(folder: Path, **fault: object) -> tuple[int, list[str], dict[str, str]]:
    """Writes three files in a process with a fault: its exit status, what it printed, and what is there then."""
    planted = Injection(folder=str(folder), **fault)  # type: ignore[arg-type]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(path=sys.path, fault=tuple(planted))],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        done.returncode,
        done.stdout.splitlines(),
        {file.name: file.read_text() for file in folder.iterdir()},
    )


def test_a_full_disk_makes_no_files_from_its_moment_on(tmp_path: Path) -> None:
    status, printed, files = suffer(tmp_path, kind="error", at=2, number=28)
    assert (status, printed) == (0, ["two ENOSPC", "three ENOSPC", "0"])
    assert files == {"one done": "all of it"}


def test_a_disk_that_refuses_everything_renames_nothing_either(tmp_path: Path) -> None:
    status, printed, files = suffer(tmp_path, kind="error", at=3, number=5)
    assert (status, printed) == (0, ["two EIO", "three EIO", "0"])
    assert files == {"one done": "all of it", "two": "all of it"}


@linux
def test_a_file_that_cannot_grow(tmp_path: Path) -> None:
    status, printed, files = suffer(tmp_path, kind="short", at=2, amount=4)
    assert (status, printed) == (0, ["two EFBIG", "three EFBIG", "0"])
    assert files == {"one done": "all of it", "two": "all ", "three": "all "}


@linux
@pytest.mark.parametrize(("kind", "second"), [("kill", "all of it"), ("power", "all ")])
def test_a_power_cut_keeps_only_what_was_synchronised(kind: str, second: str, tmp_path: Path) -> None:
    status, _, files = suffer(tmp_path, kind=kind, at=4, amount=0.5)
    assert status == -signal.SIGKILL
    assert files == {"one done": "all of it", "two done": second}


def test_a_clock_that_jumps(tmp_path: Path) -> None:
    assert suffer(tmp_path, kind="clock", at=1, amount=-86_400.0)[1] == ["-86"]


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_a_damaged_file_leaves_others_linked_to_it(number: int, tmp_path: Path) -> None:
    (tmp_path / "original").write_bytes(b"contents")
    os.link(tmp_path / "original", tmp_path / "copy")
    damage(str(tmp_path / "copy"), number)
    assert (tmp_path / "original").read_bytes() == b"contents"
    harmed = (tmp_path / "copy").read_bytes() if (tmp_path / "copy").exists() else None
    assert harmed != b"contents"
    assert len({harmed, b"cont", bytes(8), None}) == (4 if number == 2 else 3)


def test_two_hundred_faults_have_every_scenario_and_every_command() -> None:
    pairs = schedule(200, 0)
    assert pairs == schedule(200, 0) != schedule(200, 1)
    assert len(pairs) == sum(scenario.times for scenario in SCENARIOS.values()) == 200
    assert {scenario for scenario, _ in pairs} == set(SCENARIOS)
    assert {subject for _, subject in pairs} == set(SUBJECTS)
    assert {SUBJECTS[subject].verb for _, subject in pairs} == {
        "train", "bench", "eval", "report", "export", "embed", "import", "shards",
    }  # fmt: skip


def test_the_page_counts_what_was_lost() -> None:
    well = Outcome(
        0, "disk full", "train", "5 KiB free", line="ssl-zoo: no space; free some", commit="a" * 40
    )
    lost = Outcome(1, "disk full", "eval", "9 KiB free", lost=["x: differs"], left=["y.tmp"], commit="b" * 40)
    assert scenario_table([well, lost])[2] == "| disk full | 2 | 1 | 0 | 1 | `ssl-zoo: no space; free some` |"
    page = markdown_page([well, lost], "COMMAND")
    assert "**2 faults, 1 with something lost or unclear.**" in page
    assert "| 1 | eval | disk full | 9 KiB free |  |  | x: differs |" in page
    assert "nothing lost, every message clear" in markdown_page([well], "COMMAND")


@linux
@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.usefixtures("forked")
def test_a_few_of_the_faults_lose_nothing(tmp_path: Path) -> None:
    pairs = schedule(200, 0)
    wanted = [
        ("disk error", "train"),
        ("power cut", "train"),
        ("killed", "embed-npy"),
        ("power cut", "import"),
    ]
    numbers = [str(pairs.index(pair)) for pair in wanted]
    command = [sys.executable, "-m", "ssl_zoo.benchmarks.faults", str(tmp_path), "--numbers", *numbers]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    outcomes = [json.loads(line) for line in (tmp_path / "faults.jsonl").read_text().splitlines()]
    assert sorted(str(outcome["number"]) for outcome in outcomes) == sorted(numbers), done.stderr
    assert [outcome for outcome in outcomes if outcome["lost"] or outcome["unclear"]] == []
    assert done.returncode == 0
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.stderr == "", "what is recorded is not tried again"
    assert again.stdout == done.stdout
