"""Run directories that are taken, cannot be written, or run full: one message, and nothing left behind."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock
from helpers.runs import overrides

from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_yaml
from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import make_folder, why_not_writable
from ssl_zoo.files.locks import LOCK, hold, is_empty
from ssl_zoo.files.whole_folder import atomic_folder
from ssl_zoo.files.writing import write_file
from ssl_zoo.reports.folder import choose_folder
from ssl_zoo.run_dir.checkpoints import read_checkpoint
from ssl_zoo.run_dir.directory import claim_run_dir

pytestmark = pytest.mark.slow

RUN = overrides("simsiam", "monitor.baselines=false", "monitor.every_epochs=9")


@contextmanager
def held_elsewhere(folder: Path) -> Iterator[None]:
    """Holds a folder in another thread, which locks tell apart from this one as they do another process."""
    held, over = threading.Event(), threading.Event()

    def keep() -> None:
        with hold(folder):
            held.set()
            over.wait()

    thread = threading.Thread(target=keep)
    thread.start()
    held.wait()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("files", [[], ["config.yaml"]])
@pytest.mark.parametrize("more", [[], ["resume=auto"]])
def test_a_second_start_is_refused_and_names_the_first(
    more: list[str], files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    with held_elsewhere(run):
        for name in files:
            write_file(run / name, to_yaml(compose(RUN)))
        assert main(["train", *RUN, f"run_dir={run}", *more]) == 2
        printed = capsys.readouterr().err
        assert f"process {os.getpid()} on {socket.gethostname()}, since 20" in printed
        assert len(printed.splitlines()) == 1
        assert sorted(file.name for file in run.iterdir()) == [LOCK, *files]
    assert run.exists() == bool(files), "the first made it, and what it left in it stays"


def test_a_folder_that_its_holder_removes_is_waited_for_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    acquire = FileLock.acquire

    def removed_meanwhile(self: FileLock, **how: Any) -> Any:
        monkeypatch.setattr(FileLock, "acquire", acquire)
        run.rmdir()
        raise FileNotFoundError(
            errno.ENOENT, "No such file or directory", self.lock_file
        )  # as filelock does then

    monkeypatch.setattr(FileLock, "acquire", removed_meanwhile)
    with hold(run, wait=True) as locked:
        assert locked
        assert [file.name for file in run.iterdir()] == [LOCK]
    assert not run.exists()


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    script = f"from ssl_zoo.files.locks import hold\nwith hold(__import__('pathlib').Path({str(tmp_path / 'run')!r})):"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{script}\n print(flush=True)\n input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    with (
        pytest.raises(UserError, match=f"is written to by process {process.pid} on "),
        hold(tmp_path / "run"),
    ):
        pass
    process.kill()
    process.communicate()
    with hold(tmp_path / "run") as locked:
        assert locked
    assert list((tmp_path / "run").iterdir()) == [], "nor is what it wrote of itself left"


def test_a_process_may_hold_a_folder_twice(tmp_path: Path) -> None:
    with hold(tmp_path / "run"):
        with hold(tmp_path / "run") as locked:
            assert locked
        assert (tmp_path / "run" / LOCK).is_file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("folder", ["/proc/x", "x" * 300, "file", "file/x", "a\0b", "/dev/null/x"])
@pytest.mark.parametrize("verb", ["train", "why"])
def test_folders_that_cannot_be_are_refused(
    verb: str,
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    if verb == "why":
        assert why_not_writable(Path(folder)) is not None
    elif "\0" not in folder:
        assert main(["train", *RUN, f"run_dir={folder}"]) == 2
        printed = capsys.readouterr().err
        assert printed.startswith("ssl-zoo: run_dir")
        assert len(printed.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_above_that_another_process_removes_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when two runs begin together and one of them tries whether it may write there."""
    above, make = tmp_path / "runs", Path.mkdir
    above.mkdir()

    def removed_first(path: Path, *rest: Any, **more: Any) -> None:
        if path.name == "mine" and above.exists() and not seen:
            seen.append(above.rmdir())
        make(path, *rest, **more)

    seen: list[None] = []
    monkeypatch.setattr(Path, "mkdir", removed_first)
    assert make_folder(above / "mine") == [above / "mine", above]
    assert seen == [None]


def full_after(saves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full when a further checkpoint is half written."""
    save = torch.save

    def failing(contents: Any, file: Any) -> None:
        nonlocal saves
        saves -= 1
        if saves < 0:
            file.write(b"half of it")
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            finally:
                raise RuntimeError("unexpected pos 69184 vs 69080")  # what torch makes of it
        save(contents, file)

    monkeypatch.setattr("torch.save", failing)


def test_a_full_disk_leaves_nothing_of_a_run_that_has_saved_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full_after(0, monkeypatch)
    run = tmp_path / "there" / "run"
    assert main(["train", *RUN, f"run_dir={run}"]) == 1
    printed = capsys.readouterr().err.splitlines()[-1]  # below the lines of progress
    assert printed == (
        f"ssl-zoo: '{run}/checkpoints/last.ckpt': No space left on device; free some space, or write to another disk"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_what_was_saved_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "a run"
    with monkeypatch.context() as patch:
        full_after(1, patch)
        assert main(["train", *RUN, f"run_dir={run}"]) == 1
    printed = capsys.readouterr().err.splitlines()[-1]  # below the lines of progress
    assert printed.endswith(
        f"is kept; to continue: {shlex.join(['ssl-zoo', 'train', f'run_dir={run}', 'resume=auto'])}"
    )
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["ssl_zoo"]["position"] == [1, 0]
    assert not list(run.rglob("*.tmp"))


def test_what_a_killed_start_left_is_removed_by_the_next(tmp_path: Path) -> None:
    """But for what an evaluation of the run may be writing."""
    run = tmp_path / "run"
    run.mkdir()
    for name in (".metrics.csv-1.tmp", ".result.json-1.tmp", ".eval-knn.json-1.tmp"):
        (run / name).write_text("half of")
    with claim_run_dir(compose([*RUN, f"run_dir={run}"])) as (claimed, locked):
        assert (claimed, locked) == (run, True)
        assert sorted(path.name for path in run.iterdir()) == [".eval-knn.json-1.tmp", LOCK]


def half_written(place: Path) -> None:
    with atomic_folder(place) as fresh:
        (fresh / "half").write_text("of it")
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_is_written_whole_or_not_at_all(there: bool, tmp_path: Path) -> None:
    place = tmp_path / "above" / "place"
    if there:
        place.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=f"No space left on device: '{place}'"):
        half_written(place)
    assert sorted(tmp_path.rglob("*")) == before
    for name in ("old", "new"):
        with atomic_folder(place) as fresh:
            (fresh / name).write_text("all of it")
    assert [path.name for path in place.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [tmp_path / "above"]


def test_what_a_killed_process_leaves_of_a_folder_is_passed_over(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    killed = atomic_folder(tmp_path / "place")
    (tmp_path / "place").mkdir()
    (killed.__enter__() / "half").touch()
    (tmp_path / "place" / ".link.tmp").symlink_to(elsewhere)
    assert is_empty(tmp_path / "place")
    assert choose_folder(str(tmp_path / "place"), []) == tmp_path / "place"
    with atomic_folder(tmp_path / "place") as fresh:
        (fresh / "file").write_text("all of it")
    assert [path.name for path in (tmp_path / "place").iterdir()] == ["file"]
    assert (elsewhere / "file").is_file(), "a link is removed, not followed"


def test_the_current_folder_stays_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with atomic_folder(Path()) as fresh:
        (fresh / "file").write_text("all of it")
    assert os.listdir() == ["file"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_before_the_training_begins(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(config: Any) -> None:
        assert (tmp_path / "run").is_dir()
        signal.raise_signal(number)

    monkeypatch.setattr("ssl_zoo.training.shared.load_data", stop)
    before = signal.getsignal(number)
    assert main(["train", *RUN, f"run_dir={tmp_path / 'run'}"]) == 1
    assert capsys.readouterr().err == "ssl-zoo: stopped; nothing was saved yet\n"
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("name", ["../../esc", "/abs", ".hidden", "a\\b", "", " ", "x" * 101])
def test_a_data_sets_name_is_no_path(name: str) -> None:
    with pytest.raises(UserError, match=r"data\.name"):
        compose(["method=simsiam", "data=digits", f"data.name='{name}'"])


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_report_that_cannot_be_written_is_refused_before_it_is_made() -> None:
    with pytest.raises(UserError, match="a report needs a folder that can be written; received '/proc/x'"):
        choose_folder("/proc/x", [])


@pytest.mark.skipif(sys.platform != "linux", reason="patches flock")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_named(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*args: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", none)
    with hold(tmp_path / "run") as locked:
        assert not locked, "the run says so"
    assert list(tmp_path.iterdir()) == []
