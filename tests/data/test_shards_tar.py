"""Members and samples of tar files, against tarfile and webdataset."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest
from helpers.shards import png, write_tar

from ssl_zoo.data.shards.table import read_table, scan_shard, write_table
from ssl_zoo.data.shards.tar import DamagedShard, Sample, members_of, samples_of

NAMES = [
    "a.jpg", "folder/b.jpg", "x" * 99 + ".jpg", "y" * 100 + ".jpg", "deep/" * 30 + "c.jpg", "z" * 240 + ".jpg",
    "Größe/猫 1.jpg", "dots.1.2.jpg", "./d.jpg",
]  # fmt: skip


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_members_are_those_of_tarfile(kind: int, tmp_path: Path) -> None:
    names = [name for name in NAMES if kind != tarfile.USTAR_FORMAT or len(name) <= 100 or "/" in name]
    path = write_tar(
        tmp_path / "a.tar", [(name, bytes([n]) * 700 * n) for n, name in enumerate(names)], format=kind
    )
    with tarfile.open(path) as tar:
        expected = [(m.name.removeprefix("./"), m.offset_data, m.size) for m in tar]
    with path.open("rb") as file:
        assert list(members_of(file, path.stat().st_size)) == expected
    assert len(expected) == len(names)


def test_folders_links_and_what_systems_leave_behind_are_no_members(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (
            ("folder", tarfile.DIRTYPE),
            ("link", tarfile.SYMTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "nowhere"
            tar.addfile(member)
        for name in ("._a.jpg", ".hidden/b.jpg", "__MACOSX/c.jpg", "a.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"1"))
    with path.open("rb") as file:
        assert [member.name for member in members_of(file, path.stat().st_size)] == ["a.jpg"]


def test_links_that_are_called_images_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (
            ("1.png", tarfile.REGTYPE),
            ("2.png", tarfile.LNKTYPE),
            ("3.png", tarfile.SYMTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "1.png" if kind != tarfile.REGTYPE else ""
            member.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(member, io.BytesIO(b"1234"))
    with path.open("rb") as file:
        table = scan_shard(file, "auto")
    assert (table.names.tobytes(), table.passed_over) == (b"1.png\0", ("2.png", "3.png"))


@pytest.mark.parametrize("record", [b"0 a=", b"-9 path=x", b"3 path=x", b"12 size=xyz\n", b"9 size=-1"])
def test_an_extended_header_without_sense_is_damage(record: bytes, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("ä" * 80 + ".png", png(1))], format=tarfile.PAX_FORMAT)
    data = bytearray(path.read_bytes())
    data[512:1024] = record.ljust(512, b"\0")
    with pytest.raises(DamagedShard, match=r"^damaged: "):
        list(members_of(io.BytesIO(data), len(data)))


def test_a_size_below_zero_is_damage(tmp_path: Path) -> None:
    data = bytearray(write_tar(tmp_path / "a.tar", [("a.png", png(1)), ("b.png", png(2))]).read_bytes())
    data[124:136] = b"-0000001000\0"  # a member that leads to itself
    with pytest.raises(DamagedShard, match="a member at byte 0 has no size"):
        list(members_of(io.BytesIO(data), len(data)))


def test_a_header_without_magic_is_read_by_tarfile(tmp_path: Path) -> None:
    """As of before 1988: the same header without "ustar", and with the checksum of that."""
    path = write_tar(tmp_path / "a.tar", [("a.jpg", b"123")], format=tarfile.USTAR_FORMAT)
    data = bytearray(path.read_bytes())
    data[257:265] = bytes(8)
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    with io.BytesIO(data) as file:
        assert [(member.name, member.size) for member in members_of(file, len(data))] == [("a.jpg", 3)]
    data[0:1] = b"b"  # the checksum is no longer right
    with io.BytesIO(data) as file, pytest.raises(DamagedShard, match="no tar file"):
        list(members_of(file, len(data)))


def test_cut_off_anywhere_shows(tmp_path: Path) -> None:
    """Whole samples come before the error; a file that is cut at its very end has lost its end alone."""
    members = [(f"{n}.{suffix}", bytes(100 * n)) for n in range(4) for suffix in ("png", "cls")]
    whole = write_tar(tmp_path / "a.tar", members).read_bytes()
    ends = whole.rindex(b"3.cls") + 512 + 512  # of the last member
    for length in [*range(0, ends, 131), ends]:
        samples: list[Sample] = []
        with io.BytesIO(whole[:length]) as file, pytest.raises(DamagedShard) as error:
            samples += samples_of(file, length)
        assert "cut off" in str(error.value) or length < 512
        for number, sample in enumerate(samples):
            assert sample.image.name == f"{number}.png"
            assert "cls" in sample.others


def test_an_empty_file_is_damaged_and_a_tar_file_without_members_is_not() -> None:
    with pytest.raises(DamagedShard, match="it is empty"):
        list(members_of(io.BytesIO(b""), 0))
    with pytest.raises(DamagedShard, match="it is no tar file"):
        list(members_of(io.BytesIO(b"no tar file" * 100), 1100))
    assert list(members_of(io.BytesIO(bytes(10240)), 10240)) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves the file open
def test_samples_are_those_of_webdataset(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    members = [
        ("cat/1.jpg", b"a"), ("cat/1.cls", b"3"), ("cat/2.seg.png", b"b"), ("cat/2.jpg", b"c"), ("dog/2.jpg", b"d"),
        ("a.b/3.JPG", b"e"), ("a.b/3.json", b"{}"), ("4.txt", b"f"),
    ]  # fmt: skip
    path = write_tar(tmp_path / "a.tar", members)
    theirs = list(wds.WebDataset(os.fspath(path), shardshuffle=False, empty_check=False))
    with path.open("rb") as file:
        ours = list(samples_of(file, path.stat().st_size))
    assert len(ours) == len(theirs) == 5
    for sample, other in zip(ours, theirs, strict=True):
        parts = {key for key in other if not key.startswith("__")}
        assert len(parts) == len(sample.others) + (sample.image is not None)
        assert set(sample.others) <= parts
    assert [sample.image and sample.image.name for sample in ours] == [
        "cat/1.jpg", "cat/2.seg.png", "dog/2.jpg", "a.b/3.JPG", None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("auto", ["7", "dog", None]),
        ("cls", ["7", None, None]),
        ("json.label", ["ignored", "dog", None]),
        ("json.id", ["5", "6", None]),
        ("none", [None, None, None]),
        ("folder", [None, None, None]),
    ],
)
def test_labels(label: str, expected: list[str | None], tmp_path: Path) -> None:
    members = [
        ("1.png", png(1)), ("1.cls", b" 7\n"), ("1.json", b'{"label": "ignored", "id": 5}'),
        ("2.json", b'{"label": "dog", "id": 6}'), ("2.png", png(2)),
        ("3.png", png(3)), ("3.json", b'{"label": [1], "id": null}'),
    ]  # fmt: skip
    path = write_tar(tmp_path / "a.tar", members)
    if label == "json.label":  # a field that is asked for must hold labels
        with path.open("rb") as file:
            assert scan_shard(file, label).damage == "field 'label' of '3.json' is no number and no text"
        members = members[:-1]
        path = write_tar(tmp_path / "b.tar", members)
    with path.open("rb") as file:
        table = scan_shard(file, label)
    assert [None if code < 0 else table.labels[code] for code in table.codes] == expected
    assert table.damage is None
    again = read_table(write_table(table))
    for one, other in zip(table, again, strict=True):
        assert one.tobytes() == other.tobytes() if hasattr(one, "tobytes") else one == other
    assert write_table(again) == write_table(table)
