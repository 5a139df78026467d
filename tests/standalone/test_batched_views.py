"""Batched views in place of lightly's transforms: settings read back, input, collate. `test_lightly` in tests/augment
compares the views themselves."""

from __future__ import annotations

import inspect
from typing import Any

import lightly.transforms
import numpy as np
import pytest
import torch
from lightly.transforms import BYOLTransform, BYOLView1Transform  # type: ignore[attr-defined]
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import ToTensor

from ssl_zoo import BatchedViews, UserError
from ssl_zoo.config.schema import ViewConfig

IMAGES = torch.randint(0, 256, (6, 3, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
# Of each view: size, smallest and largest crop, jitter (p, brightness, saturation, hue), gray, blur, solarize.
DEFAULTS: dict[str, list[tuple[Any, ...]]] = {
    "SimSiamTransform": [(224, 0.2, 1.0, (0.8, 0.4, 0.4, 0.1), 0.2, 0.5, 0.0)] * 2,
    "SimCLRTransform": [(224, 0.08, 1.0, (0.8, 0.8, 0.8, 0.2), 0.2, 0.5, 0.0)] * 2,
    "MoCoV1Transform": [(224, 0.2, 1.0, (0.8, 0.4, 0.4, 0.4), 0.2, 0.0, 0.0)] * 2,
    "MoCoV2Transform": [(224, 0.2, 1.0, (0.8, 0.4, 0.4, 0.1), 0.2, 0.5, 0.0)] * 2,
    "BYOLTransform": [
        (224, 0.08, 1.0, (0.8, 0.4, 0.2, 0.1), 0.2, 1.0, 0.0), (224, 0.08, 1.0, (0.8, 0.4, 0.2, 0.1), 0.2, 0.1, 0.2),
    ],
    "SwaVTransform": [(224, 0.14, 1.0, (0.8, 0.8, 0.8, 0.2), 0.2, 0.5, 0.0)] * 2
    + [(96, 0.05, 0.14, (0.8, 0.8, 0.8, 0.2), 0.2, 0.5, 0.0)] * 6,
    "DINOTransform": [
        (224, 0.4, 1.0, (0.8, 0.4, 0.2, 0.1), 0.2, 1.0, 0.0), (224, 0.4, 1.0, (0.8, 0.4, 0.2, 0.1), 0.2, 0.1, 0.2),
    ] + [(96, 0.05, 0.4, (0.8, 0.4, 0.2, 0.1), 0.2, 0.5, 0.0)] * 6,
    "FastSiamTransform": [(224, 0.2, 1.0, (0.8, 0.4, 0.4, 0.1), 0.2, 0.5, 0.0)] * 4,
}  # fmt: skip


def summary(view: ViewConfig) -> tuple[Any, ...]:
    jitter = view.jitter
    colours = (jitter.p, jitter.brightness, jitter.saturation, jitter.hue)
    return (view.size, *view.crop.scale, colours, view.grayscale, view.blur.p, view.solarize.p)


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_installed_lightly(name: str) -> None:
    """A default that lightly changes is followed, and noticed here."""
    views = BatchedViews(name)
    assert [summary(view) for view in views.views] == DEFAULTS[name]
    assert views.augment.mean == (0.485, 0.456, 0.406)
    assert {view.crop.interpolation for view in views.views} == {"bicubic" if "DINO" in name else "bilinear"}
    parameters = inspect.signature(getattr(lightly.transforms, name)).parameters
    if "cj_strength" in parameters and name != "DINOTransform":  # whose second view passes its strength by
        half = BatchedViews(name, cj_strength=parameters["cj_strength"].default / 2, normalize=None)
        assert half.views[0].jitter.hue == pytest.approx(views.views[0].jitter.hue / 2)
        assert half.augment.std == (1.0, 1.0, 1.0)


def test_a_transform_that_was_made_is_read_back() -> None:
    view = BYOLView1Transform(input_size=8, gaussian_blur=0.0, sigmas=(0.5, 1.0))
    views = BatchedViews(BYOLTransform(view, BYOLView1Transform(input_size=8, sigmas=(0.5, 1.0))))
    assert [each.blur.p for each in views.views] == [0.0, 1.0]
    assert views.views[1].blur.sigma == (0.5, 1.0)
    assert (
        BatchedViews("SimCLRTransform", size=8).views == BatchedViews("SimCLRTransform", input_size=8).views
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({}, "received neither"),
     ({"transform": "SimsiamTransform"}, "did you mean 'SimSiamTransform'"),
     ({"transform": "SimSiamTransform", "vf_prob": 0.5}, "RandomVerticalFlip; BatchedViews has it at probability 0"),
     ({"transform": "SimSiamTransform", "rr_prob": 0.5}, "RandomRotate; BatchedViews has it at probability 0"),
     ({"transform": "SimSiamTransform", "rr_prob": 0.5, "rr_degrees": 9.0}, "RandomRotateDegrees"),
     ({"transform": "SimSiamTransform", "color": 1}, "unexpected keyword argument 'color'"),
     ({"transform": "VICRegTransform"}, "GaussianBlur after RandomSolarization"),
     ({"transform": "WMSETransform"}, "RandomResizedCrop after"),
     ({"transform": "PIRLTransform"}, "no RandomResizedCrop|which BatchedViews has not"),
     ({"transform": "SwaVTransform", "size": 32}, r"makes them of \[96, 224\]"),
     ({"transform": ToTensor()}, "no RandomResizedCrop"),
     ({"transform": ToTensor(), "cj_prob": 1.0}, "settings go with the name"),
     ({"transform": "SimSiamTransform", "mean": (0.5,) * 3}, "mean and std go with augment"),
     ({"transform": "SimSiamTransform", "size": 0}, "at least 1; received 0"),
     ({"augment": {"size": 8}, "std": (0.5, 0.5, 0.0)}, "std must be above 0"),
     ({"augment": {"size": 8, "blurr": {}}}, "blur")],
)  # fmt: skip
def test_what_has_no_equal_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        BatchedViews(**arguments)


def test_views_follow_the_seed_and_any_form_of_the_images() -> None:
    views = BatchedViews("SwaVTransform", crop_sizes=(12, 8), crop_counts=(2, 1))
    torch.manual_seed(0)
    first = views(IMAGES)
    torch.manual_seed(0)
    floats = views(IMAGES / 255)
    assert [tuple(view.shape) for view in first] == [(6, 3, 12, 12)] * 2 + [(6, 3, 8, 8)]
    assert all(torch.equal(a, b) for a, b in zip(first, floats, strict=True))
    assert not torch.equal(first[0], views(IMAGES)[0])
    own = BatchedViews(augment={"size": 9, "blur": {"p": 0.0}, "views": {"one": {}, "two": {"flip": 1.0}}})
    assert [view.flip for view in own.views] == [0.5, 1.0]
    assert own(IMAGES)[1].shape == (6, 3, 9, 9)
    with pytest.raises(UserError, match=r"pixels in \[0, 1\]; received values from -1 to 1"):
        views(IMAGES / 127.5 - 1)
    with pytest.raises(UserError, match=r"one tensor \(N, C, H, W\)"):
        views(IMAGES[0])
    with pytest.raises(UserError, match="received values from 0 to 255; divide them by 255"):
        views(torch.arange(256.0).expand(2, 3, 1, 256))
    with pytest.raises(UserError, match=r"of 3 channels.*received torch.uint8 \(6, 1, 20, 20\); gray ones"):
        views(IMAGES[:, :1])
    with pytest.raises(UserError, match=r"received torch.int64"):
        views(IMAGES.long())


def test_a_compiled_step_makes_the_same_views() -> None:
    views = BatchedViews("SimSiamTransform", input_size=8)
    torch.manual_seed(0)
    expected = views(IMAGES)[1] + 1
    torch.manual_seed(0)
    step = torch.compile(lambda images: views(images)[1] + 1, backend="eager")
    assert torch.equal(step(IMAGES), expected)


def test_collate_refuses_what_cannot_be_one_batch_and_keeps_labels_tensors() -> None:
    views = BatchedViews("SimSiamTransform", input_size=8)
    items = [(image, torch.tensor(label), np.int64(label)) for label, image in enumerate(IMAGES)]
    _, labels, numbers = views.collate(items)
    assert labels.tolist() == numbers.tolist() == list(range(6))
    with pytest.raises(UserError, match=r"of one size; received \(3, 20, 10\) and \(3, 20, 20\); resize"):
        views.collate([(IMAGES[0],), (IMAGES[1, :, :, :10],)])
    with pytest.raises(UserError, match=r"items must be .image, label, .*; received a Tensor"):
        views.collate(list(IMAGES))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PIL", "array", "uint8", "float"])
def test_collate_gives_what_lightlys_collate_gives(kind: str) -> None:
    arrays = [image.permute(1, 2, 0).numpy() for image in IMAGES]
    made: dict[str, Any] = {
        "PIL": [Image.fromarray(array) for array in arrays], "array": arrays, "uint8": list(IMAGES),
        "float": list(IMAGES / 255),
    }  # fmt: skip
    items = [(image, label, f"{label}.png") for label, image in enumerate(made[kind])]
    views = BatchedViews("SimSiamTransform", input_size=8)
    loader: Any = DataLoader(items, batch_size=6, collate_fn=views.collate)  # type: ignore[arg-type]
    torch.manual_seed(0)
    (x0, x1), labels, names = next(iter(loader))
    assert x0.shape == x1.shape == (6, 3, 8, 8)
    assert (labels.tolist(), names[2]) == (list(range(6)), "2.png")
    torch.manual_seed(0)
    next(iter(DataLoader(items, batch_size=6, collate_fn=len)))  # draws the loader's own seed
    expected = views(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2))
    assert torch.equal(x0, expected[0])
