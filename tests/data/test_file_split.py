"""Splits of files: crops against torchvision's, workers, evaluation views."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp, kstest
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as F

from ssl_zoo.config.schema import CropConfig, ViewConfig
from ssl_zoo.data import FileSplit, SkippingSplit
from ssl_zoo.data.crop import crop_and_resize, random_box
from ssl_zoo.data.rng import permutation, stream
from ssl_zoo.data.split import plain_view
from ssl_zoo.errors import UserError

# From Python 3.12 on; the worker processes start no threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

VIEWS = [ViewConfig(size=16), ViewConfig(size=16), ViewConfig(size=8, crop=CropConfig(scale=(0.05, 0.2)))]


@pytest.fixture
def make(tmp_path: Path, noise: Any) -> Any:
    """Makes a split of 11 images of different sizes."""

    def split(workers: int = 0, channels: int = 3) -> Any:
        for number in range(11):
            noise(tmp_path / f"{number}.png", (30 + number, 50 - 2 * number), seed=number)
        return FileSplit(
            tmp_path, tuple(f"{n}.png" for n in range(11)), torch.arange(11) % 3, channels, workers
        )

    return split


def _close(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    """Whether two resized images are equal to a gray level: torch's weights are shorter than Pillow's."""
    return ours.shape == theirs.shape and int((ours.int() - theirs.int()).abs().max()) <= 1


def _equal(left: Any, right: Any) -> None:
    assert len(left) == len(right)
    for a, b in zip(left, right, strict=True):
        assert torch.equal(a.index, b.index)
        assert len(a.images) == len(b.images)
        assert all(torch.equal(x, y) for x, y in zip(a.images, b.images, strict=True))


# Boxes -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "scale", "ratio"),
    [
        ((60, 40), (0.2, 1.0), (3 / 4, 4 / 3)),
        ((40, 90), (0.05, 0.14), (0.5, 1.0)),
        ((33, 33), (0.9, 1.0), (1.0, 1.0)),
    ],
)
def test_boxes_are_distributed_as_torchvisions(
    size: tuple[int, ...], scale: tuple[float, ...], ratio: Any
) -> None:
    torch.manual_seed(0)
    image, crop = Image.new("L", size), CropConfig(scale=scale, ratio=ratio)
    theirs = np.array(
        [RandomResizedCrop.get_params(image, scale, ratio) for _ in range(1500)]
    )  # top, left, h, w
    ours = np.array([random_box(*size, crop, stream(0, "crop", i)) for i in range(1500)])  # left, top, w, h
    for column, name in enumerate(("left", "top", "width", "height")):
        p = ks_2samp(ours[:, column], theirs[:, [1, 0, 3, 2][column]]).pvalue
        assert p > 0.001, (name, p)
    assert ks_2samp(ours[:, 2] * ours[:, 3], theirs[:, 2] * theirs[:, 3]).pvalue > 0.001


def test_areas_and_log_ratios_are_uniform() -> None:
    """In a large square with room for every box, where no draw is rejected and rounding is negligible."""
    crop = CropConfig(scale=(0.1, 0.4), ratio=(0.5, 2.0))
    boxes = np.array([random_box(10_000, 10_000, crop, stream(1, "crop", i)) for i in range(2000)])
    area, ratio = boxes[:, 2] * boxes[:, 3] / 1e8, np.log(boxes[:, 2] / boxes[:, 3])
    assert kstest(area, "uniform", args=(0.1, 0.3)).pvalue > 0.001
    assert kstest(ratio, "uniform", args=(-np.log(2), 2 * np.log(2))).pvalue > 0.001
    assert kstest(boxes[:, 0] / (10_000 - boxes[:, 2]), "uniform").pvalue > 0.001


@pytest.mark.parametrize("size", [(100, 10), (10, 100), (31, 30)])
def test_where_no_box_fits_it_is_torchvisions_central_one(size: tuple[int, ...]) -> None:
    ratio = (0.9, 1.1) if size[0] != 31 else (0.5, 0.6)
    scale = (1.0, 1.0)
    top, left, height, width = RandomResizedCrop.get_params(Image.new("L", size), scale, ratio)
    ours = random_box(*size, CropConfig(scale=scale, ratio=ratio), stream(0, "crop"))
    assert ours == (left, top, width, height)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_crop_has_torchvisions_pixels(interpolation: str, tmp_path: Path, noise: Any) -> None:
    image = Image.open(noise(tmp_path / "image.png", (60, 40)))
    crop = CropConfig(interpolation=interpolation)
    for number in range(5):
        left, top, width, height = random_box(60, 40, crop, stream(0, "crop", number))
        ours = crop_and_resize(image, 16, crop, stream(0, "crop", number))
        mode = InterpolationMode(interpolation)
        expected = F.resized_crop(image, top, left, height, width, [16, 16], mode, antialias=True)
        assert np.array_equal(np.asarray(ours), np.asarray(expected))


# Training ----------------------------------------------------------------------------------------------
def test_a_batch_has_one_tensor_per_view(make: Any) -> None:
    split = make()
    batches = list(split.train_loader(4, VIEWS, seed=0))
    assert len(batches) == 2
    for images, index in batches:
        assert [tuple(view.shape) for view in images] == [(4, 3, 16, 16), (4, 3, 16, 16), (4, 3, 8, 8)]
        assert all(view.dtype == torch.uint8 for view in images)
        assert not torch.equal(images[0], images[1])
        for row, position in enumerate(index.tolist()):
            image = Image.open(split.root / split.names[position])
            left, top, w, h = random_box(*image.size, VIEWS[2].crop, stream(0, "crop", 0, position, 2))
            expected = F.pil_to_tensor(F.resized_crop(image, top, left, h, w, [8, 8], antialias=True))
            assert _close(images[2][row], expected)


def test_the_number_of_workers_changes_nothing(make: Any) -> None:
    runs = []
    for workers in (0, 1, 2):
        loader = make(workers).train_loader(3, VIEWS, seed=5)
        runs.append([*loader, *loader])
    _equal(runs[0], runs[1])
    _equal(runs[0], runs[2])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_goes_on_where_it_stopped(make: Any, workers: int) -> None:
    loader = make(workers).train_loader(3, VIEWS, seed=5)
    loader.set_position(2)
    whole = list(loader)
    loader.set_position(2, 1)
    _equal(list(loader), whole[1:])
    loader.set_position(2)
    next(iter(loader))  # left early
    loader.set_position(2)
    _equal(list(loader), whole)


def test_crops_can_be_pillows_as_before(make: Any) -> None:
    split = make()
    loader, before = (split.train_loader(11, VIEWS, seed=0) for _ in range(2))
    before.resizing = 1
    (ours,), (theirs,) = loader, before
    for number, view in enumerate(VIEWS):
        for row, position in enumerate(theirs.index.tolist()):
            image = Image.open(split.root / split.names[position])
            expected = crop_and_resize(image, view.size, view.crop, stream(0, "crop", 0, position, number))
            assert torch.equal(theirs.images[number][row], F.pil_to_tensor(expected))
        assert _close(ours.images[number], theirs.images[number])
    assert not torch.equal(ours.images[0], theirs.images[0])


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_keep_their_values_when_their_memory_is_used_again(make: Any, workers: int) -> None:
    """A worker process has memory for three results; five are kept here, of two sizes."""
    split = make(workers)
    batches = list(split.plain_batches(24, 2))
    assert [len(batch) for batch in batches] == [2, 2, 2, 2, 2, 1]
    for start, batch in enumerate(batches):
        for row, image in enumerate(batch, 2 * start):
            view = plain_view(Image.open(split.root / split.names[row]), 24)
            assert torch.equal(image, F.pil_to_tensor(view))
    assert len({batch.untyped_storage().data_ptr() for batch in batches}) == len(batches)


def test_crops_differ_between_epochs_images_and_seeds(make: Any) -> None:
    split = make()
    one, two = split.train_loader(11, VIEWS[:1], seed=0), split.train_loader(11, VIEWS[:1], seed=1)
    crops = []
    for loader in (one, one, two):
        (batch,) = loader
        crops.append(batch.images[0][batch.index.argsort()])
    assert not torch.equal(crops[0], crops[1])
    assert not torch.equal(crops[0], crops[2])
    assert len(crops[0].unique(dim=0)) == 11


@pytest.mark.parametrize("workers", [0, 1])
def test_nothing_draws_from_the_global_generator(make: Any, workers: int) -> None:
    split = make(workers)
    state = torch.get_rng_state()
    list(split.train_loader(4, VIEWS, seed=0))
    list(split.plain_batches(8, 4))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_later_is_named(make: Any, workers: int) -> None:
    split = make(workers)
    (split.root / "7.png").write_text("broken")
    for batches in (split.train_loader(11, VIEWS, seed=0), split.plain_batches(8, 11)):
        with pytest.raises(UserError) as error:
            list(batches)
        message = str(error.value)
        assert message.startswith("every image must be readable; ")
        assert str(split.root / "7.png") in message
        assert "replace or remove the file, or set data.on_error=skip" in message
        assert "Traceback" not in message


@pytest.mark.parametrize("workers", [0, 1])
def test_or_gives_way_to_the_next_one_where_files_are_skipped(make: Any, workers: int) -> None:
    split = make(workers)
    split.unreadable = {}
    (split.root / "7.png").unlink()
    (split.root / "8.png").write_text("broken")
    loader, part = split.train_loader(11, VIEWS, seed=0), split.select([7, 3])
    (batch,), (again,) = list(loader), list(part.train_loader(2, VIEWS, seed=0))
    order = permutation(11, 0, "order", 0)
    assert batch.index.tolist() == [{7: 9, 8: 9}.get(i, i) for i in order.tolist()]
    assert again.index.tolist() == [1, 1], "the next one of a selection is its own"
    reasons = {
        str(split.root / "7.png"): "no such file or directory",
        str(split.root / "8.png"): "cannot be identified",
    }
    assert split.unreadable.keys() == reasons.keys()
    assert all(split.unreadable[path].startswith(reason) for path, reason in reasons.items())
    shutil.rmtree(split.root)
    with pytest.raises(UserError, match="every image must be readable"):
        list(loader)


def test_forgiving_splits_say_which_images_are_black(make: Any) -> None:
    split = make()
    (split.root / "7.png").unlink()
    split.unreadable = {}
    images = SkippingSplit(split)
    faults = [(len(batch), images.faults) for batch in images.plain_batches(8, 4)]
    assert faults == [(4, {}), (4, {3: "no such file or directory"}), (3, {})]
    assert split.unreadable == {str(split.root / "7.png"): "no such file or directory"}


# Evaluation --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_batches_of_small_images(make: Any, workers: int, channels: int) -> None:
    """The shorter side is at most 96 pixels: resized to the size itself, then cropped to a square."""
    split = make(workers, channels)
    batches = list(split.plain_batches(20, batch_size=4))
    assert [tuple(batch.shape) for batch in batches] == [(n, channels, 20, 20) for n in (4, 4, 3)]
    for name, plain in zip(split.names, torch.cat(batches), strict=True):
        image = Image.open(split.root / name).convert("L" if channels == 1 else "RGB")
        expected = F.center_crop(F.resize(image, 20), 20)
        assert torch.equal(plain, F.pil_to_tensor(expected))


def test_plain_batches_of_large_images(tmp_path: Path, noise: Any) -> None:
    """As ImageNet models are evaluated: 256 for a size of 224, then the centre."""
    for name, size in (("a.png", (97, 130)), ("b.png", (300, 200)), ("c.png", (96, 300))):
        noise(tmp_path / name, size)
    (plain,) = FileSplit(tmp_path, ("a.png", "b.png", "c.png"), None, 3, 0).plain_batches(56, 3)
    for row, (name, side) in enumerate((("a.png", 64), ("b.png", 64), ("c.png", 56))):
        expected = F.center_crop(F.resize(Image.open(tmp_path / name), side), 56)
        assert torch.equal(plain[row], F.pil_to_tensor(expected)), name


def test_select(make: Any) -> None:
    split = make()
    part = split.select(torch.tensor([4, 0, 9]))
    assert part.names == ("4.png", "0.png", "9.png")
    assert part.labels.tolist() == [1, 0, 0]
    assert len(part) == 3
    assert torch.equal(
        torch.cat(list(part.plain_batches(8, 2))), torch.cat(list(split.plain_batches(8, 11)))[[4, 0, 9]]
    )
