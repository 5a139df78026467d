"""What is in an embedding."""

from __future__ import annotations

import json
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as F
from helpers.embeddings import COUNT, Found, contents, embedding, make_pictures, read
from PIL import Image
from torch import Tensor
from torchvision.datasets import ImageFolder

from ssl_zoo.config.options import data_for
from ssl_zoo.data import FileSplit, MemorySplit, load_data
from ssl_zoo.data.split import Data
from ssl_zoo.embedding import encoding, outputs, store
from ssl_zoo.embedding.images import list_images
from ssl_zoo.embedding.run import embed
from ssl_zoo.errors import UserError
from ssl_zoo.features import extract
from ssl_zoo.hardware.device import choose_hardware
from ssl_zoo.run_dir.saved_run import SavedRun, open_run

pytestmark = pytest.mark.slow

MEAN, STD = 0.3, 0.37  # of digits, which the run was trained on


@pytest.fixture(scope="module")
def found(run: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return read(embed(embedding(run, pictures, tmp_path_factory.mktemp("out") / "f.npy"), silent=True))


def test_features_are_those_of_each_image_by_itself(run: Path, pictures: Path, found: Found) -> None:
    encoder = open_run(run).backbone()
    expected = []
    for file, _ in ImageFolder(str(pictures)).samples:
        image = F.resize(Image.open(file), [8], antialias=True)
        image = F.center_crop(image, [8, 8])
        x = (torch.from_numpy(np.array(image)).float() / 255 - MEAN) / STD  # (8, 8)
        with torch.no_grad():
            expected.append(encoder(x[None, None])[0])
    torch.testing.assert_close(torch.from_numpy(found.features), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_files_and_labels_are_those_of_torchvision(pictures: Path, found: Found) -> None:
    folder = ImageFolder(str(pictures))
    assert found.files == [str(Path(file).relative_to(pictures)) for file, _ in folder.samples]
    assert found.labels == [folder.classes[label] for _, label in folder.samples]


def test_features_are_those_of_an_evaluation_to_the_bit(run: Path, pictures: Path, tmp_path: Path) -> None:
    opened = open_run(run)
    config = data_for(["data=imagefolder", f"data.train={pictures}", "data.cache_mb=0"], opened.config)
    split = load_data(config).train
    encoder = opened.backbone().to(memory_format=torch.channels_last)
    batches = extract(encoder, split, 8, config.mean, config.std, choose_hardware("cpu", "fp32"))
    out = embed(
        [*embedding(run, pictures, tmp_path / "f.npy"), "batch_size=256", "accelerator=cpu"], silent=True
    )
    assert np.array_equal(np.load(out), torch.cat(list(batches)).numpy())


@pytest.mark.parametrize("more", [(), ("dtype=float16", "split=all", "data.holdout=0.3")])
def test_parquet_holds_what_npy_holds(
    run: Path, pictures: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    one, other = (
        read(embed(embedding(run, pictures, tmp_path / name, *more), silent=True))
        for name in ("f.npy", "f.parquet")
    )
    assert np.array_equal(one.features, other.features)
    assert one.features.dtype == other.features.dtype == ("float16" if more else "float32")
    assert one[1:] == other[1:]
    schema = parquet.read_schema(tmp_path / "f.parquet")
    assert schema.names == ["file", "label", *(["split"] if more else []), "features"]
    assert schema.field("features").type == arrow.list_(
        arrow.float16() if more else arrow.float32(), one.features.shape[1]
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.files.csv", "f.json", "f.npy", "f.parquet"]


def test_metadata_say_what_it_is_of(run: Path, found: Found) -> None:
    saved = open_run(run)
    expected = {
        "run": saved.digest, "method": "simsiam", "epoch": 1, "layer": "backbone", "mean": [MEAN], "std": [STD],
        "size": 8, "dtype": "float32", "images": COUNT, "rows": COUNT, "left_out": 0, "width": found.features.shape[1],
    }  # fmt: skip
    assert expected.items() <= found.about.items()
    assert found.about["data"]["name"] == "imagefolder"
    assert found.about["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert "git_commit" in found.about


@pytest.mark.parametrize("name", ["f.npy", "f.parquet"])
def test_metadata_say_nothing_of_the_machines_folders(
    run: Path, pictures: Path, tmp_path: Path, name: str
) -> None:
    if name == "f.parquet":
        pytest.importorskip("pyarrow")
    others = make_pictures(tmp_path / "others", 6, seed=1)
    overrides = embedding(run, pictures, tmp_path / name, f"data.test={others}", "split=all")
    about = json.dumps(read(embed(overrides, silent=True)).about)
    for folder in (run, pictures, others, tmp_path):
        assert str(folder.parent) not in about


def test_embedded_data_are_the_default_and_named_by_position(run: Path, tmp_path: Path) -> None:
    found = read(embed([f"run={run}", f"out={tmp_path / 'f.npy'}", "split=test"], silent=True))
    test = load_data(open_run(run).config.data).test
    assert test is not None
    assert test.labels is not None
    assert found.files == [str(i) for i in range(360)]
    assert found.labels == [str(label) for label in test.labels.tolist()]


def test_all_is_training_images_then_test_images(run: Path, pictures: Path, tmp_path: Path) -> None:
    part = {}
    for split in ("train", "test", "all"):
        overrides = embedding(run, pictures, tmp_path / f"{split}.npy", f"split={split}", "data.holdout=0.3")
        part[split] = read(embed(overrides, silent=True))
    for name in ("features", "files", "labels"):
        both = [*getattr(part["train"], name), *getattr(part["test"], name)]
        assert np.array_equal(both, list(getattr(part["all"], name)))
    said = [line.rpartition(",")[2] for line in (tmp_path / "all.files.csv").read_text().splitlines()]
    assert said == ["split", *["train"] * len(part["train"].files), *["test"] * len(part["test"].files)]


def test_projector_gives_the_embedding_z(run: Path, pictures: Path, tmp_path: Path, found: Found) -> None:
    z = read(embed(embedding(run, pictures, tmp_path / "z.npy", "layer=projector"), silent=True)).features
    with torch.no_grad():
        expected = open_run(run).method().encoder.projector(torch.from_numpy(found.features))
    torch.testing.assert_close(torch.from_numpy(z), expected, rtol=1e-4, atol=1e-5)


def test_random_is_the_encoder_before_its_training(
    run: Path, pictures: Path, tmp_path: Path, found: Found
) -> None:
    random = read(embed(embedding(run, pictures, tmp_path / "r.npy", "weights=random"), silent=True))
    config = data_for(["data=imagefolder", f"data.train={pictures}"], open_run(run).config)
    split = load_data(config).train
    expected = extract(
        open_run(run).backbone(trained=False), split, 8, [MEAN], [STD], choose_hardware("cpu", "fp32")
    )
    assert np.allclose(random.features, torch.cat(list(expected)).numpy(), rtol=1e-4, atol=1e-5)
    assert not np.allclose(random.features, found.features, rtol=1e-2, atol=1e-2)
    assert random.about["weights"] == "random"
    assert random.about["epoch"] == 0


def test_normalized_features_have_unit_length(
    run: Path, pictures: Path, tmp_path: Path, found: Found
) -> None:
    unit = read(embed(embedding(run, pictures, tmp_path / "u.npy", "normalize=true"), silent=True)).features
    assert np.allclose(
        unit, found.features / np.linalg.norm(found.features, axis=1, keepdims=True), atol=1e-6
    )


def test_float16_refuses_what_it_cannot_hold(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    def huge(*arguments: Any) -> Iterator[Tensor]:
        yield from (1e6 * batch.abs() for batch in extract(*arguments))

    monkeypatch.setattr(encoding, "extract", huge)
    with pytest.raises(UserError, match="dtype=float16 holds numbers up to 65504; a feature is"):
        embed(embedding(run, pictures, tmp_path / "f.npy", "dtype=float16"), silent=True)
    assert not list(tmp_path.iterdir())


def test_images_without_labels(run: Path, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("f.npy", "f.parquet"):
        found = read(embed(embedding(run, pictures / "ant", tmp_path / name), silent=True))
        assert found.labels == [None] * len(found.files)
        assert found.files == sorted(path.name for path in (pictures / "ant").iterdir())


def test_the_labelled_first_part_of_the_training_images_keeps_its_labels() -> None:
    images = torch.arange(40, dtype=torch.uint8).reshape(10, 1, 2, 2)
    train, bank = MemorySplit(images), MemorySplit(images[:4], torch.tensor([1, 0, 1, 1]))
    data = Data(train, bank, None, ("a", "b"), 1)
    assert [row.label for row in list_images(data, "train").rows()] == ["b", "a", "b", "b", *[None] * 6]
    drawn = Data(train.select(range(3, 9)), bank, None, ("a", "b"), 1)  # as data.limit draws a part
    assert [row.label for row in list_images(drawn, "train").rows()] == [None] * 6


def test_names_that_are_no_utf8_can_be_written(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    folder = make_pictures(tmp_path / "pictures", 6)
    try:
        (folder / "ant" / "001.png").rename(folder / "ant" / "caf\udce9 1,\u00e9.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    for name in ("f.npy", "f.parquet"):
        found = read(embed(embedding(run, folder, tmp_path / name), silent=True))
        assert "ant/caf\\xe9 1,\u00e9.png" in found.files


def test_memory_is_that_of_a_batch(run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    """Images stay files though they would fit into memory; no batch of features outlives the one after next."""
    pytest.importorskip("pyarrow")
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most, kinds = [], set()

    def watched(encoder: Any, split: Any, *rest: Any) -> Iterator[Tensor]:
        kinds.add(isinstance(split, FileSplit))
        for batch in extract(encoder, split, *rest):
            alive.add(batch)
            most.append(len(alive))
            yield batch

    read_at_once: list[Any] = []

    def chunks(self: store.Store) -> Iterator[Any]:
        for chunk in whole(self):
            read_at_once.append(len(chunk))
            yield chunk

    whole = store.Store.chunks
    monkeypatch.setattr(encoding, "extract", watched)
    monkeypatch.setattr(store, "CHUNK", 10)
    monkeypatch.setattr(store.Store, "chunks", chunks)
    pictures = make_pictures(tmp_path / "pictures", alike=True)  # which training would keep in memory
    embed(embedding(run, pictures, tmp_path / "f.parquet"), silent=True)
    assert len(most) == 9  # batches
    assert max(most) <= 2
    assert kinds == {True}
    assert read_at_once == [10, 10, 10, 10, 2]
    parquet = pytest.importorskip("pyarrow.parquet").ParquetFile(tmp_path / "f.parquet")
    assert [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)] == read_at_once
    parquet.close()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("out=features.csv", "out must be a file NAME.parquet or NAME.npy; received 'features.csv'"),
        ("layer=head", "layer must be one of backbone, projector; received 'head'"),
        ("lyer=projector", "unknown key 'lyer'; did you mean 'layer'?"),
        ("batch_size=0", "batch_size must be"),
        ("threads=100000", "threads must be at most the number of cores"),
        ("split=test", "split=test needs test images"),
        ("data.channels=3", "data.channels must be what the encoder was trained with, 1; received 3"),
        ("size=0", "size must be at least 1"),
        ("run=nowhere", "run takes a run directory or a checkpoint; received 'nowhere'"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_made(
    run: Path, pictures: Path, tmp_path: Path, override: str, message: str
) -> None:
    overrides = [
        w
        for w in embedding(run, pictures, tmp_path / "f.npy")
        if not w.startswith(override.partition("=")[0] + "=")
    ]
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        embed([*overrides, override], silent=True)
    assert not list(tmp_path.iterdir())


def test_a_size_that_the_encoder_cannot_read(
    run: Path, pictures: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    fixed = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)).eval()
    monkeypatch.setattr(SavedRun, "backbone", lambda self, **options: fixed)
    with pytest.raises(UserError, match="size must be one that the encoder can read; received 7"):
        embed(embedding(run, pictures, tmp_path / "f.npy", "size=7"), silent=True)
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_named_by_its_own_key(
    run: Path, pictures: Path, tmp_path: Path
) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match=r"^accelerator=gpu is not on this machine"):
        embed(embedding(run, pictures, tmp_path / "f.npy", "accelerator=gpu"), silent=True)


@pytest.mark.parametrize("there", ["f.npy", "f.json", "f.files.csv"])
def test_what_is_there_stays(run: Path, pictures: Path, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        embed(embedding(run, pictures, tmp_path / "f.npy"), silent=True)
    assert contents(tmp_path) == {there: b"mine"}


def test_parquet_needs_pyarrow(run: Path, pictures: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match=r"pip install 'ssl-zoo\[parquet\]', or set out=.*f\.npy"):
        embed(embedding(run, pictures, tmp_path / "f.parquet"), silent=True)
    embed(embedding(run, pictures, tmp_path / "f.npy"), silent=True)
    assert outputs.KEY not in json.loads((tmp_path / "f.json").read_text())
