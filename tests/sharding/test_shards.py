"""ssl-zoo shards: files as they are, the same bytes each time and after a kill; data=webdataset reads them back."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.data import load_data
from ssl_zoo.errors import DiskError, Interrupted, UserError
from ssl_zoo.sharding import write as writing
from ssl_zoo.sharding.run import write_shards

NAMES = [
    "cat/1.png", "cat/2.jpg", "cat/3.4.png", "dog/2.jpg", "dog/2.png", "dog/2.jpg.png", "dog/50%.png", "dog/ä 猫.PNG",
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (10, 10 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return tmp_path / "images"


def _options(folder: Path, out: Path, *more: str) -> list[str]:
    cache = f"data.root={out.parent / 'cache'}"
    options = [f"data.train='{folder}'", f"out='{out}'", "images_per_shard=3", "progress=false", cache]
    return [*options, "data.workers=0", *more]


def _digests(out: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(out.iterdir())}


def _load(out: Path, *more: str) -> Any:
    overrides = [
        "data=webdataset",
        f"data.train={out}",
        f"data.root={out.parent / 'cache'}",
        "data.workers=0",
    ]
    return load_data(compose([*overrides, *more]).data)


@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_shards_hold_the_files_as_they_are(shuffle: str, folder: Path, tmp_path: Path) -> None:
    out = write_shards(_options(folder, tmp_path / "out", f"shuffle={shuffle}"), silent=True)
    images: dict[bytes, str] = {}
    keys = []
    for shard in sorted(out.glob("*.tar")):
        with tarfile.open(shard) as tar:
            members = {member.name: tar.extractfile(member).read() for member in tar}
        for name, contents in members.items():
            if not name.endswith(".cls"):
                key = name.rpartition(".")[0]
                assert "." not in key.rpartition("/")[2]  # which others take for its end
                images[contents] = members[f"{key}.cls"].decode()
                keys.append(key)
    assert len(keys) == len(set(keys)) == len(NAMES)
    for name in NAMES:
        assert images[(folder / name).read_bytes()] == str(["cat", "dog"].index(name[:3]))
    data = _load(out)
    assert (len(data.train), data.classes) == (8, ("cat", "dog"))
    plain = load_data(compose(["data=imagefolder", f"data.train='{folder}'", "data.workers=0"]).data)
    if shuffle == "false":
        assert data.train.labels.tolist() == plain.train.labels.tolist()
        for ours, theirs in zip(data.train.plain_batches(8, 1), plain.train.plain_batches(8, 1), strict=True):
            assert ours.equal(theirs)
    else:
        assert data.train.labels.tolist() != sorted(data.train.labels.tolist())  # classes are mixed


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it leaves files open
def test_webdataset_reads_them(folder: Path, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    out = write_shards(_options(folder, tmp_path / "out"), silent=True)
    for shard in sorted(out.glob("*.tar")):
        samples = list(wds.WebDataset(os.fspath(shard), shardshuffle=False))
        assert len(samples) in (2, 3)
        for sample in samples:
            suffixes = {key for key in sample if not key.startswith("__")} - {"cls"}
            assert len(suffixes) == 1
            Image.open(io.BytesIO(sample[suffixes.pop()])).verify()
    listed = json.loads((out / "index.json").read_text())
    assert [shard["nsamples"] for shard in listed["shardlist"]] == [3, 3, 2]
    assert all((out / shard["url"]).stat().st_size == shard["filesize"] for shard in listed["shardlist"])


def test_bytes_are_the_same_each_time(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write_shards(_options(folder, tmp_path / "one"), silent=True)
    for file in folder.rglob("*.*"):
        os.utime(file, ns=(1, 1))
    two = write_shards(_options(folder, tmp_path / "two"), silent=True)
    assert _digests(one) == _digests(two)
    shards = {f"shard-{number:06d}.tar{end}" for number in range(3) for end in ("", ".index")}
    assert set(_digests(one)) == {"index.json", *shards}
    before = {file: file.stat().st_mtime_ns for file in one.iterdir()}
    assert main(["shards", *_options(folder, one)]) == 0
    assert "3 shards, finished before" in capsys.readouterr().out
    assert {file: file.stat().st_mtime_ns for file in one.iterdir()} == before


@pytest.mark.parametrize("stop_at", range(1, 9))
@pytest.mark.parametrize("how", ["killed", "asked", "full"])
def test_a_start_that_was_stopped_goes_on_to_the_same_bytes(
    stop_at: int, how: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after any image: by a kill, which leaves half a file; by SIGTERM; by a full disk."""
    whole = _digests(write_shards(_options(folder, tmp_path / "whole"), silent=True))
    add, count = writing._add, 0

    def adding(tar: Any, name: str, contents: bytes) -> None:
        nonlocal count
        add(tar, name, contents)
        count += not name.endswith(".cls")
        if count == stop_at:
            if how == "full":
                raise OSError(28, "No space left on device")
            if how == "asked":
                signal.raise_signal(signal.SIGTERM)
            else:
                raise MemoryError  # ends it at once; what a kill leaves is put there below

    monkeypatch.setattr(writing, "_add", adding)
    expected: dict[str, Any] = {"killed": MemoryError, "asked": Interrupted, "full": DiskError}
    out = tmp_path / "out"
    with pytest.raises(expected[how]) as error:
        write_shards(_options(folder, out), silent=True)
    if how == "full":
        assert f"{(stop_at - 1) // 3} of 3 shards are done" in error.value.kept
    assert not [file for file in out.iterdir() if file.suffix == ".tmp"]
    assert len(list(out.glob("*.tar"))) == (stop_at - 1) // 3
    if how == "killed":
        (out / ".shard-000001.tar-1.tmp").write_bytes(b"half")
        (out / "shard-000000.tar.index").unlink(missing_ok=True)  # between the shard and its table
    monkeypatch.undo()
    write_shards(_options(folder, out), silent=True)
    assert _digests(out) == whole


def test_a_shard_that_was_cut_off_afterwards_is_written_anew(folder: Path, tmp_path: Path) -> None:
    """As by a copy that was not finished."""
    out = write_shards(_options(folder, tmp_path / "out"), silent=True)
    whole = _digests(out)
    for name, size in (("shard-000001.tar", 700), ("shard-000002.tar.index", 100)):
        (out / name).write_bytes((out / name).read_bytes()[:size])
    write_shards(_options(folder, out), silent=True)
    assert _digests(out) == whole


def test_shards_do_not_lie_among_the_images(folder: Path) -> None:
    before = set(folder.rglob("*"))
    for out in (folder, folder / "shards", folder / "cat" / ".." / "dog"):
        with pytest.raises(UserError, match=r"out must be outside of data\.train"):
            write_shards(_options(folder, out), silent=True)
    assert set(folder.rglob("*")) == before


def test_arrays_are_no_image_files(tmp_path: Path) -> None:
    (tmp_path / "arrays").mkdir()
    for number in range(4):
        np.save(tmp_path / "arrays" / f"{number}.npy", np.zeros((4, 8, 8), np.uint8))
    with pytest.raises(UserError, match=r"received data\.train='.*' with arrays, such as '0\.npy'"):
        write_shards(_options(tmp_path / "arrays", tmp_path / "out"), silent=True)
    assert not (tmp_path / "out").exists()


def test_size_cuts_shards(folder: Path, tmp_path: Path) -> None:
    options = [option for option in _options(folder, tmp_path / "out") if "per_shard" not in option]
    out = write_shards([*options, "shard_mb=0.02"], silent=True)
    sizes = [file.stat().st_size for file in out.glob("*.tar")]
    assert len(sizes) > 1
    assert max(sizes) <= 0.02 * 2**20


def test_images_without_labels(folder: Path, tmp_path: Path) -> None:
    out = write_shards(_options(folder / "cat", tmp_path / "out"), silent=True)
    assert (len(_load(out).train), _load(out).classes) == (3, None)


def test_unreadable_files(folder: Path, tmp_path: Path) -> None:
    (folder / "cat" / "0.png").write_bytes(b"damaged")
    with pytest.raises(UserError, match="1 of 9"):
        write_shards(_options(folder, tmp_path / "out"), silent=True)
    assert not list((tmp_path / "out").glob("*"))
    out = write_shards(_options(folder, tmp_path / "out", "data.on_error=skip"), silent=True)
    assert len(_load(out).train) == 8


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder, out: (out / "other.txt").write_text("1"), "must be an empty or new folder"),
        (lambda folder, out: (out / "index.json").write_text("{}"), "holds others (index.json)"),
        (lambda folder, out: (out / "begun.json").write_text('{"images": 1}'), "holds others (begun.json)"),
    ],
)
def test_what_is_there_stays(
    change: Callable[[Path, Path], Any], message: str, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    change(folder, out)
    before = _digests(out)
    with pytest.raises(UserError) as error:
        write_shards(_options(folder, out), silent=True)
    assert message in str(error.value)
    assert _digests(out) == before


def test_a_file_that_changes_meanwhile(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add = writing._add

    def adding(*rest: Any) -> None:
        add(*rest)
        for file in folder.rglob("*.*"):
            file.write_bytes(b"x")

    monkeypatch.setattr(writing, "_add", adding)
    with pytest.raises(UserError, match="has 1 bytes and had"):
        write_shards(_options(folder, tmp_path / "out"), silent=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["out=x"], "received no data.train"),
        (
            ["out=x", "data=huggingface"],
            "no data.train, and data=huggingface; set data.train=FOLDER, and leave data= out",
        ),
        (["data.train=x"], "out"),
        (["data.train=x", "out=y", "data.test=z"], "received data.test=z"),
        (["data.train=x", "out=y", "shard_mb=0"], "shard_mb must be"),
        (["data.train=nowhere-at-all", "out=y"], "does not exist"),
        (["data=digits", "data.train=nowhere-at-all", "out=y"], "data.train is read with"),
    ],
)
def test_wrong_overrides(
    overrides: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["shards", *overrides]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_shards_elsewhere_are_indexed_by_what_stands_beside_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    out = write_shards(_options(folder, tmp_path / "out"), silent=True)
    memory.store.clear()
    for file in out.iterdir():
        memory.pipe(f"/bucket/{file.name}", file.read_bytes())
    local = _load(out, "data.cache_mb=0")
    monkeypatch.setattr("ssl_zoo.data.shards.tables.scan_shard", None)  # not called
    data = load_data(
        compose(
            [
                "data=webdataset",
                "data.train=memory://bucket/*.tar",
                f"data.root={tmp_path / 'c'}",
                "data.cache_mb=0",
            ]
        ).data
    )
    assert not list((tmp_path / "c").rglob("shard.tar"))  # nothing was fetched
    monkeypatch.undo()
    for contents in (b"", b"damaged"):  # as is what cannot be read
        memory.pipe("/bucket/shard-000001.tar.index", contents)
        overrides = ["data=webdataset", "data.train=memory://bucket/*.tar", "data.cache_mb=0"]
        again = load_data(compose([*overrides, f"data.root={tmp_path / f'd{len(contents)}'}"]).data)
        assert again.digest == local.digest
    assert (data.digest, data.classes) == (local.digest, ("cat", "dog"))
    for ours, theirs in zip(data.train.plain_batches(8, 3), local.train.plain_batches(8, 3), strict=True):
        assert ours.equal(theirs)
    memory.store.clear()
