"""The experiments: what they set, beside a table of the papers' settings, and one short run of each."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image
from reference.recipes import HEADERS, TABLE

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.config.groups import group_file, group_names
from ssl_zoo.config.mapping import from_mapping, to_mapping
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.data import load_data
from ssl_zoo.errors import UserError
from ssl_zoo.training.optim import peak_lr

NAMES = group_names("experiment")


def overrides(name: str, *more: str) -> list[str]:
    return [f"experiment={name}", *(["data.train=here"] if name.startswith("imagenet") else []), *more]


@functools.cache
def composed(name: str) -> RunConfig:
    return compose(overrides(name))


def setting(config: RunConfig, key: str) -> Any:
    """A value by its dotted key, or one of the table's own names."""
    views, jitter, optimizer = config.views, config.augment.jitter, config.optimizer
    peak = peak_lr(optimizer, config.batch_size * config.trainer.accumulate)
    own = {
        "peak": peak,
        "last": peak * optimizer.final_lr_fraction,
        "first": peak * optimizer.warmup_lr_fraction if optimizer.warmup_epochs else None,
        "head": [getattr(config.method.projector, part) for part in ("layers", "hidden_dim", "output_dim")],
        "jitter": [jitter.strength * getattr(jitter, part) for part in ("brightness", "contrast", "saturation", "hue")],
        "sizes": [view.size for view in views],
        "scales": [list(view.crop.scale) for view in views],
        "blur": [view.blur.p for view in views],
        "solarize": [view.solarize.p for view in views],
        "operations": {view.jitter.operations for view in views},
        "padding": {view.blur.padding for view in views},
    }  # fmt: skip
    if key in own:
        return own[key]
    value: Any = to_mapping(config)
    for part in key.split("."):
        value = value[part]
    return value


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(HEADERS) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_settings_are_the_papers(name: str) -> None:
    config = composed(name)
    assert [view.jitter.p for view in config.views if view.jitter.p] == [0.8] * (
        1 if name.endswith("ressl") else len(config.views)  # whose target is weakly augmented
    )
    assert config.experiment == name
    for key, expected in TABLE[name].items():
        found = setting(config, key)
        same = found == pytest.approx(expected) if isinstance(expected, float) else found == expected
        assert same, f"{key} is {found}, not {expected}"


@pytest.mark.parametrize("name", NAMES)
def test_header_has_source_command_and_the_papers_figures(name: str) -> None:
    lines = [
        line[1:].strip()
        for line in group_file("experiment", name).read_text().splitlines()
        if line[:1] == "#"
    ]
    header = " ".join(lines)
    for part in (
        "https://",
        f"ssl-zoo train experiment={name} ",
        "Expected",
        "Deviations",
        "ot measured here yet",
    ):
        assert part in header, part
    assert HEADERS[name] in header


def test_the_predictor_is_a_quarter_as_wide_as_its_output() -> None:
    small = ("backbone.name=test_resnet", "method.projector.hidden_dim=16", "method.projector.output_dim=64")
    method = ssl_zoo.build_method(overrides("cifar10/simsiam", *small))
    shapes = [tuple(p.shape) for p in method.predictor.parameters() if p.ndim == 2]
    assert shapes == [(16, 64), (64, 16)]


def test_small_crops_are_blurred_with_a_kernel_of_23_pixels() -> None:
    from ssl_zoo.augment.blur import kernel_side

    for name in ("imagenet/swav_multicrop", "imagenet/dino"):
        views = composed(name).views
        assert {(view.size, kernel_side(view.blur.kernel, view.size)) for view in views} == {
            (224, 23),
            (96, 23),
        }


@pytest.mark.parametrize("name", [name for name in NAMES if "_" not in name or "crop" in name])
def test_data_of_the_users_keeps_the_settings(name: str) -> None:
    """The others build on these. Of all data CIFAR-10 asks for the most: backbone, stem, size, views, batch."""
    data = "cifar10" if name.startswith("imagenet") else "imagefolder"
    other = to_mapping(compose([f"experiment={name}", f"data={data}", "data.train=here"]))
    own = to_mapping(composed(name))
    assert (other.pop("data")["name"], own.pop("data")["name"]) == (data, name.partition("/")[0])
    assert other == own


@pytest.mark.parametrize("method", ["simsiam", "byol", "simclr", "moco", "swav"])
def test_a_methods_defaults_are_its_experiment(method: str) -> None:
    """They state some values twice. SimSiam's baseline has a batch of 512, SwAV's script 400 epochs; SimCLR's
    and BYOL's defaults are their papers', the experiments have what their codes have otherwise."""
    default = dict(flat(to_mapping(compose([f"method={method}", "data=imagenet", "data.train=here"]))))
    experiment = dict(flat(to_mapping(composed(f"imagenet/{method}"))))
    assert default.keys() == experiment.keys()
    differing = {key: (default[key], experiment[key]) for key in default if default[key] != experiment[key]}
    expected = {
        "simsiam": {"batch_size": (512, 256)},
        "swav": {"epochs": (100, 400)},
        "simclr": {"method.loss_scale": (1, 2)},
    }.get(method, {})
    if method in ("simclr", "byol"):
        expected |= {key: ("torchvision", method) for key in default if key.endswith("jitter.operations")}
        expected |= {key: ("reflect", "zeros") for key in default if key.endswith("blur.padding")}
    assert differing == expected | {"experiment": (None, f"imagenet/{method}")}


def flat(mapping: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def test_only_the_number_of_epochs_changes_with_it() -> None:
    short, long = (to_mapping(compose(overrides("imagenet/simsiam", f"epochs={n}"))) for n in (100, 800))
    assert (short.pop("epochs"), long.pop("epochs")) == (100, 800)
    assert short == long


def test_no_recipe_creeps_in() -> None:
    assert compose(["method=simsiam", "data=digits"]).recipe == "digits/simsiam"
    config = compose(["experiment=cifar10/simsiam", "data=digits"])
    assert (config.recipe, config.epochs, config.optimizer.lr) == (None, 800, 0.03)
    asked = compose(["experiment=cifar10/byol", "data=digits", "recipe=digits/byol"])
    assert (asked.recipe, asked.method.predictor.lr, asked.optimizer.lr) == ("digits/byol", "constant", 0.03)


def test_overrides_win_over_an_experiment() -> None:
    config = compose(overrides("imagenet/byol_200", "optimizer.lr=0.1", "epochs=3", "method=byol"))
    assert (config.optimizer.lr, config.epochs, config.batch_size) == (0.1, 3, 4096)


@pytest.mark.parametrize("name", ["imagenet/byol", "imagenet/byol_1000", "cifar10/byol"])
def test_another_method_is_refused(name: str) -> None:
    message = f"^experiment={name} has the settings of method=byol .*received method=simclr; leave out one of the two$"
    with pytest.raises(UserError, match=message):
        compose(overrides(name, "method=simclr"))


def test_own_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that builds on another is of its method; one that names none goes with any, and with its recipe."""
    folder = tmp_path / "experiment" / "mine"
    folder.mkdir(parents=True)
    built = "defaults:\n  - /experiment/imagenet/byol_300\n  - _self_\nepochs: 7\n"
    (folder / "built.yaml").write_text("# Built.\n" + built)
    (folder / "short.yaml").write_text("# Short.\nepochs: 7\n")
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path))
    config = compose(["experiment=mine/built", "data.train=here"])
    assert (config.method.name, config.data.name, config.optimizer.lr, config.epochs) == (
        "byol",
        "imagenet",
        0.3,
        7,
    )
    with pytest.raises(UserError, match="experiment=mine/built has the settings of method=byol"):
        compose(["experiment=mine/built", "method=moco"])
    config = compose(["experiment=mine/short", "method=moco"])
    assert (config.method.name, config.recipe, config.epochs) == ("moco", "digits/moco", 7)


def test_imagenet_without_its_folder_says_which_key_is_missing() -> None:
    with pytest.raises(UserError, match=r"data\.train is not set; set data\.train=FOLDER"):
        load_data(compose(["experiment=imagenet/simsiam"]).data)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ImageNet's layout: train/CLASS and val/CLASS, images of different sizes."""
    root, generator = tmp_path_factory.mktemp("imagenet"), torch.Generator().manual_seed(0)
    for number in range(24):
        shape = (36 + number % 5, 44 - number % 3, 3)
        pixels = torch.randint(0, 255, shape, generator=generator, dtype=torch.uint8)
        file = root / ("train" if number < 16 else "val") / f"n0{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.numpy()).save(file)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_two_steps_of_each(name: str, pictures: Path, tmp_path: Path) -> None:
    """Everything as the experiment says, but for widths, sizes and lengths."""
    config = composed(name)
    backbone = "test_vit" if config.backbone.freeze_patch_embedding else "test_resnet"
    own_data = "data=imagenet" if name.startswith("imagenet") else "data=imagefolder"
    small = [
        f"experiment={name}", own_data, f"data.train={pictures / 'train'}", "data.workers=0", "precision=fp32",
        f"augment.size={32 if config.backbone.stem == 'standard' else 16}", f"backbone.name={backbone}",
        "method.projector.hidden_dim=16", "method.projector.output_dim=8", "method.queue.size=16", "batch_size=8",
        "epochs=1", f"run_dir={tmp_path / 'run'}", "monitor.samples=8", "trainer.progress=false",
    ]  # fmt: skip
    if config.method.predictor.hidden_dim is not None:
        small.append("method.predictor.hidden_dim=8")
    if config.method.prototypes.number:
        small.append("method.prototypes.number=6")
    if config.method.sinkhorn.queue_size:
        small += ["method.sinkhorn.queue_size=8", "method.sinkhorn.queue_from_epoch=0"]
    if len(config.views) > 2:
        small.append("augment.views.small.size=16")
    if name == "imagenet/simsiam":  # accuracies cost most of the time and are the same for all
        small += [f"data.test={pictures / 'val'}", "monitor.baselines=false", "monitor.knn.k=3"]
        small += ["monitor.probe.draws=1", "monitor.probe.labels_per_class=2"]
    result = ssl_zoo.train(small, silent=True)
    assert (result.steps, result.method) == (2, config.method.name)
    assert (result.knn_top1 is not None) == (name == "imagenet/simsiam")
    assert result.loss is not None
    assert result.verdict != "diverged"
    assert result.differs_from_paper == ({"symmetric": True} if name.endswith("moco_plus") else {})
    saved = from_mapping(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()))
    assert (saved.experiment, saved.recipe, len(saved.views)) == (name, None, len(config.views))
