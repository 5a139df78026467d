"""Folders of images, against torchvision's ImageFolder, and everything that can be wrong with them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from ssl_zoo.data import FileSplit, MemorySplit, decode, load_data
from ssl_zoo.errors import UserError

# From Python 3.12 on; the worker processes start no threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

STORAGES = pytest.mark.parametrize("cache_mb", [64.0, 0.0], ids=["memory", "files"])


def _message(config: Any) -> Any:
    with pytest.raises(UserError) as error:
        load_data(config)
    return str(error.value)


def _assert_phrases(message: Any, *phrases: Any) -> None:
    assert all(phrase in message for phrase in phrases), message


# What is read ------------------------------------------------------------------------------------------
@STORAGES
def test_classes_labels_names_and_pixels_are_torchvisions(
    tree: Any, noise: Any, folder_config: Any, cache_mb: Any
) -> None:
    root = tree(cat=3, ant=2, Zebra=2, **{"cat-b": 1})
    noise(root / "cat" / "0" / "x.png")
    noise(root / "cat" / "deep" / "er" / "x.JPG")
    noise(root / "cat" / "deep-1.bmp")
    noise(root / "ant" / "9" / "0.webp", lossless=True)
    data, reference = load_data(folder_config(root, cache_mb=cache_mb)), ImageFolder(root)
    assert isinstance(data.train, MemorySplit if cache_mb else FileSplit)
    assert data.classes == tuple(reference.classes) == ("Zebra", "ant", "cat", "cat-b")
    assert data.train.labels.tolist() == reference.targets
    assert data.train.labels.dtype == torch.int64
    assert data.train.names == tuple(os.path.relpath(path, root) for path, _ in reference.samples)
    assert data.labelled is data.train
    assert data.test is None
    (plain,) = data.train.plain_batches(12, 100)
    for image, (expected, _) in zip(plain, reference, strict=True):
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))


@STORAGES
def test_a_flat_folder_has_no_labels(tmp_path: Path, noise: Any, folder_config: Any, cache_mb: Any) -> None:
    for name in ("b.png", "a.jpg", ".hidden.png"):
        noise(tmp_path / name)
    data = load_data(folder_config(tmp_path, cache_mb=cache_mb))
    assert data.train.names == ("a.jpg", "b.png")
    assert data.train.labels is data.labelled is data.test is data.classes is None


@STORAGES
@pytest.mark.parametrize("channels", [1, 3])
def test_channels(tree: Any, noise: Any, folder_config: Any, channels: int, cache_mb: Any) -> None:
    root = tree(cat=1, dog=1)
    noise(root / "dog" / "gray.png", mode="L")
    data = load_data(folder_config(root, channels=channels, cache_mb=cache_mb))
    assert data.channels == data.train.channels == channels
    (plain,) = data.train.plain_batches(12, 9)
    expected = Image.open(root / "cat" / "00.png").convert("L" if channels == 1 else "RGB")
    assert np.array_equal(plain[0].permute(1, 2, 0).squeeze(-1).numpy(), np.asarray(expected))


@STORAGES
def test_hidden_and_system_files_are_ignored(tree: Any, folder_config: Any, cache_mb: Any) -> None:
    root = tree(cat=1, dog=1)
    for name in (
        ".DS_Store",
        "cat/.DS_Store",
        "cat/Thumbs.db",
        "dog/desktop.ini",
        ".git/config",
        "cat/.cache/x.png",
        "__MACOSX/x.png",
    ):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text("junk")
    assert len(load_data(folder_config(root, cache_mb=cache_mb)).train) == 2


def test_links_are_followed_but_not_in_circles(tree: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=2)
    (root / "owl").symlink_to(root / "dog", target_is_directory=True)
    (root / "cat" / "circle").symlink_to(root, target_is_directory=True)
    assert load_data(folder_config(root)).train.labels.tolist() == [0, 1, 1, 2, 2]


def test_home_is_expanded(tree: Any, folder_config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree(cat=1, dog=1).parent))
    assert len(load_data(folder_config("~/train")).train) == 2


# Where it is kept --------------------------------------------------------------------------------------
def test_small_images_of_one_size_are_kept_in_memory(tree: Any, folder_config: Any) -> None:
    data = load_data(folder_config(tree(cat=2, dog=2, size=(96, 200))))
    assert data.train.images.shape == (4, 3, 200, 96)  # type: ignore[attr-defined]


@pytest.mark.parametrize("why", ["large", "sizes", "cache"])
def test_others_stay_files(why: str, tree: Any, noise: Any, folder_config: Any) -> None:
    root = tree(cat=2, dog=2, size=(97, 97) if why == "large" else (12, 12))
    if why == "sizes":
        noise(root / "dog" / "other.png", (12, 13))
    megabytes = 4 * 3 * 12 * 12 / 2**20
    data = load_data(folder_config(root, cache_mb=megabytes * (0.999 if why == "cache" else 1000)))
    assert isinstance(data.train, FileSplit)
    if why == "cache":
        assert isinstance(load_data(folder_config(root, cache_mb=megabytes)).train, MemorySplit)


def test_training_and_test_images_share_the_cache(tree: Any, folder_config: Any) -> None:
    train, test = tree(cat=2, dog=2), tree("test", cat=1, dog=1)
    megabytes = 6 * 3 * 12 * 12 / 2**20
    assert isinstance(load_data(folder_config(train, test, cache_mb=megabytes)).test, MemorySplit)
    assert isinstance(load_data(folder_config(train, test, cache_mb=megabytes * 0.99)).test, FileSplit)


@STORAGES
def test_worker_processes_read_the_same(
    tree: Any, folder_config: Any, monkeypatch: pytest.MonkeyPatch, cache_mb: Any
) -> None:
    root = tree(cat=5, dog=4)
    (root / "cat" / "01.png").write_text("broken")
    monkeypatch.setattr("ssl_zoo.data.cache._FEW", 0)
    monkeypatch.setattr("ssl_zoo.data.cache._CHUNK", 2)
    one, two = (
        load_data(folder_config(root, cache_mb=cache_mb, on_error="skip", workers=workers))
        for workers in (0, 2)
    )
    assert one.train.names == two.train.names
    assert one.skipped == two.skipped == (str(root / "cat" / "01.png"),)
    for data in (one, two):
        (plain,) = data.train.plain_batches(12, 9)
        for name, image in zip(data.train.names, plain, strict=True):
            assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(Image.open(root / name)))


# The test set ------------------------------------------------------------------------------------------
def test_test_labels_are_those_of_the_training_classes(tree: Any, folder_config: Any) -> None:
    data = load_data(folder_config(tree(ant=1, bee=1, cat=1), tree("test", bee=2, cat=1)))
    assert data.test.labels.tolist() == [1, 1, 2]


def test_a_holdout_never_touches_the_test_set(tree: Any, folder_config: Any) -> None:
    data = load_data(folder_config(tree(cat=10, dog=20), "/no/such/folder", holdout=0.2))
    assert torch.bincount(data.test.labels).tolist() == [2, 4]
    assert not set(data.test.names) & set(data.train.names)
    assert len(data.test) + len(data.train) == 30
    assert data.labelled is data.train


def test_holdout_and_limit_without_labels(tmp_path: Path, noise: Any, folder_config: Any) -> None:
    for number in range(20):
        noise(tmp_path / f"{number}.png", seed=number)
    data = load_data(folder_config(tmp_path, holdout=0.25, limit=9))
    assert (len(data.train), len(data.test)) == (9, 5)
    assert data.labelled is data.test.labels is None
    assert not set(data.test.names) & set(data.train.names)


@STORAGES
@pytest.mark.parametrize("holdout", [0.0, 0.25])
def test_a_limit_reads_the_images_it_takes_and_no_others(
    tree: Any, folder_config: Any, cache_mb: float, holdout: float
) -> None:
    root = tree(cat=10, dog=12)
    keys = {"cache_mb": cache_mb, "holdout": holdout}
    expected = load_data(folder_config(root, limit=6, **keys))
    taken = {*expected.train.names, *(expected.test.names if holdout else ())}
    for file in root.rglob("*.png"):
        if file.relative_to(root).as_posix() not in taken:
            file.write_text("no image")
    data = load_data(folder_config(root, limit=6, **keys))
    for split, was in ((data.train, expected.train), (data.test, expected.test)):
        if was is None:
            assert split is None
            continue
        assert split.names == was.names
        (pixels,), (before,) = split.plain_batches(12, 100), was.plain_batches(12, 100)
        assert torch.equal(pixels, before)
    damaged = root / expected.train.names[0]
    damaged.write_text("no image")
    assert str(damaged.relative_to(root)) in _message(folder_config(root, limit=6, **keys))


@pytest.mark.parametrize("flat", ["train", "test"])
def test_a_test_set_needs_classes_on_both_sides(
    flat: str, tree: Any, tmp_path: Path, noise: Any, folder_config: Any
) -> None:
    folders = {"train": tree(cat=1, dog=1), "test": tree("test", cat=1)}
    noise(tmp_path / "flat" / "a.png")
    folders[flat] = tmp_path / "flat"
    _assert_phrases(
        _message(folder_config(**folders)),
        "a test set needs class folders",
        f"data.{flat} has none",
        "leave data.test out",
    )


def test_unknown_test_classes_are_refused(tree: Any, folder_config: Any) -> None:
    message = _message(folder_config(tree(cat=1, dog=1), tree("test", cat=1, dogs=1, owl=1)))
    _assert_phrases(
        message, "data.test must have the classes of data.train (cat, dog)", "'dogs' and 1 more", "rename"
    )
    assert message.endswith("did you mean 'dog'?")


# Files that are no images ------------------------------------------------------------------------------
def _spoil(root: Any, noise: Any) -> Any:
    (root / "cat" / "notes.heic").write_text("notes")
    (root / "other").write_text("notes")
    (root / "cat" / "labels.csv").write_text("plainly no image")
    (root / "dog" / "empty.png").touch()
    image = noise(root / "dog" / "cut.png")
    image.write_bytes(image.read_bytes()[:60])
    return ["other", "cat/notes.heic", "dog/cut.png", "dog/empty.png"]


@STORAGES
def test_files_that_cannot_be_read_are_named(
    tree: Any, noise: Any, folder_config: Any, cache_mb: Any
) -> None:
    root = tree(cat=3, dog=3)
    bad = _spoil(root, noise)
    message = _message(folder_config(root, cache_mb=cache_mb))
    _assert_phrases(message, "every file below data.train must be a readable image", "4 of 10", *bad)
    _assert_phrases(message, "not an image by its suffix", "cannot be identified", "data.on_error=skip")


@STORAGES
def test_or_left_out(tree: Any, noise: Any, folder_config: Any, cache_mb: Any) -> None:
    root, test = tree(cat=3, dog=3), tree("test", cat=1, dog=1)
    bad = _spoil(root, noise)
    (test / "cat" / "broken.png").touch()
    data = load_data(folder_config(root, test, cache_mb=cache_mb, on_error="skip"))
    assert data.skipped == (*(str(root / name) for name in bad), str(test / "cat" / "broken.png"))
    assert data.train.names == tuple(f"{kind}/0{n}.png" for kind in ("cat", "dog") for n in range(3))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(data.test) == 2
    (plain,) = data.train.plain_batches(12, 9)
    assert np.array_equal(plain[5].permute(1, 2, 0).numpy(), np.asarray(Image.open(root / "dog" / "02.png")))


def test_only_the_first_few_are_named(tree: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1)
    for number in range(12):
        (root / "cat" / f"{number:02d}.psd").touch()
    message = _message(folder_config(root))
    _assert_phrases(message, "12 of 14", "cat/00.psd", "cat/04.psd", "and 7 more")
    assert "cat/05.psd" not in message


def test_a_first_image_that_is_broken_does_not_decide_the_size(tree: Any, folder_config: Any) -> None:
    root = tree(cat=2, dog=2)
    (root / "cat" / "00.png").write_bytes(b"")
    data = load_data(folder_config(root, on_error="skip"))
    assert isinstance(data.train, MemorySplit)
    assert len(data.train) == 3


@STORAGES
def test_when_nothing_can_be_read_skipping_does_not_help(
    tmp_path: Path, folder_config: Any, cache_mb: Any
) -> None:
    (tmp_path / "a.png").touch()
    message = _message(folder_config(tmp_path, cache_mb=cache_mb, on_error="skip"))
    _assert_phrases(message, "1 of 1", "a.png")
    assert "on_error" not in message


@STORAGES
def test_a_class_without_readable_images_is_refused(tree: Any, folder_config: Any, cache_mb: Any) -> None:
    root = tree(cat=1, dog=1)
    (root / "dog" / "00.png").write_text("broken")
    _assert_phrases(
        _message(folder_config(root, cache_mb=cache_mb, on_error="skip")),
        "each class folder of data.train must hold images",
        "'dog'",
        "move the folder elsewhere",
    )


@STORAGES
def test_or_left_out_as_a_class_when_others_are_left(tree: Any, folder_config: Any, cache_mb: Any) -> None:
    root, test = tree(ant=2, bee=1, cat=2, dog=1), tree("test", ant=1, dog=1)
    (root / "bee" / "00.png").write_text("broken")
    (root / "empty").mkdir()
    message = _message(
        folder_config(tree("other", ant=1, bee=1), cache_mb=cache_mb, on_error="skip", holdout=0.5)
    )
    assert "class 'ant' and 1 other classes have one" in message
    data = load_data(folder_config(root, test, cache_mb=cache_mb, on_error="skip"))
    assert data.classes == ("ant", "cat", "dog")
    assert data.emptied == ("bee", "empty")
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2]
    assert data.test.labels.tolist() == [0, 2]
    (root / "bee" / "00.png").unlink()
    _assert_phrases(
        _message(folder_config(root, cache_mb=cache_mb)),
        "'bee' and 1 more",
        "data.on_error=skip to leave the class out",
    )


@STORAGES
def test_files_that_are_plainly_no_images_are_passed_over(
    tree: Any, folder_config: Any, cache_mb: Any
) -> None:
    root, test = tree(cat=2, dog=2), tree("test", cat=1, dog=1)
    for path in (
        root / "README.txt",
        root / "cat" / "labels.CSV",
        root / "LICENSE",
        test / "dog" / "boxes.json",
    ):
        path.write_text("no image")
    data = load_data(folder_config(root, test, cache_mb=cache_mb))
    assert len(data.train) == 4
    assert data.skipped == ()
    names = [os.path.relpath(path, root.parent) for path in data.passed_over]
    assert names == ["train/LICENSE", "train/README.txt", "train/cat/labels.CSV", "test/dog/boxes.json"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@STORAGES
def test_what_cannot_be_opened_is_named_and_not_waited_for(
    tree: Any, folder_config: Any, cache_mb: Any
) -> None:
    root = tree(cat=2, dog=2)
    os.mkfifo(root / "cat" / "pipe.png")
    (root / "cat" / "gone.png").symlink_to(root / "nowhere.png")
    (root / "dog" / "self.png").symlink_to(root / "dog" / "self.png")
    message = _message(folder_config(root, cache_mb=cache_mb))
    _assert_phrases(
        message, "3 of 7", "'cat/pipe.png' (a pipe, socket or device)", "(a link that leads nowhere)"
    )
    _assert_phrases(message, "'dog/self.png' (a link that leads in a circle)", "data.on_error=skip")
    data = load_data(folder_config(root, cache_mb=cache_mb, on_error="skip"))
    assert (len(data.train), len(data.skipped)) == (4, 3)


def test_folders_that_link_to_one_another_are_walked_once(tree: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1)
    (root / "cat" / "to_dog").symlink_to(root / "dog", target_is_directory=True)
    (root / "dog" / "to_cat").symlink_to(root / "cat", target_is_directory=True)
    names = load_data(folder_config(root)).train.names
    assert names == ("cat/00.png", "cat/to_dog/00.png", "dog/00.png", "dog/to_cat/00.png")


def test_avif_is_read_where_pillow_can(
    tree: Any, noise: Any, folder_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(cat=1, dog=1)
    if decode.READS_AVIF:
        noise(root / "dog" / "new.avif")
        assert len(load_data(folder_config(root)).train) == 3
    else:
        (root / "dog" / "new.avif").touch()
    monkeypatch.setattr("ssl_zoo.data.walk.SUFFIXES", tuple(s for s in decode.SUFFIXES if s != ".avif"))
    _assert_phrases(_message(folder_config(root)), "'dog/new.avif' (read by Pillow 11.3 or later")


# Test images that are training images -------------------------------------------------------------------
@pytest.mark.parametrize("how", ["path", "link", "copy", "links", "part"])
def test_training_images_are_no_test_set(tree: Any, tmp_path: Path, folder_config: Any, how: str) -> None:
    root, test = tree(cat=4, dog=4), tmp_path / "other"
    if how == "path":
        test = root / ".." / "train"
    elif how == "link":
        test.symlink_to(root, target_is_directory=True)
    elif how == "copy":
        shutil.copytree(root, test)
    elif how == "part":
        shutil.copytree(root / "dog", test / "dog")
        os.rename(test / "dog" / "00.png", test / "dog" / "another name.png")
    else:
        for name in ("cat/00.png", "dog/01.png"):
            (test / name).parent.mkdir(parents=True)
            (test / name).symlink_to(root / name)
    message = _message(folder_config(root, test))
    _assert_phrases(message, "test images must be others than those that are trained on", "data.holdout=0.2")
    count = {
        "path": "one folder",
        "link": "one folder",
        "copy": "8 of 8",
        "links": "2 of 2",
        "part": "4 of 4",
    }
    assert count[how] in message


def test_some_duplicates_are_the_data_sets_own(
    tree: Any, folder_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, test = tree(cat=4, dog=4), tree("test", cat=4, dog=4)
    for number in range(4):
        shutil.copy(root / "cat" / f"0{number}.png", test / "cat")
    assert len(load_data(folder_config(root, test)).test) == 8
    (test / "dog" / "00.png").write_bytes(
        (root / "dog" / "00.png").read_bytes()[:-1] + b"x"
    )  # of the same size
    assert len(load_data(folder_config(root, test, on_error="skip")).train) == 8
    shutil.copy(root / "dog" / "00.png", test / "dog")
    assert "5 of 8 images in data.test" in _message(folder_config(root, test))
    monkeypatch.setattr("ssl_zoo.data.overlap._LOOKED_AT", 4)
    assert "3 of 4 images looked at, of 8" in _message(folder_config(root, test))


def test_a_truncated_jpeg_is_found_when_it_is_cached(tree: Any, noise: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1, size=(64, 64))
    image = noise(root / "dog" / "cut.jpg", (64, 64), quality=95)
    image.write_bytes(image.read_bytes()[:-2000])
    _assert_phrases(_message(folder_config(root)), "dog/cut.jpg", "truncated")


def test_and_when_files_are_skipped(tree: Any, noise: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1, size=(64, 64))
    image = noise(root / "dog" / "cut.jpg", (64, 64), quality=95)
    image.write_bytes(image.read_bytes()[:-2000])
    data = load_data(folder_config(root, cache_mb=0.0, on_error="skip"))
    assert isinstance(data.train, FileSplit)
    assert data.skipped == (str(image),)
    assert len(data.train) == 2
    assert len(load_data(folder_config(root, cache_mb=0.0, on_error="skip"), whole=False).train) == 3


# Folders that are wrong --------------------------------------------------------------------------------
def test_train_must_be_set(folder_config: Any) -> None:
    _assert_phrases(_message(folder_config()), "data.train is not set", "set data.train=FOLDER")


@pytest.mark.parametrize("key", ["train", "test"])
def test_folders_must_exist_and_hold_images(key: str, tree: Any, tmp_path: Path, folder_config: Any) -> None:
    good = tree(cat=1, dog=1)
    cases = {
        "missing": "does not exist",
        "file": "is no folder",
        "empty": "no files",
        "texts": "2 other files, such as '1.txt'",
    }
    (tmp_path / "file").touch()
    (tmp_path / "empty" / "class").mkdir(parents=True)
    (tmp_path / "texts").mkdir()
    for name in "12":
        (tmp_path / "texts" / f"{name}.txt").touch()
    for name, phrase in cases.items():
        folders = {"train": good, key: tmp_path / name}
        _assert_phrases(
            _message(folder_config(**folders)),
            f"data.{key} must",
            str(tmp_path / name),
            phrase,
            f"set data.{key}=",
        )


def test_images_beside_class_folders_are_refused(tree: Any, noise: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1)
    noise(root / "stray.png")
    _assert_phrases(
        _message(folder_config(root)), "not both", "1 images such as 'stray.png'", "'cat'", "move the images"
    )


def test_splits_are_not_taken_for_classes(tree: Any, folder_config: Any) -> None:
    root = tree("data", train=1, val=1)
    _assert_phrases(
        _message(folder_config(root)), "train, val", "look like splits", f"set data.train={root}/train"
    )


def test_a_single_class_is_refused(tree: Any, folder_config: Any) -> None:
    root = tree(photos=2)
    _assert_phrases(
        _message(folder_config(root)), "two or more", "'photos' only", f"set data.train={root}/photos"
    )


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tree: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1)
    (root / "dog").chmod(0)
    try:
        _assert_phrases(_message(folder_config(root)), "must be readable", str(root / "dog"), "permissions")
    finally:
        (root / "dog").chmod(0o755)


def test_a_folder_that_vanishes_while_it_is_walked_is_named(
    tree: Any, folder_config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tree(cat=1, dog=1)
    scandir = os.scandir

    def vanish(path: Any) -> Any:
        if str(path).endswith("dog"):
            shutil.rmtree(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", vanish)
    _assert_phrases(_message(folder_config(root)), "must be readable", str(root / "dog"), "No such file")


def test_nothing_is_created(tree: Any, folder_config: Any) -> None:
    root = tree(cat=1, dog=1)
    (root / "x.heic").touch()
    before = sorted(root.parent.rglob("*"))
    _message(folder_config(root))
    load_data(folder_config(root, on_error="skip"))
    assert sorted(root.parent.rglob("*")) == before
