"""Files and folders that a power cut, a kill or a full disk meets half written."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ssl_zoo.errors import UserError
from ssl_zoo.files import whole_folder
from ssl_zoo.files.whole_folder import atomic_folder
from ssl_zoo.files.writing import write_file
from ssl_zoo.reports.folder import RECORD, choose_folder, write


def file_by_file(path: Path) -> None:
    write_file(path, "all of it")


def as_folder(path: Path) -> None:
    with atomic_folder(path.parent / "folder") as fresh:
        (fresh / path.name).write_text("all of it")


def as_folder_that_is_there(path: Path) -> None:
    (path.parent / "folder").mkdir()
    as_folder(path)


WAYS = (file_by_file, as_folder, as_folder_that_is_there)


@pytest.mark.parametrize("way", WAYS)
def test_the_bytes_reach_the_disk_before_the_name_does(
    way: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut leaves the name with an empty file behind it."""
    synchronize, replace, safe = os.fsync, os.replace, set[int]()

    def note(descriptor: int) -> None:
        synchronize(descriptor)
        if os.fstat(descriptor).st_size == len("all of it"):
            safe.add(os.fstat(descriptor).st_ino)

    def check(source: Path, target: Path) -> None:
        files = [source] if Path(source).is_file() else [*Path(source).iterdir()]
        named.append({file.stat().st_ino for file in files} <= safe)
        replace(source, target)

    named: list[bool] = []
    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(os, "replace", check)
    way(tmp_path / "file")
    assert named == [True]


@pytest.mark.parametrize("way", WAYS)
def test_an_error_names_what_was_to_be_written_and_not_a_temporary_file(
    way: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, *rest: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left") as caught:
        way(tmp_path / "file")
    assert caught.value.filename == str(tmp_path / ("file" if way is file_by_file else "folder"))


def abandon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves what a process leaves that is killed while it writes a folder."""
    with monkeypatch.context() as killed, suppress(KeyboardInterrupt), atomic_folder(folder) as fresh:
        (fresh / "half").write_text("of it")
        killed.setattr(shutil, "rmtree", lambda *rest, **more: None)
        raise KeyboardInterrupt


def test_what_killed_processes_have_left_beside_a_folder_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    abandon(tmp_path / "one", monkeypatch)
    abandon(tmp_path / "two", monkeypatch)
    assert sum(path.name.endswith(".tmp") for path in tmp_path.iterdir()) == 2
    as_folder(tmp_path / "one" / ".." / "file")  # of another name: nothing is its
    with atomic_folder(tmp_path / "one") as fresh:
        (fresh / "file").write_text("all of it")
    (left,) = (path for path in tmp_path.iterdir() if path.name.endswith(".tmp"))
    assert left.name.startswith(".two-")


def test_a_folder_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    """Also where both replace the same one: neither removes what the other needs."""
    (tmp_path / "folder").mkdir()
    begun, go_on, failures = threading.Event(), threading.Event(), list[BaseException]()

    def other() -> None:
        try:
            with atomic_folder(tmp_path / "folder") as fresh:
                (fresh / "file").write_text("the other's")
                begun.set()
                go_on.wait()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    as_folder(tmp_path / "file")
    assert (tmp_path / "folder" / "file").read_text() == "all of it"
    go_on.set()
    thread.join()
    assert failures == []
    assert [path.read_text() for path in (tmp_path / "folder").iterdir()] == ["the other's"]


def write_late(folder: Path) -> None:
    with atomic_folder(folder) as fresh:
        (fresh / "file").write_text("mine")
        folder.mkdir()
        (folder / "file").write_text("the other's")


def test_a_folder_that_has_appeared_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another process has written it meanwhile"):
        write_late(tmp_path / "folder")
    assert [path.read_text() for path in (tmp_path / "folder").iterdir()] == ["the other's"]
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


class Killed(BaseException):
    """Instead of a kill."""


@pytest.mark.parametrize("steps", range(6))
def test_a_report_killed_while_it_replaces_another_is_replaced_by_the_next(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each of the steps: three files come, two go."""
    folder, left = tmp_path / "report", steps
    write(folder, {"old": b"1", "older": b"1", "page": b"1"}, {}, [])

    def step(take: Callable[..., None]) -> Callable[..., None]:
        def taken(*rest: Path) -> None:
            nonlocal left
            if left == 0:
                monkeypatch.setattr(shutil, "rmtree", lambda *rest, **more: None)
                raise Killed
            left -= 1
            take(*rest)

        return taken

    with monkeypatch.context() as patch:
        patch.setattr(whole_folder, "_put", step(whole_folder._put))
        patch.setattr(whole_folder, "_remove", step(whole_folder._remove))
        try:
            write(folder, {"new": b"2", "page": b"2"}, {}, [])
        except Killed:
            assert steps < 5
    monkeypatch.undo()
    assert choose_folder(str(folder), []) == folder
    write(folder, {"new": b"3", "page": b"3"}, {}, [])
    assert {path.name for path in folder.iterdir()} == {"new", "page", RECORD}
    (folder / "mine").touch()
    with pytest.raises(UserError, match="holds other files"):
        choose_folder(str(folder), [])
