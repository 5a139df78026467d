"""Size, stem and blur follow the images of a folder; a value that is given stands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssl_zoo.cli.main import main
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import config_hash, from_mapping, to_mapping
from ssl_zoo.data.folder_sample import gray_of, sides_of
from ssl_zoo.image_defaults import describe_images


@pytest.fixture
def small(tree: Any) -> Any:
    return tree(cat=3, dog=3, size=(40, 32))


def _composed(folder: Any, *overrides: Any) -> Any:
    base = ["data=imagefolder", f"data.train={folder}", "backbone.name=test_resnet"]
    given = {override.partition("=")[0] for override in overrides}
    return compose([*(override for override in base if override.partition("=")[0] not in given), *overrides])


def _chosen(config: Any) -> Any:
    return config.augment.size, config.backbone.stem, {view.blur.p for view in config.views}


@pytest.mark.parametrize("method", ["simsiam", "byol", "simclr", "moco", "swav", "mocov3", "nnclr"])
def test_small_images_are_trained_at_their_size(small: Any, method: str) -> None:
    config = _composed(small, f"method={method}")
    assert _chosen(config) == (32, "small", {0.0})
    assert describe_images(config) == "images are 40 x 32: augment.size=32, backbone.stem=small, blur off"


def test_large_images_are_trained_as_the_method_says(tree: Any) -> None:
    config = _composed(tree(cat=2, dog=2, size=(65, 300)), "method=byol")
    assert _chosen(config) == (224, "standard", {1.0, 0.1})
    assert describe_images(config).startswith(
        "images are 65 x 300: augment.size=224 (3.45 times their side), backbone.stem=sta"
    )


def test_the_median_of_the_shorter_sides_decides(tree: Any, noise: Any) -> None:
    root = tree(cat=3, dog=2, size=(20, 30))
    for number, size in enumerate(((500, 400), (300, 64), (64, 65), (41, 99))):
        noise(root / "dog" / f"large{number}.png", size)
    assert sides_of(str(root)) == (20, 20, 400, None)
    noise(root / "cat" / "last.png", (50, 50))
    noise(root / "cat" / "next.png", (60, 50))
    config = _composed(root)
    assert config.augment.size == 41
    assert describe_images(config).startswith(
        "images are 20 to 400 pixels on their shorter side, 41 in the median: "
    )


def test_an_image_that_lies_on_its_side_is_measured_upright(tmp_path: Path) -> None:
    for number in range(2):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.new("RGB", (30, 20)).save(tmp_path / f"{number}.jpg", exif=exif)
    assert sides_of(str(tmp_path)).shape == (20, 30)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "chosen"),
    [
        (["augment.size=48"], (48, "small", {0.0})),
        (["augment.size=96"], (96, "standard", {0.5})),  # a small stem there would take nine times the memory
        (["augment.size=96", "backbone.stem=small"], (96, "small", {0.5})),
        (["backbone.stem=small"], (32, "small", {0.0})),
        (["backbone.stem=standard"], (32, "standard", {0.0})),
        (["augment.blur.p=0.3"], (32, "small", {0.3})),
        (["backbone.pretrained=true"], (224, "standard", {0.5})),  # the weights' own stem and size
        (["experiment=cifar10/simsiam", "data=imagefolder"], (32, "small", {0.0})),
        (["experiment=imagenet/simsiam", "data=imagefolder"], (224, "standard", {0.5})),
    ],
)
def test_a_value_that_is_given_stands(small: Any, overrides: list[str], chosen: tuple[Any, ...]) -> None:
    config = _composed(small, *overrides)
    assert _chosen(config) == chosen
    if chosen[0] > 48:
        assert f"augment.size={chosen[0]} ({chosen[0] // 32} times their side)" in describe_images(config)


@pytest.mark.parametrize("kind", ["data", "recipe", "experiment"])
def test_a_value_of_the_users_yaml_stands(
    small: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    folder = {
        "data": "recipe/pets/default",
        "recipe": "recipe/pets/simsiam",
        "experiment": "experiment/pets",
    }[kind]
    for name, text in {
        "data/pets": "data: {name: pets, source: imagefolder}\n",
        folder: "augment: {size: 24}",
    }.items():
        file = tmp_path / "own" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setenv("SSL_ZOO_CONFIGS", str(tmp_path / "own"))
    config = _composed(small, "data=pets", *(["experiment=pets"] if kind == "experiment" else []))
    assert _chosen(config) == (24, "small", {0.0})


def test_transformers_take_whole_patches_and_keep_their_stem(tree: Any) -> None:
    config = _composed(tree(cat=1, dog=1, size=(28, 28)), "backbone.name=test_vit")
    assert _chosen(config) == (32, "standard", {0.0})


def test_it_is_one_configuration_like_any_other(small: Any) -> None:
    config = _composed(small)
    assert from_mapping(to_mapping(config)) == config
    said = _composed(small, "augment.size=32", "backbone.stem=small", "augment.blur.p=0", "seed=0")
    assert config_hash(said) == config_hash(config)


def test_folders_that_say_nothing_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    for name in ("empty", "broken", "missing"):
        config = _composed(tmp_path / name)
        assert _chosen(config) == (224, "standard", {0.5})
        assert describe_images(config) is None
    assert sides_of("~nobody-of-this-name/x") is sides_of("no\0name") is None


def test_headers_are_read_once_and_again_when_files_are_added(
    small: Any, noise: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **options: opened.append(path) or real(path, **options))
    for _ in range(3):
        assert sides_of(str(small)).shape == (40, 32)
    assert len(opened) == 6
    noise(small / "dog" / "more.png", (10, 10))
    os.utime(small / "dog", ns=(1, 1))
    assert sides_of(str(small)).least == 10


def test_a_sample_is_evenly_spaced_and_bounded(tree: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(cat=9, dog=9, size=(8, 8))
    monkeypatch.setattr("ssl_zoo.data.folder_sample._LOOKED_AT", 6)
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path, **options: opened.append(path) or real(path, **options))
    sides_of(str(root))
    assert [os.path.relpath(path, root) for path in opened] == [
        f"{kind}/0{number}.png" for kind in ("cat", "dog") for number in (0, 3, 6)
    ]


def test_the_line_is_shown(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "data=imagefolder", f"data.train={small}", "backbone.name=test_resnet"]) == 0
    assert capsys.readouterr().out.startswith(
        "# images are 40 x 32: augment.size=32, backbone.stem=small, blur off\n"
    )


# Gray --------------------------------------------------------------------------------------------------
def test_gray_statistics_are_measured(tmp_path: Path) -> None:
    for name, value in (("a", 0), ("b", 51), ("c", 255)):
        Image.new("L", (8, 8), value).save(tmp_path / f"{name}.png")
    assert gray_of(str(tmp_path)) == (0.4, pytest.approx(0.432, abs=1e-4))
    config = _composed(tmp_path, "data.channels=1")
    assert (config.data.mean, config.data.std) == ((0.4,), (0.432,))
    given = _composed(tmp_path, "data.channels=1", "data.mean=[0.5]")
    assert (given.data.mean, given.data.std) == ((0.5,), (0.432,))


def test_gray_of_colours_that_cannot_be_measured_is_their_luma() -> None:
    data = compose(["data=cifar10", "data.channels=1"]).data
    assert data.mean == (round(0.299 * 0.4914 + 0.587 * 0.4822 + 0.114 * 0.4465, 4),)
    assert compose(["data=digits", "data.channels=3"]).data.mean == (0.3, 0.3, 0.3)
    assert compose(["data=imagefolder", "data.train=missing", "data.channels=1"]).data.mean == (0.459,)
