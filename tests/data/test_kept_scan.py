"""Scans that are kept: what is read again at the next start, counted, and what makes them void."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_zoo.data import Data, decode, headers, kept_scan, load_data, overlap, scan
from ssl_zoo.errors import UserError

LONG_AGO = 1_500_000_000


class Reads:
    """Counts the folders that are scanned and the files that are checked."""

    def __init__(self) -> None:
        self.scanned, self.checked = 0, 0

    def since(self) -> tuple[int, int]:
        """Returns both, and begins anew."""
        counts = self.scanned, self.checked
        self.scanned = self.checked = 0
        return counts


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    reads = Reads()

    def scan_folder(key: str, folder: str) -> Any:
        reads.scanned += 1
        return scan.scan_folder(key, folder)

    def is_surely_readable(path: str) -> bool:
        reads.checked += 1
        return headers.is_surely_readable(path)

    monkeypatch.setattr("ssl_zoo.data.kept_scan.scan_folder", scan_folder)
    monkeypatch.setattr("ssl_zoo.data.reader.is_surely_readable", is_surely_readable)
    monkeypatch.setattr(kept_scan, "LEAST", 1)
    return reads


def settle(folder: Path) -> None:
    """Lets no folder have been changed lately."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            os.utime(path, (LONG_AGO, LONG_AGO))


@pytest.fixture
def load(tree: Any, folder_config: Any, tmp_path: Path, reads: Reads) -> Callable[..., Data]:
    """Loads a folder of 3 cats and 4 dogs; the same one each time."""
    folder = tree(cat=3, dog=4)
    settle(folder)

    def load(**keys: Any) -> Data:
        return load_data(folder_config(folder, **{"cache_mb": 0.0, "root": str(tmp_path / "root"), **keys}))

    return load


def test_the_next_start_reads_nothing(load: Any, reads: Reads) -> None:
    first = load()
    assert reads.since() == (1, 7)
    second = load()
    assert reads.since() == (0, 0)
    assert second.train.names == first.train.names
    assert second.classes == first.classes
    assert torch.equal(second.train.labels, first.train.labels)
    one, two = (torch.cat(list(data.train.plain_batches(8, 4))) for data in (first, second))
    assert torch.equal(one, two)


def _add(folder: Path) -> None:
    (folder / "cat" / "99.png").write_bytes((folder / "cat" / "00.png").read_bytes())


def _remove(folder: Path) -> None:
    (folder / "dog" / "00.png").unlink()


def _rename(folder: Path) -> None:
    (folder / "dog" / "00.png").rename(folder / "dog" / "0.png")


def _replace(folder: Path) -> None:
    other = folder.parent / "other.png"
    other.write_bytes((folder / "cat" / "00.png").read_bytes())
    other.replace(folder / "dog" / "00.png")


def _add_class(folder: Path) -> None:
    (folder / "owl").mkdir()
    (folder / "owl" / "0.png").write_bytes((folder / "cat" / "00.png").read_bytes())


def _overwrite(folder: Path) -> None:
    for file in folder.rglob("*.png"):
        Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(file)


@pytest.mark.parametrize("change", [_add, _remove, _rename, _replace, _add_class, _overwrite])
def test_a_change_is_seen(change: Any, load: Any, reads: Reads, tmp_path: Path) -> None:
    load()
    change(tmp_path / "train")
    reads.since()
    changed = load()
    expected = tuple(
        sorted(
            path.relative_to(tmp_path / "train").as_posix() for path in (tmp_path / "train").rglob("*.png")
        )
    )
    assert changed.train.names == expected
    assert reads.since() == (1, len(expected))


def test_other_names_of_the_files_that_are_read(
    load: Any, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    load()
    reads.since()
    monkeypatch.setattr(kept_scan, "SUFFIXES", (*decode.SUFFIXES, ".jxl"))
    load()
    assert reads.since() == (1, 7)
    load()
    assert reads.since() == (0, 0)
    monkeypatch.setattr(kept_scan, "VERSION", 0)
    load()
    assert reads.since() == (1, 7)


def test_another_check_is_made_once(load: Any, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    reads.since()
    load(channels=1)
    assert reads.since() == (0, 7)
    load(channels=1)
    load()
    assert reads.since() == (0, 0), "both are kept"
    monkeypatch.setattr("PIL.__version__", "0.1")
    load()
    assert reads.since() == (0, 7)


def test_a_limit_takes_what_was_checked_and_keeps_no_check(load: Any, reads: Reads) -> None:
    load(limit=4)
    assert reads.since() == (1, 4)
    load(limit=4)
    assert reads.since() == (1, 4)
    load()
    reads.since()
    assert len(load(limit=4).train) == 4
    assert reads.since() == (0, 0)


def test_what_failed_is_checked_again_until_it_is_mended(load: Any, reads: Reads, tmp_path: Path) -> None:
    file = tmp_path / "train" / "dog" / "01.png"
    whole = file.read_bytes()
    file.write_bytes(b"broken")
    for expected in ((1, 7), (0, 1)):
        with pytest.raises(UserError, match=r"1 of 7 .*dog/01\.png"):
            load()
        assert reads.since() == expected
    file.write_bytes(whole)  # which the sample of a small folder sees
    assert len(load().train) == 7
    assert reads.since() == (1, 7)
    load()
    assert reads.since() == (0, 0)


def test_what_is_mended_unseen(
    load: Any, reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_scan, "LOOKED_AT", 1)
    file = tmp_path / "train" / "dog" / "01.png"
    whole = file.read_bytes()
    file.write_bytes(b"broken")
    with pytest.raises(UserError, match=r"1 of 7"):
        load()
    assert reads.since() == (1, 7)
    file.write_bytes(whole)
    assert len(load().train) == 7
    assert reads.since() == (0, 1)


def test_skipped_files(load: Any, reads: Reads, tmp_path: Path) -> None:
    (tmp_path / "train" / "dog" / "01.png").write_bytes(b"broken")
    (tmp_path / "train" / "dog" / "notes.heic").touch()
    settle(tmp_path / "train")
    first, second = load(on_error="skip"), load(on_error="skip")
    assert reads.scanned == 1
    assert second.skipped == first.skipped
    assert len(second.skipped) == 2
    assert second.train.names == first.train.names
    assert len(second.train) == 6


@pytest.mark.parametrize("damage", ["cut off", "garbled", "another text", "empty", "JSON", "a folder"])
def test_a_damaged_file_is_as_none(damage: str, load: Any, reads: Reads, tmp_path: Path) -> None:
    load()
    (file,) = (tmp_path / "root" / "scans").glob("*/scan")
    whole = file.read_bytes()
    if damage == "a folder":
        file.unlink()
        file.mkdir()
    else:
        contents = {
            "cut off": whole[:-5],
            "garbled": whole[:-9] + b"?" + whole[-8:],
            "empty": b"",
            "JSON": b"[1]\n",
        }
        file.write_bytes(contents.get(damage, os.urandom(500)))
    reads.since()
    assert len(load().train) == 7
    assert reads.since() == (1, 7)
    if damage != "a folder":
        load()
        assert reads.since() == (0, 0), "it was written anew"
    assert [path.name for path in file.parent.iterdir()] == [file.name], "nothing half written is left"


def test_a_store_that_cannot_be_written_is_done_without(load: Any, reads: Reads, tmp_path: Path) -> None:
    (tmp_path / "root").write_text("no folder")
    for _ in range(2):
        assert len(load().train) == 7
        assert reads.since() == (1, 7)


def test_a_folder_that_changed_a_moment_ago_is_not_kept(load: Any, reads: Reads, tmp_path: Path) -> None:
    now = time.time()
    os.utime(tmp_path / "train" / "cat", (now, now))
    load()
    assert not (tmp_path / "root").exists()
    assert reads.since() == (1, 7)


def test_nor_one_with_links_that_lead_nowhere(load: Any, tmp_path: Path) -> None:
    (tmp_path / "train" / "cat" / "gone.png").symlink_to(tmp_path / "gone.png")
    settle(tmp_path / "train")
    load(on_error="skip")
    assert not (tmp_path / "root").exists(), "what they lead to may come back"


def test_nor_a_small_one(load: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_scan, "LEAST", 8)
    load()
    assert not (tmp_path / "root").exists()


def test_training_and_test_folders_have_a_scan_each(
    load: Any, tree: Any, reads: Reads, tmp_path: Path
) -> None:
    test = tree("test", cat=2, dog=2)
    settle(test)
    first = load(test=str(test))
    assert reads.since() == (2, 11)
    second = load(test=str(test))
    assert reads.since() == (0, 0)
    assert first.test is not None
    assert second.test is not None
    assert second.test.names == first.test.names
    assert len(list((tmp_path / "root" / "scans").iterdir())) == 2


def test_what_another_process_checks_meanwhile_is_not_checked_again(
    load: Any, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, held = kept_scan.hold, []  # type: ignore[attr-defined]

    @contextmanager
    def after_another(folder: Path, *, wait: bool) -> Iterator[bool]:
        assert wait
        held.append(folder)
        monkeypatch.setattr("ssl_zoo.data.kept_scan.hold", hold)
        assert len(load().train) == 7
        with hold(folder, wait=wait) as locked:
            yield locked

    monkeypatch.setattr("ssl_zoo.data.kept_scan.hold", after_another)
    assert len(load().train) == 7
    assert len(held) == 1
    assert reads.since() == (2, 7), "both have listed the folder, and one has checked its files"


def test_that_test_images_are_others_is_found_out_once(
    load: Any, tree: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Reads
) -> None:
    compared, same = [], overlap._same_files

    def same_files(*arguments: Any) -> int:
        compared.append(arguments)
        return same(*arguments)

    monkeypatch.setattr(overlap, "_same_files", same_files)
    test = tree("test", cat=2, dog=2)
    settle(test)
    load(test=str(test))
    load(test=str(test))
    load(test=str(test), channels=1)
    assert len(compared) == 1
    assert reads.since() == (2, 22), "as for the checks of files"
    load(test=str(test))
    assert reads.since() == (0, 0)
    for kind in ("cat", "dog"):
        for file in (tmp_path / "train" / kind).iterdir():
            (test / kind / file.name).write_bytes(file.read_bytes())
    settle(test)
    with pytest.raises(UserError, match="byte for byte"):
        load(test=str(test))
    with pytest.raises(UserError, match="are one folder"):
        load(test=str(tmp_path / "train"))
