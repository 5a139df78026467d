"""CIFAR and STL-10 from small files in torchvision's formats; downloads, and downloads that fail."""

from __future__ import annotations

import hashlib
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision import datasets

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import MemorySplit, load_data
from ssl_zoo.errors import UserError

RANDOM = np.random.default_rng(0)
CLASSES = ["airplane", "bird", "car"]


def _config(source: Any, root: Any, channels: int = 3, **keys: Any) -> Any:
    return DataConfig(
        name=source,
        source=source,
        root=str(root),
        channels=channels,
        mean=(0.5,) * channels,
        std=(0.5,) * channels,
        **keys,
    )


def _accept(monkeypatch: pytest.MonkeyPatch, kind: Any, folder: Any) -> None:
    """Makes torchvision expect the MD5 sums of our files."""

    def md5(path: Any) -> Any:
        return hashlib.md5(path.read_bytes()).hexdigest()

    for key in ("train_list", "test_list"):
        monkeypatch.setattr(kind, key, [[name, md5(folder / name)] for name, _ in getattr(kind, key)])
    if hasattr(kind, "meta"):
        monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5(folder / kind.meta["filename"])})


@pytest.fixture(params=["cifar10", "cifar100"])
def cifar(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns source, torchvision's class, root, and the (images, labels) of both parts; 3 classes."""
    kind = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}[request.param]
    folder = tmp_path / "root" / kind.base_folder
    folder.mkdir(parents=True)
    parts = []
    for files in (kind.train_list, kind.test_list):
        images = RANDOM.integers(0, 256, (30, 3, 32, 32), dtype=np.uint8)
        labels = np.arange(30) % 3
        parts.append((torch.from_numpy(images), torch.from_numpy(labels)))
        for (name, _), chunk in zip(files, np.split(np.arange(30), len(files)), strict=True):
            key = "labels" if request.param == "cifar10" else "fine_labels"
            entry = {"data": images[chunk].reshape(-1, 3072), key: labels[chunk].tolist()}
            (folder / name).write_bytes(pickle.dumps(entry))
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: CLASSES}))
    _accept(monkeypatch, kind, folder)
    return request.param, kind, tmp_path / "root", parts


@pytest.fixture
def stl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Returns root and arrays: 12 labelled and 20 other training images, 6 for testing; 3 classes."""
    folder = tmp_path / "root" / "stl10_binary"
    folder.mkdir(parents=True)
    arrays = {}
    for part, count in (("train", 12), ("unlabeled", 20), ("test", 6)):
        stored = RANDOM.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)  # columns first, as in the files
        stored.tofile(folder / f"{part}_X.bin")
        arrays[part] = torch.from_numpy(stored.transpose(0, 1, 3, 2).copy())
    for part, count in (("train", 12), ("test", 6)):
        (np.arange(count) % 3 + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join(CLASSES))
    _accept(monkeypatch, datasets.STL10, folder)
    return tmp_path / "root", arrays


# What is read ------------------------------------------------------------------------------------------
def test_cifar(cifar: Any) -> None:
    source, _, root, ((images, labels), (test_images, test_labels)) = cifar
    data = load_data(_config(source, root))
    assert torch.equal(data.train.images, images)  # type: ignore[attr-defined]
    assert torch.equal(data.train.labels, labels)
    assert torch.equal(data.test.images, test_images)
    assert torch.equal(data.test.labels, test_labels)
    assert (data.classes, data.channels) == (tuple(CLASSES), 3)
    assert data.labelled is data.train
    assert isinstance(data.train, MemorySplit)
    assert data.train.images.is_contiguous()
    assert data.train.labels.dtype == torch.int64


def test_cifar_in_gray(cifar: Any) -> None:
    source, _, root, _ = cifar
    data = load_data(_config(source, root, channels=1))
    assert data.channels == data.train.channels == data.test.channels == 1


def test_cifar_limit_and_holdout(cifar: Any) -> None:
    source, _, root, ((images, labels), _) = cifar
    data = load_data(_config(source, root, limit=10, holdout=0.2))
    assert torch.bincount(data.train.labels).tolist() == [4, 3, 3]
    assert torch.bincount(data.test.labels).tolist() == [2, 2, 2]
    seen = torch.cat([data.train.images, data.test.images]).flatten(1)  # type: ignore[attr-defined]
    assert len(seen.unique(dim=0)) == 16
    for image, label in zip(seen, torch.cat([data.train.labels, data.test.labels]), strict=True):
        (row,) = (images.flatten(1) == image).all(1).nonzero().flatten()
        assert labels[row] == label


def test_stl10(stl: Any) -> None:
    root, arrays = stl
    data = load_data(_config("stl10", root))
    assert torch.equal(data.train.images, torch.cat([arrays["train"], arrays["unlabeled"]]))  # type: ignore[attr-defined]
    assert data.train.labels is None
    assert torch.equal(data.labelled.images, arrays["train"])
    assert data.labelled.labels.tolist() == [0, 1, 2] * 4
    assert torch.equal(data.test.images, arrays["test"])
    assert data.test.labels.tolist() == [0, 1, 2] * 2
    assert data.classes == tuple(CLASSES)


def test_stl10_limit_and_holdout(stl: Any) -> None:
    root, arrays = stl
    data = load_data(_config("stl10", root, limit=20, holdout=0.25))
    assert torch.bincount(data.test.labels).tolist() == [1, 1, 1]
    assert torch.bincount(data.labelled.labels).tolist() == [3, 3, 3]
    assert len(data.train) == 20
    rows = {tuple(image.flatten().tolist()) for image in data.test.images}
    labelled = rows | {tuple(image.flatten().tolist()) for image in data.labelled.images}
    assert labelled == {tuple(image.flatten().tolist()) for image in arrays["train"]}
    assert not rows & {tuple(image.flatten().tolist()) for image in data.train.images}  # type: ignore[attr-defined]


# Downloads ---------------------------------------------------------------------------------------------
@pytest.fixture
def archive(cifar: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Moves the files into an archive that torchvision downloads from; returns it, source, class and root."""
    source, kind, root, _ = cifar
    archive = tmp_path / "server" / kind.filename
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(root / kind.base_folder, kind.base_folder)
    monkeypatch.setattr(kind, "url", archive.as_uri())
    fetch = "torchvision.datasets.utils._urlretrieve"  # it asks for a length, which a file's URL doesn't have
    monkeypatch.setattr(fetch, lambda url, path: shutil.copyfile(archive, path))
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    shutil.rmtree(root)
    return archive, source, kind, root


def _left(tmp_path: Path) -> Any:
    return sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if "server" not in path.parts
    )


def test_a_missing_set_is_downloaded(archive: Any, tmp_path: Path) -> None:
    _, source, kind, root = archive
    assert len(load_data(_config(source, root / "deep" / "er")).train) == 30
    names = [name for name, _ in kind.train_list + kind.test_list] + [kind.meta["filename"]]
    assert sorted(p.name for p in (root / "deep" / "er").iterdir()) == [kind.base_folder]
    assert sorted(p.name for p in (root / "deep" / "er" / kind.base_folder).iterdir()) == sorted(names)
    assert not [path for path in _left(tmp_path) if ".ssl-zoo" in path]


def test_a_damaged_file_is_downloaded_again(archive: Any) -> None:
    _, source, kind, root = archive
    load_data(_config(source, root))
    (root / kind.base_folder / kind.test_list[0][0]).write_text("damaged")
    assert len(load_data(_config(source, root)).test) == 30


def test_an_archive_that_was_put_there_by_hand_is_unpacked(
    archive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, source, kind, root = archive
    root.mkdir()
    shutil.copy(path, root)
    monkeypatch.setattr(kind, "url", "file:///no/such/archive")
    assert len(load_data(_config(source, root)).train) == 30
    assert (root / kind.filename).exists()


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("failure", ["network", "interrupted", "wrong"])
def test_a_download_that_fails_says_so_and_leaves_nothing(
    archive: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: str, existing: bool
) -> None:
    path, source, kind, root = archive
    if failure == "network":
        monkeypatch.setattr(kind, "url", "file:///no/such/archive")
    elif failure == "interrupted":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        monkeypatch.setattr(kind, "test_list", [[kind.test_list[0][0], "0" * 32]])
    if existing:
        root.mkdir()
        (root / "mine").touch()
    before = _left(tmp_path)
    with pytest.raises(UserError) as error:
        load_data(_config(source, root / "data"))
    for phrase in (
        f"files of {kind.__name__} are missing or damaged and could not be fetched from {kind.url}",
        f"looked in '{root / 'data' / kind.base_folder}'",
        "connect to the network",
        f"put {kind.filename} (MD5 {kind.tgz_md5}) into '{root / 'data'}'",
        "set data.root",
    ):
        assert phrase in str(error.value), error.value
    assert "\n" not in str(error.value)
    assert _left(tmp_path) == before


def test_stl10_without_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.STL10, "url", "file:///no/such/archive")
    with pytest.raises(
        UserError, match=r"files of STL10 .* could not be fetched .* put stl10_binary\.tar\.gz"
    ):
        load_data(_config("stl10", tmp_path / "root"))
    assert not (tmp_path / "root").exists()


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "root").touch()
    with pytest.raises(
        UserError, match=r"data\.root must be a folder; received .*/root/data.* is a file; set data\.root"
    ):
        load_data(_config("cifar10", tmp_path / "root" / "data"))


@pytest.mark.parametrize(
    ("source", "keys", "phrase"),
    [
        ("cifar10", {"limit": 50_001}, "received 50001 for 50000"),
        ("cifar100", {"limit": 45_001, "holdout": 0.1}, "received 45001 for 45000"),
        ("cifar100", {"holdout": 0.0001}, "data.holdout must leave"),
        ("stl10", {"limit": 105_001}, "received 105001 for 105000"),
        ("stl10", {"train": "folder"}, "data.train is read with data.source=imagefolder only"),
        ("cifar10", {"test": "folder"}, "data.test is read with data.source=imagefolder only"),
    ],
)
def test_bad_input_is_refused_before_anything_is_downloaded(
    source: str, keys: dict[str, Any], phrase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ssl_zoo.data.download._download", lambda *_: pytest.fail("downloaded"))
    with pytest.raises(UserError) as error:
        load_data(_config(source, tmp_path / "root", **keys))
    assert phrase in str(error.value)
    assert not (tmp_path / "root").exists()
