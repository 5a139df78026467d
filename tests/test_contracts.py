"""Contracts of everything that is registered, a plugin's too: to register something is to have it tested."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import plugins
from helpers.example import ADDED, REGISTRIES, install_example
from helpers.exports import COLOUR, make
from PIL import Image
from torchvision.datasets import ImageFolder

import ssl_zoo
from ssl_zoo import registry
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_names
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import load_data, torchvision_sets
from ssl_zoo.data.given import passing
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.compose import compose_evaluations, read_eval
from ssl_zoo.evaluation.protocols import PROTOCOLS
from ssl_zoo.exporters.formats import EXPORTERS
from ssl_zoo.exporters.schema import ExportConfig
from ssl_zoo.metrics import Embeddings, computed
from ssl_zoo.sharding.run import write_shards
from ssl_zoo.testing import check_method


def names(group: str) -> list[str]:
    return [*dict.fromkeys([*REGISTRIES[group].names(), *plugins.installed(group), ADDED[group]])]


@pytest.fixture(scope="module", autouse=True)
def _installed_plugins() -> Iterator[None]:
    """Shows the plugins that are hidden from other tests, which shall not find them registered either."""
    with pytest.MonkeyPatch.context() as patch:
        for kind in REGISTRIES.values():
            kind.all()
            patch.setattr(kind, "_entries", dict(kind._entries))
        patch.setattr(registry, "_plugins", plugins.find_all)
        yield


@pytest.fixture(autouse=True)
def _example(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    install_example(tmp_path_factory.mktemp("site"), monkeypatch)


@pytest.mark.parametrize(("group", "name"), [(group, name) for group in REGISTRIES for name in names(group)])
def test_an_entry_is_found_and_described(group: str, name: str) -> None:
    kind = REGISTRIES[group]
    entry: Any = kind.get(name)
    assert entry.name == name
    assert dataclasses.is_dataclass(entry.config) or group == "metrics"
    assert entry.meaning if group == "metrics" else entry.summary
    with pytest.raises(UserError, match=f"unknown {kind.kind} '{name}s'.*did you mean '{name}'"):
        kind.get(f"{name}s")
    yaml_group = {"methods": "method", "data": "data", "protocols": "protocol"}.get(group)
    assert yaml_group is None or name in group_names(yaml_group), "its YAML is configs/GROUP/NAME.yaml"


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.parametrize("name", dict.fromkeys([*names("methods"), *group_names("method")]))
def test_a_method_keeps_the_contract(name: str) -> None:
    check_method(name)


@pytest.mark.parametrize("name", names("data"))
def test_a_data_source_gives_images_with_fitting_labels(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def skip(*_: Any, **__: Any) -> None:
        pytest.skip("needs a download: tests/data/test_torchvision_sets.py has a small one")

    monkeypatch.setattr(torchvision_sets, "open_published", skip)
    source: Any = REGISTRIES["data"].get(name)
    assert issubclass(source.config, DataConfig)
    for image in range(4):
        folder = tmp_path / f"class{image % 2}"
        folder.mkdir(exist_ok=True)
        pixels = np.random.default_rng(image).integers(0, 255, (9, 9, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{image}.png")
    given = [f"data.train={tmp_path}"] if source.folders else []
    if name == "huggingface":
        files = sorted(tmp_path.rglob("*.png"))
        columns = {"image": [file.read_bytes() for file in files], "label": [0, 0, 1, 1]}
        made = pytest.importorskip("datasets").Dataset.from_dict(columns)
        made.save_to_disk(tmp_path / "saved")
        given = [f"data.path={tmp_path / 'saved'}"]
    if name == "webdataset":
        out = write_shards([f"data.train={tmp_path}", f"out={tmp_path.with_name('shards')}"], silent=True)
        given = [f"data.train={out}", f"data.root={out}/cache"]
    with passing(given, ImageFolder(str(tmp_path)) if name == "dataset" else None) as overrides:
        config = compose([f"data={name}", *overrides]).data
        assert type(config) is source.config
        data = load_data(config)
    assert data.channels == config.channels
    for split in (data.train, data.labelled, data.test):
        if split is None:
            continue
        [first, *_] = split.plain_batches(8, 4)
        assert (first.dtype, first.shape[1:]) == (torch.uint8, (config.channels, 8, 8))
        if split is not data.train:
            assert split.labels is not None
            assert data.classes is not None
            assert split.labels.unique().tolist() == list(range(len(data.classes)))
    if source.side is not None:
        [native, *_] = data.train.plain_batches(source.side, len(data.train))
        values = native.double() / 255  # (N, C, side, side)
        mean, std = (np.array(getattr(config, key)) for key in ("mean", "std"))
        assert np.abs(values.mean((0, 2, 3)).numpy() - mean).max() < 0.05, "mean of its YAML"
        assert np.abs(values.std((0, 2, 3)).numpy() - std).max() < 0.05, "std of its YAML"


@pytest.mark.parametrize("name", names("protocols"))
def test_a_protocol_composes_with_settings_of_its_own(name: str) -> None:
    kind: Any = PROTOCOLS.get(name)
    assert kind.config() == kind.config(), "every key has a default"
    data = ["data=digits"] if kind.reads_images else []
    overrides = read_eval([f"protocol={name}", "backbone.name=test_resnet", *data])
    [config], _ = compose_evaluations(overrides, None)
    assert type(getattr(config, name)) is kind.config
    assert (config.data is None) != kind.reads_images


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "run"
    return make(folder, *COLOUR, "backbone.name=resnet18", "augment.size=32")


@pytest.mark.parametrize("name", names("exporters"))
def test_an_export_holds_the_files_that_its_card_names(name: str, exported: Path, tmp_path: Path) -> None:
    entry = EXPORTERS.get(name)
    assert issubclass(entry.config, ExportConfig)
    for package in entry.packages:
        pytest.importorskip(package)
    folder = ssl_zoo.export([f"run={exported}", f"format={name}", f"out={tmp_path / name}"], silent=True)
    card = (folder / "MODEL_CARD.md").read_text()
    files = {file.name for file in folder.iterdir()} - {"MODEL_CARD.md"}
    assert files
    assert all(f"`{file}`" in card for file in files)
    assert "```python" in card


@pytest.mark.parametrize(
    "name", dict.fromkeys([*computed(), *plugins.installed("metrics"), ADDED["metrics"]])
)
def test_a_metric_is_a_finite_number_of_any_embeddings(name: str) -> None:
    metric = computed()[name]
    for z in (torch.randn(12, 6), torch.ones(12, 6), torch.randn(3, 40, dtype=torch.float64)):
        weight = torch.eye(z.shape[1], dtype=z.dtype)
        view = Embeddings(z, predictions=2 * z + 1, predictor_weight=weight, recovered=z - 1)
        value = metric.load()(*[view] * metric.views)
        assert np.isfinite(float(value))
