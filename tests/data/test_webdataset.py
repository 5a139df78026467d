"""data=webdataset: images in shards on disk, elsewhere and from commands; labels, order, damage, copies."""

from __future__ import annotations

import errno
import gzip
import json
import os
import pickle
import shlex
import shutil
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
import torch
from helpers.shards import png, write_shards, write_tar

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import ViewConfig, WebDatasetConfig
from ssl_zoo.data import MemorySplit, load_data
from ssl_zoo.data.decode import read_image, to_array
from ssl_zoo.data.raster import Encoded
from ssl_zoo.data.shards import remote, sample
from ssl_zoo.data.shards import split as split_module
from ssl_zoo.data.shards.patterns import Shard, list_shards
from ssl_zoo.data.shards.split import ShardSplit
from ssl_zoo.data.shards.spool import Spool
from ssl_zoo.errors import UserError

VIEW = [ViewConfig(size=8), ViewConfig(size=8)]


@pytest.fixture
def config(tmp_path: Path) -> Any:
    """A WebDatasetConfig whose images are not kept in memory."""

    def make(train: Any, **keys: Any) -> WebDatasetConfig:
        given = {"cache_mb": 0.0, "workers": 0, "root": str(tmp_path / "cache"), **keys}
        return WebDatasetConfig(name="shards", source="webdataset", train=str(train), **given)

    return make


def _pixels(split: Any) -> list[Any]:
    """The images as they are, by position."""
    return [to_array(split.reader.read(position)) for position in range(len(split))]


def _expected(number: int) -> Any:
    return to_array(read_image(Encoded("x.png", png(number)), 3))


def _command(path: Path) -> str:
    """A command that writes a file to its output, on any system."""
    code = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
    return f"pipe:{shlex.quote(sys.executable)} -c {shlex.quote(code)} {path}"


# Which shards


def test_images_are_those_in_the_shards_in_order(tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    for pattern in (folder, folder / "*.tar", f"file://{folder}/s-*.tar"):
        data = load_data(config(pattern))
        assert isinstance(data.train, ShardSplit)
        assert [np.array_equal(a, _expected(n)) for n, a in enumerate(_pixels(data.train))] == [True] * 12
        assert data.train.labels.tolist() == [number % 2 for number in range(12)]
        assert data.labelled is data.train
        assert data.classes == ("class 0", "class 1")
        assert list(data.train.names) == [f"{number:04d}.png" for number in range(12)]
        assert data.test is None


def test_braces_are_expanded_in_their_order(tmp_path: Path, config: Any) -> None:
    pytest.importorskip("braceexpand")
    folder = write_shards(tmp_path / "s")
    data = load_data(config(f"{folder}/s-{{002..000}}.tar"))
    assert [int(name[:4]) for name in data.train.names] == [*range(8, 12), *range(5, 8), *range(5)]
    data = load_data(config(f"{folder}/s-00{{2,0}}.tar"))
    assert len(data.train) == 9


def test_braces_need_no_quotes_on_the_command_line() -> None:
    pattern = "/nowhere/s-{000..099}.tar"
    assert compose(["data=webdataset", f"data.train={pattern}"]).data.train == pattern


def test_braceexpand_that_is_not_installed(
    tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "braceexpand", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-zoo\[webdataset\]'"):
        load_data(config(tmp_path / "s-{0..3}.tar"))


@pytest.mark.parametrize("pattern", ["nowhere-*.tar", "nowhere.tar", "memory://nowhere/*.tar", "empty"])
def test_no_shards(pattern: str, tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"data\.train must name shards.* there are none"):
        load_data(config(pattern))


def test_a_protocol_without_a_library(config: Any) -> None:
    with pytest.raises(UserError, match="read by fsspec with the library for them"):
        load_data(config("nosuch://bucket/a.tar"))


def test_a_shard_that_is_named_twice(tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("braceexpand")
    folder = write_shards(tmp_path / "s")
    monkeypatch.chdir(tmp_path)
    for pattern in (
        f"{folder}/s-{{000,001,000}}.tar",
        f"{folder}/{{s-*,*-001}}.tar",
        f"{{s,{folder}}}/s-000.tar",
    ):
        with pytest.raises(UserError, match=r"must name each shard once, .*/s-00[01]\.tar' again"):
            load_data(config(pattern))
    with pytest.raises(UserError, match="test images must be others"):
        load_data(config("s/*.tar", test=f"{folder}/s-000.tar"))


def test_one_of_several_patterns_that_names_nothing(tmp_path: Path, config: Any) -> None:
    pytest.importorskip("braceexpand")
    folder = write_shards(tmp_path / "s")
    with pytest.raises(UserError, match=r"1 of 4 in .* are not: '.*/t-\*\.tar' \(no shard there\)"):
        load_data(config(f"{folder}/{{s,t}}-*.tar"))


# Labels


def test_a_number_is_one_class_in_all_shards(tmp_path: Path, config: Any) -> None:
    pytest.importorskip("braceexpand")
    for name, classes in (("a", ["cat", "dog"]), ("b", ["dog", "cat"]), ("c", ["cat", "dog"])):
        write_shards(tmp_path / name, (4,))
        (tmp_path / name / "index.json").write_text(json.dumps({"classes": classes}))
    assert load_data(config(f"{tmp_path}/{{a,c}}/s-000.tar")).classes == ("cat", "dog")
    with pytest.raises(
        UserError, match=r"a number is one class in all shards; '.*a/index.json' and '.*b/index.json'"
    ):
        load_data(config(f"{tmp_path}/{{a,b}}/s-000.tar"))


def test_two_numbers_of_one_class(tmp_path: Path, config: Any) -> None:
    texts = ("0", "1", "01")
    members = [
        (f"{n}.{kind}", png(n) if kind == "png" else text.encode())
        for n, text in enumerate(texts)
        for kind in ("png", "cls")
    ]
    write_tar(tmp_path / "s" / "s.tar", members)
    (tmp_path / "s" / "index.json").write_text(json.dumps({"classes": ["cat", "dog"]}))
    with pytest.raises(UserError, match=r"a class has one label; 'dog' of .* has 01 and 1"):
        load_data(config(tmp_path / "s"))


def test_digits_of_other_scripts_are_text(tmp_path: Path, config: Any) -> None:
    members = [
        (f"{n}.{kind}", png(n) if kind == "png" else text.encode())
        for n, text in enumerate("²³")
        for kind in ("png", "cls")
    ]
    write_tar(tmp_path / "s" / "s.tar", members)
    (tmp_path / "s" / "index.json").write_text(json.dumps({"classes": ["cat", "dog", "cow", "ant"]}))
    assert load_data(config(tmp_path / "s")).classes == ("²", "³")


def test_a_label_that_cannot_be_read_costs_its_own_image_alone(tmp_path: Path, config: Any) -> None:
    members = [
        (f"{n}.{kind}", png(n) if kind == "png" else text.encode())
        for n, text in enumerate(["0", "", "1", "0"])
        for kind in ("png", "cls")
    ]
    write_tar(tmp_path / "s.tar", members)
    with pytest.raises(UserError, match=r"'1\.cls' is empty, and would be a label"):
        load_data(config(tmp_path / "s.tar"))
    data = load_data(config(tmp_path / "s.tar", on_error="skip"))
    assert (list(data.train.names), data.train.labels.tolist()) == (["0.png", "2.png", "3.png"], [0, 1, 0])
    assert data.skipped == (str(tmp_path / "s.tar"),)


def test_without_labels(tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s", classes=0)))
    assert (data.labelled, data.classes, data.train.labels) == (None, None, None)
    with pytest.raises(UserError, match=r"labels are of all images or of none; 12 of 12.*data\.label=cls"):
        load_data(config(tmp_path / "s", label="cls"))
    with pytest.raises(UserError, match=r"data\.label=folder takes the folders.*are in none"):
        load_data(config(tmp_path / "s", label="folder"))


def test_labels_of_some_images_alone(tmp_path: Path, config: Any) -> None:
    write_shards(tmp_path / "s")
    write_tar(tmp_path / "s" / "t.tar", [("x.png", png(1))])
    with pytest.raises(UserError, match=r"1 of 13 in .*such as 'x\.png' in '.*t\.tar'"):
        load_data(config(tmp_path / "s"))
    assert load_data(config(tmp_path / "s", label="none")).classes is None


def test_labels_of_one_class(tmp_path: Path, config: Any) -> None:
    with pytest.raises(UserError, match=r"two classes or more; those of data\.train.*'class 0'"):
        load_data(config(write_shards(tmp_path / "s", classes=1)))


@pytest.mark.parametrize("above", ["", "train/", "a/b/"])
def test_folders_in_shards_are_classes(above: str, tmp_path: Path, config: Any) -> None:
    names = ["dog/1", "cat/2", "dog/deeper/3", "Ähre/4"]
    write_tar(tmp_path / "s.tar", [(f"{above}{name}.png", png(n)) for n, name in enumerate(names)])
    data = load_data(config(tmp_path / "s.tar"))
    assert data.classes == ("cat", "dog", "Ähre")
    assert data.train.labels.tolist() == [1, 0, 1, 2]


def test_one_folder_is_no_class(tmp_path: Path, config: Any) -> None:
    write_tar(tmp_path / "s.tar", [(f"all/{n}.png", png(n)) for n in range(3)])
    assert load_data(config(tmp_path / "s.tar")).classes is None


def test_each_field_has_an_index_of_its_own(tmp_path: Path, config: Any) -> None:
    members = []
    for number, text in enumerate(('{"a b": 1, "a_b": 3, "a.b": 5}', '{"a b": 2, "a_b": 4, "a.b": 6}')):
        members += [(f"{number}.png", png(number)), (f"{number}.json", text.encode())]
    write_tar(tmp_path / "s.tar", members)
    for field, first in (("a b", 1), ("a_b", 3), ("a.b", 5), ("a b", 1)):
        data = load_data(config(tmp_path / "s.tar", label=f"json.{field}"))
        assert data.classes == (f"class {first}", f"class {first + 1}")


def test_labels_are_sorted_as_numbers_and_named_by_what_stands_beside(tmp_path: Path, config: Any) -> None:
    members = [
        (f"{n}.{kind}", data)
        for n in (10, 9, 2)
        for kind, data in (("png", png(n)), ("cls", str(n).encode()))
    ]
    write_tar(tmp_path / "s" / "s.tar", members)
    data = load_data(config(tmp_path / "s"))
    assert (data.classes, data.train.labels.tolist()) == (("class 2", "class 9", "class 10"), [2, 1, 0])
    (tmp_path / "s" / "index.json").write_text(json.dumps({"classes": [f"name {n}" for n in range(11)]}))
    assert load_data(config(tmp_path / "s")).classes == ("name 2", "name 9", "name 10")


def test_test_images_have_the_classes_of_the_training_images(tmp_path: Path, config: Any) -> None:
    train = write_shards(tmp_path / "train", classes=3)
    data = load_data(config(train, test=str(write_shards(tmp_path / "test", (3,), 2, first=100))))
    assert (len(data.test), data.test.labels.tolist()) == (3, [0, 1, 0])
    write_shards(tmp_path / "more", (5,), 4)
    with pytest.raises(UserError, match="with 'class 3'"):
        load_data(config(train, test=str(tmp_path / "more")))
    with pytest.raises(UserError, match=r"data\.test has none"):
        load_data(config(train, test=str(write_shards(tmp_path / "none", (3,), 0))))
    with pytest.raises(UserError, match="test images must be others"):
        load_data(config(train, test=str(train / "s-001.tar")))


def test_classes_with_names_and_without_are_told_apart(tmp_path: Path, config: Any) -> None:
    train, test = (
        write_shards(tmp_path / "train", classes=3),
        write_shards(tmp_path / "test", (6,), 3, first=100),
    )
    (test / "index.json").write_text(json.dumps({"classes": ["ant", "bee", "cat"]}))
    with pytest.raises(
        UserError, match=r"the classes of data\.train are numbers.*copy it beside those of data\.train"
    ):
        load_data(config(train, test=str(test)))
    (test / "index.json").rename(train / "index.json")
    with pytest.raises(UserError, match=r"copy it beside those of data\.test"):
        load_data(config(train, test=str(test)))


def test_holdout_and_limit_are_those_of_any_images(tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s"), holdout=0.5, limit=4))
    assert (len(data.train), len(data.test)) == (4, 6)
    assert data.train.labels.tolist().count(0) == 2
    assert not {*data.train.names} & {*data.test.names}
    assert isinstance(data.train, ShardSplit)
    assert data.train.groups.ends[-1] == 4
    numbers = [int(name[:4]) for name in data.train.names]
    assert all(np.array_equal(a, _expected(n)) for n, a in zip(numbers, _pixels(data.train), strict=True))


def test_small_images_are_kept_in_memory(tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s"), cache_mb=10.0))
    assert isinstance(data.train, MemorySplit)
    assert all(np.array_equal(image.numpy(), _expected(n)) for n, image in enumerate(data.train.images))


def test_settings_follow_from_the_images(tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "s", side=24)
    config = compose(["data=webdataset", f"data.train={folder}"])
    assert (config.augment.size, config.backbone.stem, config.batch_size) == (24, "small", 256)
    assert compose(["data=webdataset", "data.train=/nowhere"]).augment.size == 224


# The order of an epoch


def test_the_order_is_that_of_the_files_whether_images_are_in_memory_or_not(
    tmp_path: Path, config: Any
) -> None:
    folder, orders = write_shards(tmp_path / "s"), []
    for cache_mb in (0.0, 10.0):
        data = load_data(config(folder, shuffle_shards=1, cache_mb=cache_mb, holdout=0.25))
        assert isinstance(data.train, MemorySplit) == (cache_mb > 0)
        orders.append([batch.index.tolist() for batch in data.train.train_loader(3, VIEW, seed=5)])
    assert orders[0] == orders[1]


@pytest.mark.parametrize(("processes", "together"), [(1, 1), (2, 1), (2, 2), (1, 16)])
def test_no_image_comes_twice_in_an_epoch(processes: int, together: int, tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s"), shuffle_shards=together, workers=processes))
    for epoch in range(2):
        seen = []
        for rank in range(processes):
            loader = data.train.train_loader(4, VIEW, seed=3, part=(rank, processes))
            loader.set_position(epoch)
            seen += [position for batch in loader for position in batch.index.tolist()]
        assert sorted(seen) == list(range(12))


def test_any_batch_is_gone_to_at_once(tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s"), shuffle_shards=2))
    loader = data.train.train_loader(2, VIEW, seed=1)
    whole = list(loader)
    for start in range(6):
        loader.set_position(0, start)
        for batch, expected in zip(loader, whole[start:], strict=True):
            assert torch.equal(batch.index, expected.index)
            assert all(map(torch.equal, batch.images, expected.images))


def test_a_split_goes_to_another_process_without_its_arrays(tmp_path: Path, config: Any) -> None:
    data = load_data(config(write_shards(tmp_path / "s", (400,), side=2)))
    assert isinstance(data.train, ShardSplit)
    reader = data.train.reader
    pickled = pickle.dumps(reader)
    assert len(pickled) < 4000  # the index is mapped there anew
    assert np.array_equal(to_array(pickle.loads(pickled).read(7)), to_array(reader.read(7)))
    assert isinstance(reader.index.offsets, np.memmap)


# Damage


def _cut(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def test_a_shard_that_is_cut_off(tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    cut = folder / "s-001.tar"
    _cut(cut, 3000)
    with pytest.raises(UserError, match=r"1 of 3 in .* are not: '.*s-001\.tar' \(cut off in '0006\.png'"):
        load_data(config(folder))
    data = load_data(config(folder, on_error="skip"))
    assert len(data.train) == 9  # but for the one that is cut, and that before it, which may be
    assert data.skipped == (str(cut),)
    write_shards(tmp_path / "new")
    shutil.copy(tmp_path / "new" / "s-001.tar", cut)
    assert len(load_data(config(folder)).train) == 12


@pytest.mark.parametrize(
    ("contents", "reason"), [(b"", "it is empty"), (b"<html>not found</html>" * 40, "it is no tar file")]
)
def test_what_is_no_tar_file(contents: bytes, reason: str, tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    (folder / "s-000.tar").write_bytes(contents)
    with pytest.raises(UserError, match=reason):
        load_data(config(folder))
    assert len(load_data(config(folder, on_error="skip")).train) == 7


def test_a_shard_that_is_missing_in_the_sequence(tmp_path: Path, config: Any) -> None:
    pytest.importorskip("braceexpand")
    folder = write_shards(tmp_path / "s")
    (folder / "s-001.tar").unlink()
    pattern = f"{folder}/s-{{000..002}}.tar"
    with pytest.raises(UserError, match=r"1 of 3 in .* are not: '.*s-001\.tar' \(no such file"):
        load_data(config(pattern))
    data = load_data(config(pattern, on_error="skip"))
    assert (len(data.train), data.skipped) == (9, (f"{folder}/s-001.tar",))


def test_shards_without_images(tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    write_tar(folder / "s-003.tar", [])
    write_tar(folder / "s-004.tar", [("readme.txt", b"1"), ("1.cls", b"1")])
    data = load_data(config(folder))
    assert (len(data.train), list(data.passed_over)) == (12, ["readme.txt", "1.cls"])
    with pytest.raises(UserError, match=r"must hold images; received .* 1 shards without any"):
        load_data(config(folder / "s-003.tar"))


def test_a_damaged_image(tmp_path: Path, config: Any) -> None:
    folder = tmp_path / "s"
    members = [(f"{n}.png", png(n) if n != 2 else b"damaged") for n in range(5)]
    write_tar(folder / "a.tar", members)
    with pytest.raises(
        UserError, match=r"a\.tar/2\.png' is not: cannot be identified as an image; mend the shard"
    ):
        list(load_data(config(folder)).train.plain_batches(8, 2))
    data = load_data(config(folder, on_error="skip"))
    assert list(data.train.names) == ["0.png", "1.png", "3.png", "4.png"]
    assert data.skipped == (f"{folder}/a.tar/2.png",)
    kept = list((tmp_path / "cache").rglob("unreadable-3-8-*.json"))
    assert [json.loads(file.read_text()) for file in kept] == [{"2": "cannot be identified as an image"}]
    assert load_data(config(folder, on_error="skip")).skipped == data.skipped  # by what is kept
    with pytest.raises(UserError, match=r"1 of 5 in .* are not: '.*a\.tar/2\.png'"):
        load_data(config(folder, cache_mb=10.0))


def test_classes_whose_images_are_all_damaged_are_left_out(tmp_path: Path, config: Any) -> None:
    members = [(f"{kind}/{n}.png", png(n) if kind != "b" else b"damaged") for kind in "abc" for n in range(2)]
    write_tar(tmp_path / "a.tar", members)
    data = load_data(config(tmp_path / "a.tar", on_error="skip"))
    assert (data.classes, data.emptied, data.train.labels.tolist()) == (("a", "c"), ("b",), [0, 0, 1, 1])
    write_tar(tmp_path / "b.tar", members[2:])
    with pytest.raises(
        UserError, match=r"two classes or more; of those of .* 'c' alone has images that can be read"
    ):
        load_data(config(tmp_path / "b.tar", on_error="skip"))


def test_what_failed_is_looked_at_again(tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that failed for a moment costs no image for good."""
    folder = write_shards(tmp_path / "s")
    read = split_module._read_at

    def failing(descriptor: int, size: int, offset: int) -> bytes:
        if offset == 512:  # the first of each shard
            raise OSError(5, "Input/output error")
        return read(descriptor, size, offset)

    monkeypatch.setattr(split_module, "_read_at", failing)
    data = load_data(config(folder, on_error="skip"))
    assert (len(data.train), len(data.skipped)) == (9, 3)
    monkeypatch.undo()
    assert len(load_data(config(folder, on_error="skip")).train) == 12


def test_a_shard_that_changes_while_it_is_read(tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    split = load_data(config(folder)).train
    write_shards(folder, (9, 9))
    with pytest.raises(UserError, match=r"bytes, and had .* when it was indexed"):
        list(split.plain_batches(8, 4))
    write_shards(folder)
    split = load_data(config(folder)).train
    next(split.plain_batches(8, 4))  # the first shard stays open
    for file in folder.iterdir():
        os.truncate(file, 600)
    with pytest.raises(UserError, match="cut off since it was opened"):
        list(split.plain_batches(8, 4))


# The index


def test_an_index_is_kept_and_made_anew_for_other_shards(
    tmp_path: Path, config: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_shards(tmp_path / "s")
    digest = load_data(config(folder)).digest
    indices = set((tmp_path / "cache" / "shards").glob("index-*"))
    assert len(indices) == 1
    monkeypatch.setattr("ssl_zoo.data.shards.tables.scan_shard", None)  # not called
    assert load_data(config(folder)).digest == digest
    monkeypatch.undo()
    write_shards(folder, (6, 3, 4))
    os.utime(folder / "s-000.tar", ns=(1, 1))
    assert load_data(config(folder)).digest != digest
    after = set((tmp_path / "cache" / "shards").glob("index-*"))
    assert len(after) == 1
    assert after != indices  # the earlier one is gone
    for file in after:
        (file / "index.json").write_text("{}")
    assert len(load_data(config(folder)).train) == 13  # one that cannot be read is made anew


def test_a_copy_in_another_place_has_the_same_digest(tmp_path: Path, config: Any) -> None:
    one, two = write_shards(tmp_path / "one"), write_shards(tmp_path / "two")
    assert load_data(config(one)).digest == load_data(config(two)).digest


def test_other_test_images_have_another_digest(tmp_path: Path, config: Any) -> None:
    train, digests = write_shards(tmp_path / "train"), set()
    for number, side in enumerate((12, 13, 13)):
        # Of the same names and labels.
        test = write_shards(tmp_path / f"test{number}", (4,), side=side, first=100)
        digests.add(load_data(config(train, test=str(test))).digest)
    assert len(digests) == 2


# Elsewhere


@pytest.fixture
def memory() -> Any:
    """fsspec's file system in memory, empty before and after."""
    system = pytest.importorskip("fsspec").filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    yield system
    system.store.clear()


def _upload(memory: Any, folder: Path, to: str) -> None:
    for file in sorted(folder.iterdir()):
        memory.pipe(f"/{to}/{file.name}", file.read_bytes())


def test_shards_elsewhere_are_copied(tmp_path: Path, config: Any, memory: Any) -> None:
    _upload(memory, write_shards(tmp_path / "s"), "b")
    for pattern in ("memory://b/s-*.tar", "memory://b"):
        data = load_data(config(pattern, workers=2, shuffle_shards=1))
        seen = [i for batch in data.train.train_loader(3, VIEW, seed=0) for i in batch.index.tolist()]
        assert sorted(seen) == list(range(12))
        assert all(np.array_equal(a, _expected(n)) for n, a in enumerate(_pixels(data.train)))
    local = load_data(config(tmp_path / "s"))
    assert data.digest == local.digest
    assert (data.classes, data.train.labels.tolist()) == (local.classes, local.train.labels.tolist())


def test_copies_are_bounded_and_made_once(
    tmp_path: Path, config: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_shards(tmp_path / "s", (6,) * 6, side=64)
    _upload(memory, folder, "b")
    size = (folder / "s-000.tar").stat().st_size
    fetched: list[str] = []
    opened = remote.opened_shard
    monkeypatch.setattr(
        "ssl_zoo.data.shards.spool.opened_shard", lambda shard: fetched.append(shard.url) or opened(shard)
    )
    bounded = {"shuffle_shards": 1, "spool_gb": 3.5 * size / 2**30}
    split = load_data(config("memory://b/*.tar", **bounded)).train
    copies = tmp_path / "cache" / "shards"
    assert len(list(copies.rglob("shard.tar"))) == 3
    fetched.clear()
    loader = split.train_loader(2, VIEW, seed=0)
    for _ in loader:
        assert sum(file.stat().st_size for file in copies.rglob("shard.tar")) <= 4 * size
    assert len(fetched) <= 6  # each once at most
    assert isinstance(split, ShardSplit)
    removed = [file for file in split.reader._open.values() if os.fstat(file).st_nlink == 0]
    assert len(removed) <= 1  # others take space as long as they are open
    assert len(list(copies.rglob("shard.tar"))) == 3
    with pytest.raises(UserError, match=r"data\.spool_gb must hold the 5 largest shards"):
        load_data(config("memory://b/*.tar", shuffle_shards=2, spool_gb=3.5 * size / 2**30))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_can_no_longer_be_reached_is_not_skipped(
    workers: int, tmp_path: Path, config: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its images may be there the next time: at the start and in an epoch the command ends, and nothing is kept."""
    _upload(memory, write_shards(tmp_path / "s"), "b")
    pattern, opened, reachable = "memory://b/*.tar", remote.opened_shard, [True]

    def reached(shard: Any) -> Any:
        if not reachable[0] and shard.name == "s-001.tar":
            raise remote.UnreachableShard("no network")
        return opened(shard)

    monkeypatch.setattr("ssl_zoo.data.shards.spool.opened_shard", reached)
    keys = {"on_error": "skip", "workers": workers}
    split = load_data(config(pattern, **keys)).train
    assert isinstance(split, ShardSplit)
    reader, copies = split.reader, tmp_path / "cache" / "shards"

    def forget() -> None:
        for file in [*copies.rglob("shard.tar"), *copies.rglob("unreadable-*")]:
            file.unlink()
        reader._open.clear()

    reachable[0] = False
    forget()
    for read in (
        lambda: load_data(config(pattern, **keys)),
        lambda: list(split.train_loader(4, VIEW, seed=0)),
    ):
        with pytest.raises(UserError, match=r"every shard must be there.*s-001\.tar' is not: no network"):
            read()
    reachable[0] = True
    assert len(load_data(config(pattern, **keys)).train) == 12


def test_no_room_for_a_copy_is_no_fault_of_the_shard(
    tmp_path: Path, config: Any, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _upload(memory, write_shards(tmp_path / "s"), "b")
    real = Path.open

    def full(path: Path, mode: str = "r", *more: Any, **keys: Any) -> Any:
        if path.name == ".shard.tar.tmp":
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, mode, *more, **keys)

    split = load_data(config("memory://b/*.tar")).train
    for copy in (tmp_path / "cache").rglob("shard.tar"):
        copy.unlink()
    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(UserError, match=r"shard\.tar': No space left on device; free some space"):
        list(split.plain_batches(8, 4))
    with pytest.raises(OSError, match="No space left on device"):
        load_data(config("memory://b/*.tar", root=str(tmp_path / "other")))


def test_batches_can_be_collected_as_garbage_in_the_thread_that_fetches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where garbage is collected is chance; a thread cannot wait for itself."""
    spool = Spool(tmp_path, [Shard("memory://b/s.tar", 1, "", on_disk=False)] * 2, [True, True], most=1)
    given_out, closed = threading.Event(), SimpleQueue[str]()

    def fetch(*_: Any) -> str:
        given_out.wait()
        try:
            batches.close()  # type: ignore[attr-defined]
        except RuntimeError as error:
            closed.put(str(error))
        closed.put("no error")
        return ""

    monkeypatch.setattr(spool, "path", fetch)
    batches = spool.ahead([torch.tensor([0]), torch.tensor([1])], lambda batch: batch.tolist(), most=1)
    next(batches)
    given_out.set()
    assert closed.get(timeout=60) == "no error"


def test_settings_follow_from_no_shards_that_cannot_be_reached(
    tmp_path: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would be those of other images, and the run another."""
    folder = write_shards(tmp_path / "s", side=24)
    (folder / "s-000.tar").write_bytes(b"damaged")
    _upload(memory, folder, "b")
    overrides = ["data=webdataset", "data.train=memory://b/*.tar"]
    assert compose(overrides).augment.size == 24  # by the first that holds images

    def unreachable(shard: Any) -> Any:
        raise remote.UnreachableShard("no network")

    sample._first_images.cache_clear()
    monkeypatch.setattr(sample, "opened_shard", unreachable)
    with pytest.raises(
        UserError, match=r"every shard must be readable; 'memory:.*s-000\.tar' is not: no network"
    ):
        compose(overrides)


def test_a_shard_elsewhere_that_changed(tmp_path: Path, config: Any, memory: Any) -> None:
    folder = write_shards(tmp_path / "s")
    _upload(memory, folder, "b")
    before = load_data(config("memory://b/*.tar"))
    write_shards(folder, (5, 4, 4))
    _upload(memory, folder, "b")
    after = load_data(config("memory://b/*.tar"))
    assert (len(before.train), len(after.train)) == (12, 13)
    assert before.digest != after.digest


def test_a_shard_elsewhere_of_the_same_size_that_changed(
    memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a web server that has no ETag, by the time of change that it sends."""
    stamps = []
    for second in range(2):
        about = {"size": 10, "Last-Modified": f"Sat, 28 Nov 2026 01:00:0{second} GMT"}
        monkeypatch.setattr(type(memory), "info", lambda self, path, about=about, **keys: about)
        stamps.append(list_shards("data.train", "memory://b/s.tar").stamp)
    assert stamps[0] != stamps[1]


@pytest.mark.parametrize("suffix", [".tar.gz", ".tgz"])
def test_compressed_shards(suffix: str, tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s")
    for file in list(folder.iterdir()):
        file.with_name(file.stem + suffix).write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    data = load_data(config(folder))
    assert all(np.array_equal(a, _expected(n)) for n, a in enumerate(_pixels(data.train)))
    _cut(next(iter(sorted(folder.iterdir()))), 2000)
    with pytest.raises(UserError, match=f"s-000{suffix}' \\(cut off or damaged"):
        load_data(config(folder))
    assert len(load_data(config(folder, on_error="skip")).train) == 7


@pytest.mark.processes
@pytest.mark.skipif(sys.platform == "win32", reason="quotes for sh")
def test_what_a_command_writes(tmp_path: Path, config: Any) -> None:
    folder = write_shards(tmp_path / "s", (4,))
    data = load_data(config(_command(folder / "s-000.tar")))
    assert all(np.array_equal(a, _expected(n)) for n, a in enumerate(_pixels(data.train)))
    failing = f"pipe:{shlex.quote(sys.executable)} -c 'import sys; print(1); sys.exit(\"no such bucket\")'"
    with pytest.raises(UserError, match="the command ended with status 1: no such bucket"):
        load_data(config(failing))
