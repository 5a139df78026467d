"""An embedding that was stopped goes on, and comes to the same to the bit."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.embeddings import COUNT, contents, embedding, make_pictures, read
from PIL import Image

from ssl_zoo.embedding import outputs, store
from ssl_zoo.embedding.run import embed
from ssl_zoo.embedding.store import Store
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.run_dir.saved_run import SavedRun
from ssl_zoo.terminal import image_progress

pytestmark = pytest.mark.slow


class Killed(Exception):
    """Instead of a kill: nothing more is written."""


def kill_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> None:
    """Ends an embedding as SIGKILL would, in the middle of writing a batch: without a last commit."""
    seen: list[Any] = []
    append, commit = Store.append, Store.commit

    def dying(self: Store, batch: Any) -> None:
        if len(seen) == batches:
            file = self._open()
            file.write(b"half of a batch")
            file.flush()
            monkeypatch.setattr(Store, "commit", lambda self: None)
            raise Killed
        seen.append(batch)
        append(self, batch)

    monkeypatch.setattr(Store, "append", dying)
    monkeypatch.setattr(Store, "commit", commit)


def position(parts: Path) -> int:
    return int(json.loads((parts / "position.json").read_text())["images"])


@pytest.fixture(scope="module", params=[".npy", ".parquet"])
def whole(
    request: pytest.FixtureRequest, run: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    if request.param == ".parquet":
        pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("whole")
    embed(embedding(run, pictures, folder / f"f{request.param}", *MORE), silent=True)
    return folder


MORE = ("split=all", "data.holdout=0.35")  # 27 and 15 images: a batch of two in the middle


@pytest.mark.parametrize("kills", [(0,), (3, 1, 4), (5, 0, 0, 2), (8,)])
def test_a_killed_embedding_goes_on_to_the_same_bytes(
    whole: Path,
    run: Path,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kills: tuple[int, ...],
) -> None:
    monkeypatch.setattr(store, "PART_IMAGES", 10)  # two batches
    [name] = [path.name for path in whole.iterdir() if path.suffix in (".npy", ".parquet")]
    overrides = embedding(run, pictures, tmp_path / name, *MORE)
    if name == "f.parquet" and len(kills) != 3:
        pytest.skip("what is kept before the end is the same for both kinds")
    done = 0
    for batches in kills:
        with monkeypatch.context() as patch:
            kill_after(patch, batches)
            with pytest.raises(Killed):
                embed(overrides, silent=True)
        file = tmp_path / f"{name}.parts" / "position.json"
        at = position(file.parent) if file.is_file() else 0
        assert at >= done + max(0, 5 * (batches - 2))  # at most the last part is lost
        done = at
        assert not (tmp_path / name).exists()
    embed(overrides, silent=True)
    assert contents(tmp_path) == contents(whole)


@pytest.mark.parametrize("step", range(4))
def test_killed_while_it_finishes(
    whole: Path, run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Between any two of the renames, and in the middle of the final file."""
    [name] = [path.name for path in whole.iterdir() if path.suffix in (".npy", ".parquet")]
    overrides = embedding(run, pictures, tmp_path / name, *MORE)
    with monkeypatch.context() as patch:
        die_at_step(patch, step)
        with pytest.raises(Killed):
            embed(overrides, silent=True)
    assert not (tmp_path / name).exists()
    embed(overrides, silent=True)
    assert contents(tmp_path) == contents(whole)


def die_at_step(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    steps = iter(range(10))
    replace, complete = outputs.os.replace, Store.complete  # type: ignore[attr-defined]

    def dying(self: Store) -> None:
        complete(self)
        if next(steps) == step:
            raise Killed

    def replacing(source: Any, target: Any) -> None:
        if (
            Path(source).name in ("files.csv", "about.json", "out.parquet", "features.npy")
            and next(steps) == step
        ):
            raise Killed
        replace(source, target)

    def chunk(self: Store) -> Any:
        for part in chunks(self):
            yield part
            if next(steps) == step:
                raise Killed

    chunks = Store.chunks
    monkeypatch.setattr(store, "CHUNK", 20)  # three
    monkeypatch.setattr(Store, "chunks", chunk)
    monkeypatch.setattr(Store, "complete", dying)
    monkeypatch.setattr(outputs.os, "replace", replacing)  # type: ignore[attr-defined]


@pytest.mark.skipif(sys.platform != "linux", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("batches", [2, 5])
def test_sigkill(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batches: int
) -> None:
    """A real kill, with worker processes, when a part or two are kept; while it works another start is refused."""
    overrides = [*embedding(run, pictures, tmp_path / "f.npy", *MORE), "data.workers=2"]
    parts, append, context = tmp_path / "f.npy.parts", Store.append, multiprocessing.get_context("fork")
    there = context.Event()
    seen: list[Any] = []

    def halting(self: Store, batch: Any) -> None:
        if len(seen) == batches:
            there.set()
            signal.pause()
        seen.append(batch)
        append(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(store, "PART_IMAGES", 10)
        patch.setattr(Store, "append", halting)
        process = context.Process(target=embed, args=(overrides, True))
        process.start()
    try:
        while not there.wait(0.1):
            assert process.is_alive()
        with pytest.raises(UserError, match=f"is written to by process {process.pid} on "):
            Store(parts, {}, 1, "float32")
    finally:
        process.kill()
        process.join()
    assert process.exitcode == -signal.SIGKILL
    assert position(parts) == 10 * (batches // 2)
    assert not (tmp_path / "f.npy").exists()
    embed(overrides, silent=True)
    embed(embedding(run, pictures, tmp_path / "whole" / "f.npy", *MORE), silent=True)
    found = {name: data for name, data in contents(tmp_path).items() if not name.startswith("whole")}
    assert found == contents(tmp_path / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("workers", [0, 1])
def test_stopping_keeps_what_is_done_and_says_how_to_go_on(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, workers: int
) -> None:
    overrides = [*embedding(run, pictures, tmp_path / "f.npy"), f"data.workers={workers}"]
    append, before = Store.append, signal.getsignal(number)

    def asking(self: Store, batch: Any) -> None:
        append(self, batch)
        if self._end.images == 15:
            signal.raise_signal(number)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", asking)
        with pytest.raises(Interrupted) as stopped:
            embed(overrides, silent=True)
    message = str(stopped.value)
    assert f"stopped after 15 of {COUNT} images" in message
    assert message.endswith(f"continue with the same overrides: ssl-zoo embed {' '.join(overrides)}")
    assert position(tmp_path / "f.npy.parts") == 15
    assert signal.getsignal(number) is before
    embed(overrides, silent=True)
    assert read(tmp_path / "f.npy").features.shape[0] == COUNT


def stop_after_ten(overrides: list[str]) -> None:
    append = Store.append

    def asking(self: Store, batch: Any) -> None:
        append(self, batch)
        if self._end.images >= 10:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Store, "append", asking)
        with pytest.raises(Interrupted):
            embed(overrides, silent=True)


@pytest.fixture(scope="module")
def begun(run: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an embedding of ten images."""
    folder = tmp_path_factory.mktemp("begun")
    stop_after_ten(embedding(run, pictures, folder / "f.npy"))
    return folder / "f.npy.parts"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("layer=projector", r"was begun with layer=backbone, width=.*; received layer=projector, width="),
        ("dtype=float16", "was begun with dtype=float32; received dtype=float16"),
        ("batch_size=4", "was begun with batch_size=5; received batch_size=4"),
        (
            "data.holdout=0.5",
            "was begun with data.holdout=0.0, images=42, files=.*; received data.holdout=0.5, images=",
        ),
        (
            "data.mean=[0.5] data.std=[0.37] data.channels=1",
            r"was begun with mean=\[0.3\]; received mean=\[0.5\]",
        ),
        ("weights=random", "was begun with epoch=1, weights=trained"),
    ],
)
def test_other_words_are_refused(
    run: Path, pictures: Path, begun: Path, tmp_path: Path, override: str, message: str
) -> None:
    overrides = embedding(run, pictures, tmp_path / "f.npy")
    shutil.copytree(begun, tmp_path / "f.npy.parts")
    before = contents(tmp_path)
    changed = [w for w in overrides if w.partition("=")[0] != override.partition("=")[0]]
    with pytest.raises(UserError, match=message):
        embed([*changed, *override.split()], silent=True)
    assert contents(tmp_path) == before


def test_other_weights_and_other_files_are_refused(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_pictures(tmp_path / "pictures", 12)
    overrides = embedding(run, folder, tmp_path / "f.npy")
    stop_after_ten(overrides)
    with monkeypatch.context() as patch:
        patch.setattr(SavedRun, "digest", "x")
        with pytest.raises(UserError, match=r"was begun with run=[0-9a-f]{12}; received run=x"):
            embed(overrides, silent=True)
    (folder / "ant" / "001.png").rename(folder / "ant" / "renamed.png")
    with pytest.raises(UserError, match="was begun with files="):
        embed(overrides, silent=True)
    (folder / "ant" / "renamed.png").rename(folder / "ant" / "001.png")
    embed(
        [*overrides, "data.workers=1", "data.on_error=skip"], silent=True
    )  # what changes no feature may differ


@pytest.mark.parametrize("keeps", ["size", "time"])
def test_a_file_that_was_replaced_meanwhile_is_refused(run: Path, tmp_path: Path, keeps: str) -> None:
    folder = make_pictures(tmp_path / "pictures", 12)
    for file in list(folder.rglob("*.png")):
        Image.open(file).save(file.with_suffix(".bmp"))  # equal shapes are files of equal size
        file.unlink()
    overrides = embedding(run, folder, tmp_path / "f.npy")
    stop_after_ten(overrides)
    file = folder / "ant" / "001.bmp"
    old, times = file.read_bytes(), (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    image = Image.open(file).rotate(180)
    (image if keeps == "size" else image.resize((image.width + 4, image.height))).save(file)
    assert (file.stat().st_size == len(old)) == (keeps == "size")
    if keeps == "time":
        os.utime(file, ns=times)
    with pytest.raises(UserError, match=r"was begun with file_sizes_and_times=[0-9a-f]{12}; received"):
        embed(overrides, silent=True)
    file.write_bytes(old)
    os.utime(file, ns=times)
    embed(overrides, silent=True)


def test_the_same_folder_by_another_path_goes_on(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = make_pictures(tmp_path / "pictures", 12)
    stop_after_ten(embedding(run, pictures, tmp_path / "f.npy"))
    monkeypatch.chdir(tmp_path)
    embed(embedding(run, Path("pictures"), tmp_path / "f.npy"), silent=True)
    assert read(tmp_path / "f.npy").about["rows"] == 12


def test_a_folder_that_is_not_ours_is_left_alone(run: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "f.npy.parts").mkdir()
    (tmp_path / "f.npy.parts" / "precious").write_text("mine")
    with pytest.raises(UserError, match=r"it holds 'precious' and no begun.json"):
        embed(embedding(run, pictures, tmp_path / "f.npy"), silent=True)
    assert contents(tmp_path)["f.npy.parts/precious"] == b"mine"


def test_rows_that_got_lost_are_noticed(run: Path, pictures: Path, begun: Path, tmp_path: Path) -> None:
    overrides = embedding(run, pictures, tmp_path / "f.npy")
    shutil.copytree(begun, tmp_path / "f.npy.parts")
    features = tmp_path / "f.npy.parts" / "features.npy"
    features.write_bytes(features.read_bytes()[:-1])
    with pytest.raises(UserError, match="must hold the 10 rows that were written to it"):
        embed(overrides, silent=True)


def damage(folder: Path, *names: str) -> None:
    """Cuts files off behind a header that is whole."""
    for name in names:
        (folder / name).write_bytes((folder / name).read_bytes()[:-30])


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Pictures of which two JPEGs turn out to be unreadable when they are decoded, and one file at once."""
    folder = make_pictures(tmp_path / "pictures", 30)
    for name in ("ant/014.png", "bee/003.png"):
        image = Image.open(folder / name)
        (folder / name).unlink()
        image.save((folder / name).with_suffix(".jpg"))
    damage(folder, "ant/014.jpg", "bee/003.jpg")
    return folder


def test_unreadable_images_are_left_out_where_asked(
    run: Path, damaged: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (damaged / "bee" / "000.png").write_text("no image")
    with pytest.raises(UserError, match=r"1 of 30 in .* are not: 'bee/000.png'"):
        embed(embedding(run, damaged, tmp_path / "f.npy"), silent=True)
    assert not (tmp_path / "f.npy.parts").exists()
    found = read(embed(embedding(run, damaged, tmp_path / "f.npy", "data.on_error=skip")))
    printed = "".join(capsys.readouterr())
    assert "left out: 1 files that are no readable images, such as" in printed
    assert "left out: 'ant/014.jpg' (" in printed
    assert "2 more left out that turned out to be unreadable" in printed
    assert found.about["left_out"] == 3
    assert found.about["rows"] == len(found.features) == len(found.files) == 27
    for name in ("ant/014.jpg", "bee/003.jpg", "bee/000.png"):
        assert name not in found.files
        (damaged / name).unlink()
    alone = read(embed(embedding(run, damaged, tmp_path / "readable.npy"), silent=True))
    assert found.files == alone.files
    assert np.allclose(found.features, alone.features, rtol=1e-4, atol=1e-5)


def test_an_unreadable_image_halfway_keeps_what_is_done(
    run: Path, damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    overrides = embedding(run, damaged, tmp_path / "f.npy")
    with pytest.raises(
        UserError, match=r"014.jpg' is not: .* or set data.on_error=skip .*; the 5 of 30 images that are"
    ):
        embed(overrides, silent=True)
    assert position(tmp_path / "f.npy.parts") == 5
    forgiving = [*overrides, "data.on_error=skip"]
    with monkeypatch.context() as patch:
        kill_after(patch, 3)
        patch.setattr(store, "PART_IMAGES", 5)
        with pytest.raises(Killed):
            embed(forgiving, silent=True)
    assert position(tmp_path / "f.npy.parts") == 20
    embed(forgiving, silent=True)
    embed([*embedding(run, damaged, tmp_path / "whole" / "f.npy"), "data.on_error=skip"], silent=True)
    for name in ("f.npy", "f.files.csv", "f.json"):
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_lines_where_there_is_no_terminal(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(image_progress, "LINE_SECONDS", 0.0)
    embed(embedding(run, pictures, tmp_path / "f.npy"))
    out, error = capsys.readouterr()
    lines = error.splitlines()
    assert lines[1].startswith("5/42 images · ")
    assert lines[1].endswith(" s left")
    assert out.startswith(f"{tmp_path / 'f.npy'}: 42 x ")
    embed(embedding(run, pictures, tmp_path / "silent.npy"), silent=True)
    assert not "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["f.npy", "f.parquet"])
def test_a_finished_embedding_is_not_done_again(
    run: Path,
    pictures: Path,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if name == "f.parquet":
        pytest.importorskip("pyarrow")
    overrides = embedding(run, pictures, tmp_path / name)
    embed(overrides, silent=True)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr("ssl_zoo.embedding.run.Store", None)
        assert embed(overrides) == tmp_path / name
        assert "finished before with the same settings, weights and images" in capsys.readouterr().out
        for other in (["size=16"], ["layer=projector"]):
            with pytest.raises(UserError, match="exists already"):
                embed([*overrides, *other], silent=True)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}


@pytest.mark.parametrize("name", ["f.npy", "f.parquet"])
def test_what_a_kill_at_the_very_end_leaves_is_removed_by_the_next_start(
    name: str, run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = embedding(run, pictures, tmp_path / name)
    with monkeypatch.context() as killed:
        killed.setattr(Store, "remove", Store.close)
        embed(words, silent=True)
    assert (tmp_path / f"{name}.parts").is_dir()
    before = (tmp_path / name).read_bytes()
    embed(words, silent=True)
    assert not (tmp_path / f"{name}.parts").exists()
    assert (tmp_path / name).read_bytes() == before


def test_a_full_disk_is_named(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing to a file that is open raises an error without its name."""

    def full(self: Store, batch: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Store, "append", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        embed(embedding(run, pictures, tmp_path / "f.npy"), silent=True)
    assert caught.value.filename == str(tmp_path / "f.npy")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x" * 246 + ".npy", "x" * 244 + ".parquet", "\u00e9" * 124 + ".npy"])
def test_a_name_that_leaves_no_room_for_what_comes_with_it_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="in the 255 bytes of a file's name; received "):
        outputs.check_out(tmp_path / name)
    assert list(tmp_path.iterdir()) == []
