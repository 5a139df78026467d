"""Data sets of Hugging Face: found, their columns chosen, read as the same files are, and refused with a fix."""

from __future__ import annotations

import dataclasses
import importlib.util
import io
import os
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.data import Data, MemorySplit, hub, kept_check, load_data
from ssl_zoo.data import cache as cache_room
from ssl_zoo.data.decode import read_image, to_array
from ssl_zoo.data.headers import is_surely_readable
from ssl_zoo.data.raster import Encoded
from ssl_zoo.data.table_split import TableSplit
from ssl_zoo.errors import UserError

datasets: Any = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of datasets, for this test alone, and no network."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(folder))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    return folder


def encoded(seed: int, kind: str = "PNG", size: tuple[int, ...] = (12, 12), mode: str = "RGB") -> bytes:
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    values = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind)
    return stream.getvalue()


def table(images: Any, labels: Any = None, feature: Any = None, kind: Any = None, **more: Any) -> Any:
    """A data set of encoded images or arrays, with labels of two classes unless others are given."""
    kind = datasets.Image() if kind is None else kind
    is_image = isinstance(kind, datasets.Image)
    columns: dict[str, Any] = {"image": [{"bytes": i, "path": None} if is_image else i for i in images]}
    features: dict[str, Any] = {"image": kind}
    if labels is not None:
        columns["label"] = labels
        features["label"] = datasets.ClassLabel(names=["cat", "dog"]) if feature is None else feature
    return datasets.Dataset.from_dict(
        {**columns, **more}, features=None if more else datasets.Features(features)
    )


def load(path: Path, *more: str) -> Data:
    return load_data(compose([*named(path), *more]).data)


def named(path: Path) -> list[str]:
    return ["data=huggingface", f"data.path='{path}'", "data.workers=0"]


def pixels(data: Data, size: int = 12) -> torch.Tensor:
    return torch.cat(list(data.train.plain_batches(size, 4)))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Eight images of two classes for training, four for testing, saved to disk."""
    train = table(map(encoded, range(8)), [0, 0, 0, 0, 1, 1, 1, 1])
    test = table(map(encoded, range(20, 24)), [1, 0, 1, 0])
    both = datasets.DatasetDict({"train": train, "test": test})
    both.save_to_disk(tmp_path / "saved", num_shards={"train": 3, "test": 1})
    return tmp_path / "saved"


def test_a_saved_data_set_is_read(saved: Path) -> None:
    config = compose([*named(saved), "data.test=test"])
    assert (config.augment.size, config.backbone.stem) == (12, "small")
    data = load_data(config.data)
    assert data.classes == ("cat", "dog")
    assert data.labelled is data.train
    assert data.train.labels is not None
    assert data.test is not None
    assert data.test.labels is not None
    assert data.train.labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert data.test.labels.tolist() == [1, 0, 1, 0]
    assert isinstance(data.train, MemorySplit)
    for cache_mb in (0, 64):
        batch = pixels(load(saved, f"data.cache_mb={cache_mb}"))
        expected = [np.asarray(Image.open(io.BytesIO(encoded(seed)))).transpose(2, 0, 1) for seed in range(8)]
        assert np.array_equal(batch.numpy(), np.stack(expected))


@pytest.mark.parametrize("train", ["train+train", "train[:5]+test+train[4:]"])
def test_a_row_that_is_named_twice(train: str, saved: Path) -> None:
    with pytest.raises(UserError, match=r"names each row once; received '.*', whose parts overlap"):
        load(saved, f"data.train='{train}'")


@pytest.mark.parametrize(
    ("train", "test", "rows"),
    [("train", "train", 8), ("train[:6]", "train[5:]", 1), ("test+train[:6]", "train[4:]", 2)],
)
def test_a_test_row_that_is_trained_on(train: str, test: str, rows: int, saved: Path, tmp_path: Path) -> None:
    """One is enough, of arrays too."""
    arrays = [np.full((8, 8, 3), number, np.uint8) for number in range(12)]
    all_rows = table(arrays, [0, 1] * 6, kind=datasets.Array3D((8, 8, 3), "uint8"))
    parts = {"train": all_rows.select(range(8)), "test": all_rows.select(range(8, 12))}
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "arrays")
    for path in (saved, tmp_path / "arrays"):
        with pytest.raises(
            UserError, match=f"others than those that are trained on; {rows} rows of data.test"
        ):
            load(path, f"data.train='{train}'", f"data.test='{test}'")
        assert load(path, "data.train='train[:5]'", "data.test='train[5:]+test'").test is not None


def test_test_images_that_are_copies_of_training_images(tmp_path: Path) -> None:
    train = table(map(encoded, range(8)), [0, 1] * 4)
    parts = {
        "train": train,
        "half": table(map(encoded, range(4, 12)), [0, 1] * 4),
        "most": train.select(range(5)),
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    assert load(tmp_path / "saved", "data.test=half").test is not None
    with pytest.raises(
        UserError, match=r"5 of 5 looked at in data\.test=most are also in data\.train=train, byte for"
    ):
        load(tmp_path / "saved", "data.test=most")


def test_parquet_is_read_from_a_folder_a_pattern_and_a_file(saved: Path, tmp_path: Path, cache: Path) -> None:
    folder = tmp_path / "parquet"
    folder.mkdir()
    both = datasets.load_from_disk(saved)
    for name in ("train", "test"):
        both[name].to_parquet(folder / f"{name}-00000-of-00001.parquet")
    expected = load(saved, "data.test=test")
    data = load(folder, "data.test=test")
    assert torch.equal(pixels(data), pixels(expected))
    assert data.test is not None
    assert len(data.test) == 4
    for path in (folder / "train*.parquet", folder / "train-00000-of-00001.parquet"):
        assert torch.equal(pixels(load(path)), pixels(expected))
    config: Any = compose([*named(folder), "data.test=test"]).data
    assert config.digest == compose([*named(saved), "data.test=test"]).data.digest  # type: ignore[attr-defined]
    assert list(cache.rglob("*.arrow")), "converted into the cache of datasets"


def test_a_data_set_in_the_cache_is_read_without_the_hub(saved: Path, tmp_path: Path, cache: Path) -> None:
    """Its folder in the cache has the name of the commit."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "pets"
    folder.mkdir()
    datasets.load_from_disk(saved)["train"].to_parquet(folder / "train.parquet")
    load(folder)
    [prepared] = {file.parent for file in cache.rglob("pets-train.arrow")}
    of_hub = cache / "owner___pets" / "default" / "0.0.0" / commit
    of_hub.parent.mkdir(parents=True)
    prepared.rename(of_hub)
    hub._open.cache_clear()
    overrides = ["data=huggingface", "data.path=owner/pets", "data.workers=0"]
    config = compose(overrides)
    assert config.data.name == "owner--pets"
    assert len(load_data(config.data).train) == 8
    assert compose([*overrides, f"data.revision={commit}"]).data.name == "owner--pets"
    other = commit[::-1]
    with pytest.raises(UserError, match=f"data.revision={other} of 'owner/pets' is not in the cache"):
        compose([*overrides, f"data.revision={other}"])
    with pytest.raises(UserError, match=r"data.config_name chooses .*configs in the cache: \['default'\]"):
        compose([*overrides, "data.config_name=other"])
    with pytest.raises(UserError, match=r"'owner/cars' is not on disk, not in the cache .*cannot be reached"):
        compose(["data=huggingface", "data.path=owner/cars"])
    with pytest.raises(UserError, match="epochs must be at least 1"):
        compose(["data=huggingface", "data.path=owner/cars", "epochs=0"])


@pytest.mark.parametrize(
    ("spec", "rows"),
    [
        ("train[:50%]", [0, 1, 2, 3]),
        ("train[2:5]+test[-1:]", [2, 3, 4, 23]),
        ("test+train[:1]", [20, 21, 22, 23, 0]),
    ],
)
def test_parts_of_splits(saved: Path, spec: str, rows: list[int]) -> None:
    data = load(saved, f"data.train='{spec}'", "data.label_column=none")
    assert data.classes is None
    expected = [np.asarray(Image.open(io.BytesIO(encoded(seed)))).transpose(2, 0, 1) for seed in rows]
    assert np.array_equal(pixels(data).numpy(), np.stack(expected))


def test_limit_holdout_and_selection(saved: Path) -> None:
    for cache_mb in (0, 64):
        data = load(saved, "data.holdout=0.25", "data.limit=4", f"data.cache_mb={cache_mb}")
        assert (len(data.train), data.test and len(data.test)) == (4, 2)
        assert data.train.labels is not None
        assert data.train.labels.tolist() == [0, 0, 1, 1]
    whole = pixels(load(saved))
    part = load(saved, "data.cache_mb=0").train.select([6, 1])
    assert torch.equal(next(part.plain_batches(12, 2)), whole[[6, 1]])


@pytest.mark.parametrize("kind", ["png16", "gray", "jpeg", "array", "array16", "binary", "path"])
def test_images_are_read_as_files_are(tmp_path: Path, kind: str) -> None:
    rng, path = np.random.default_rng(0), tmp_path / "a.png"
    feature: Any = None
    if kind == "png16":
        Image.fromarray(rng.integers(0, 65536, (9, 7), np.uint16)).save(path)
    elif kind == "jpeg":
        path = path.with_suffix(".jpg")
        path.write_bytes(encoded(0, "JPEG", (70, 90)))
    elif kind.startswith("array"):
        path = path.with_suffix(".npy")
        dtype = "uint16" if kind == "array16" else "uint8"
        np.save(path, rng.integers(0, np.iinfo(dtype).max, (9, 7, 3), dtype))
        feature = datasets.Array3D((9, 7, 3), dtype)
    else:
        path.write_bytes(encoded(0, mode="L" if kind == "gray" else "RGB"))
    if kind == "binary":
        feature = datasets.Value("binary")
    images = [path.read_bytes()] * 2
    made = table([np.load(path)] * 2 if kind.startswith("array") else images, kind=feature)
    if kind == "path":
        made = datasets.Dataset.from_dict({"image": [{"bytes": None, "path": str(path)}] * 2})
        made.to_parquet(tmp_path / "set.parquet")
    else:
        made.save_to_disk(tmp_path / "set")
    config = compose(named(tmp_path / ("set.parquet" if kind == "path" else "set"))).data
    assert config.bit_depth == (16 if "16" in kind else 8)
    data = load_data(dataclasses.replace(config, cache_mb=0.0))
    assert isinstance(data.train, TableSplit)
    expected = to_array(read_image(str(path), config.channels, config.bit_depth))
    assert np.array_equal(to_array(data.train.reader.read(1)), expected)


def test_string_and_whole_labels_are_sorted(tmp_path: Path) -> None:
    images = list(map(encoded, range(4)))
    for number, (labels, kind, classes, expected) in enumerate(
        [
            (["b", "a", "c", "a"], "string", ("a", "b", "c"), [1, 0, 2, 0]),
            ([10, 9, 9, 10], "int32", ("9", "10"), [1, 0, 0, 1]),
        ]
    ):
        table(images, labels, datasets.Value(kind)).save_to_disk(tmp_path / str(number))
        data = load(tmp_path / str(number))
        assert data.classes == classes
        assert data.train.labels is not None
        assert data.train.labels.tolist() == expected


def test_classes_without_images_are_left_out_and_hidden_labels_are_none(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["ant", "bee", "cat"])
    images = list(map(encoded, range(4)))
    table(images, [2, 0, 2, 0], names).save_to_disk(tmp_path / "some")
    data = load(tmp_path / "some")
    assert (data.classes, data.train.labels.tolist()) == (("ant", "cat"), [1, 0, 1, 0])  # type: ignore[union-attr]
    table(images, [-1] * 4, names).save_to_disk(tmp_path / "hidden")
    assert load(tmp_path / "hidden").classes is None
    table(images, [0, -1, None, 1], names).save_to_disk(tmp_path / "few")
    with pytest.raises(UserError, match=r"lacks 2 of 4, such as that of row 1 of train"):
        load(tmp_path / "few")


@pytest.mark.parametrize("cache_mb", [0, 64])
def test_an_unreadable_row_is_named_refused_or_left_out(tmp_path: Path, cache_mb: int) -> None:
    images = [*map(encoded, range(5)), encoded(5)[:60], b"", encoded(7)]
    table(images, [0, 0, 0, 0, 1, 1, 1, 1]).save_to_disk(tmp_path / "set")
    more = (f"data.cache_mb={cache_mb}", "data.train='train[1:]'")
    with pytest.raises(UserError, match=r"2 of 7 are not: row 5 of train \(.*\); row 6 of train \("):
        load(tmp_path / "set", *more)
    data = load(tmp_path / "set", *more, "data.on_error=skip")
    assert data.skipped == ("row 5 of train", "row 6 of train")
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert np.array_equal(pixels(data)[-1].numpy(), to_array(Image.open(io.BytesIO(images[7]))))


@pytest.mark.slow
@pytest.mark.processes
def test_a_reader_is_sent_to_another_process_by_its_paths(saved: Path) -> None:
    """Where processes are not forked the reader is pickled: the table is not, and Arrow maps it anew."""
    split = load(saved, "data.cache_mb=0").train
    assert isinstance(split, TableSplit)
    expected = to_array(split.reader.read(3))
    sent = pickle.dumps(split.reader)
    assert len(sent) < 2000
    assert encoded(3) not in sent
    script = (
        "import pickle, sys, numpy; reader = pickle.load(sys.stdin.buffer);"
        "assert 'datasets' not in sys.modules;"
        "from ssl_zoo.data.decode import to_array; numpy.save(sys.stdout.buffer, to_array(reader.read(3)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], input=sent, capture_output=True, check=True)
    assert np.array_equal(np.load(io.BytesIO(ran.stdout)), expected)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["data.train=trian"], r"there are train \(8 rows\), test \(4 rows\); received 'trian'.*did you mean"),
        (["data.train='train[:x]'"], r"received 'train\[:x\]', which cannot be read"),
        (["data.train='train[8:]'"], r"received 'train\[8:\]', in which there are no rows"),
        (["data.image_column=picture"], r"received 'picture'; there are image \(Image\), label \(ClassLabel\)"),
        (["data.label_column=lable"], r"received 'lable'; there are .*; did you mean 'label'"),
        (["data.label_column=image"], "a label is one class for each row.* holds Image"),
        (["data.test='train[2:6]'"], r"4 rows of data.test=train\[2:6\] are also in data.train=train"),
        (["data.test=test", "data.label_column=none"], "a test set needs labels in data.train and data.test"),
        (["data.train='train[:4]'"], "labels must be of two classes or more; 'label' .* is 'cat' everywhere"),
        (["data.train='train[:4]+test[:1]'", "data.test='train[4:5]'", "data.holdout=0"], None),
        (["data.revision=0123456789abcdef0123456789abcdef01234567"], "data.revision is of a data set on the hub"),
        (["data.revision=main"], "data.revision: must be a commit, 40 .* received 'main'"),
        (["data.config_name=other"], "data.config_name"),
        (["data.name=owner/pets"], "name the data set by data.path='owner/pets', and leave data.name out"),
    ],
)  # fmt: skip
def test_what_is_not_there_is_refused(saved: Path, more: list[str], message: str | None) -> None:
    if message is None:
        assert load(saved, *more).classes == ("cat", "dog")
        return
    with pytest.raises(UserError, match=message):
        load(saved, *more)


def test_columns_that_are_unclear_are_refused(tmp_path: Path) -> None:
    images = list(map(encoded, range(4)))
    two = datasets.Features({"a": datasets.Image(), "b": datasets.Image(), "fine": datasets.ClassLabel(2),
                             "coarse": datasets.ClassLabel(2)})  # fmt: skip
    rows = [{"bytes": image, "path": None} for image in images]
    columns = {"a": rows, "b": rows, "fine": [0, 1, 0, 1], "coarse": [0, 0, 1, 1]}
    datasets.Dataset.from_dict(columns, features=two).save_to_disk(tmp_path / "two")
    with pytest.raises(
        UserError, match=r"2 of the columns could be: a \(Image\), b .*data.image_column=NAME"
    ):
        load(tmp_path / "two")
    with pytest.raises(UserError, match=r"fine and coarse of data.train=train could be them; set data.label"):
        load(tmp_path / "two", "data.image_column=b")
    data = load(tmp_path / "two", "data.image_column=b", "data.label_column=coarse")
    assert data.train.labels is not None
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    table(images, [[0], [1], [0, 1], []], datasets.List(datasets.Value("int64"))).save_to_disk(
        tmp_path / "multi"
    )
    with pytest.raises(UserError, match=r"a label is one class for each row.*'label' .* holds List"):
        load(tmp_path / "multi")
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(tmp_path / "text")
    with pytest.raises(UserError, match=r"none of the columns could be: text \(string\)"):
        load(tmp_path / "text")


def test_what_is_no_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encoded(0))
    with pytest.raises(UserError, match=r"save_to_disk did not write .*set data=imagefolder data.train='"):
        load(tmp_path / "photos")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(UserError, match=r"bad.parquet' cannot be read from disk"):
        load(tmp_path / "bad.parquet")
    for path in (tmp_path / "nothing", tmp_path / "no*.parquet", "cifar10"):
        with pytest.raises(UserError, match=r"OWNER/NAME on the hub; there is no '.*' on disk"):
            load(Path(path))
    with pytest.raises(UserError, match=r"data=huggingface reads the data set data.path, .*; received none"):
        load_data(compose(["data=huggingface"]).data)
    run = tmp_path / "run"
    assert main(["train", "data=huggingface", "data.path=cifar10", f"run_dir={run}"]) == 2
    assert "data.path must be a folder" in capsys.readouterr().err
    assert not run.exists()


def test_without_the_package_the_extra_is_named(
    saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "ssl_zoo.cli.listing.find_spec", lambda name: None if name == "datasets" else find(name)
    )
    assert main(["list", "data"]) == 0
    listed = " ".join(capsys.readouterr().out.split())
    assert "(needs datasets: pip install 'ssl-zoo[huggingface]')" in listed
    monkeypatch.setitem(sys.modules, "datasets", None)
    hub._open.cache_clear()
    with pytest.raises(UserError, match=r"not installed; pip install 'ssl-zoo\[huggingface\]'"):
        load(saved)


def test_an_embedded_header_is_judged_as_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for kind in ("JPEG", "PNG", "GIF"):
        data = encoded(0, kind, (50, 40))
        for part in (data, data[:-20], data[:90], b"", data[3:]):
            path.write_bytes(part)
            assert is_surely_readable(Encoded("a", part)) == is_surely_readable(str(path))
    assert is_surely_readable(Encoded("a", encoded(0)))


def test_a_check_of_a_large_table_is_kept_while_its_files_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table([*map(encoded, range(4)), b"no image", encoded(5)], [0, 0, 0, 1, 1, 1]).save_to_disk(
        tmp_path / "set"
    )
    checked: list[list[int]] = []
    check_all = cache_room.check_all

    def noted(reader: Any, workers: int, positions: torch.Tensor, *, whole: bool) -> dict[int, str]:
        checked.append(positions.tolist())
        return check_all(reader, workers, positions, whole=whole)

    monkeypatch.setattr(kept_check, "check_all", noted)
    monkeypatch.setattr(kept_check, "LEAST", 6)
    more = ("data.cache_mb=0", f"data.root={tmp_path / 'root'}")
    files = list((tmp_path / "set").glob("*.arrow"))

    def refused() -> None:
        with pytest.raises(UserError, match=r"1 of 6 are not: row 4 of train \("):
            load(tmp_path / "set", *more)

    now = time.time()
    for seconds in (now + 3600, now - 3600, now - 3600, now - 7200):
        for file in files:
            os.utime(file, (seconds, seconds))
        refused()
    every = list(range(6))
    assert checked == [every, every, [4], every], "not settled; kept; used; changed"
    for kept in (tmp_path / "root").rglob("*.json"):
        kept.write_text(kept.read_text()[:-3])
    refused()
    assert checked[-1] == every, "a damaged file is as none"
    assert load(tmp_path / "set", *more, "data.on_error=skip").skipped == ("row 4 of train",)


def test_a_folder_may_have_the_name_of_a_pattern(saved: Path, tmp_path: Path) -> None:
    saved.rename(tmp_path / "pets[1]")
    assert len(load(tmp_path / "pets[1]").train) == 8
