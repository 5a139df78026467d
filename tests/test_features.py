"""Extraction against a loop over single images, and the precision of whatever encodes images in float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import MemorySplit
from ssl_zoo.features import each_batch, extract
from ssl_zoo.hardware.device import choose_hardware
from ssl_zoo.method import Encoder
from ssl_zoo.reports.encoded_images import encode
from ssl_zoo.reports.image_sample import Images

PIXELS = torch.randint(0, 256, (7, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
SPLIT = MemorySplit(PIXELS)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.4)


class Watched(nn.Module):
    """Pixels as they are; notes whether cuDNN might have rounded to TF32 meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.rounded: list[bool] = []

    def forward(self, x: Tensor) -> Tensor:
        self.rounded.append(torch.backends.cudnn.allow_tf32)
        return x.flatten(1)


@pytest.fixture
def tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    """The state that torch begins with."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)


@pytest.mark.parametrize("batch", [3, 7, 100])
def test_features_are_those_of_each_image_alone_in_order(batch: int) -> None:
    found = torch.cat(
        list(extract(Watched().eval(), SPLIT, 8, MEAN, STD, choose_hardware("cpu", "fp32"), batch))
    ).view(7, 3, 8, 8)
    for image, features in zip(PIXELS, found, strict=True):
        for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
            torch.testing.assert_close(features[channel], (image[channel] / 255 - mean) / std)


def test_an_encoder_in_training_mode_is_no_encoder_to_evaluate() -> None:
    with pytest.raises(AssertionError, match="evaluation mode"):
        extract(Watched(), SPLIT, 8, MEAN, STD, choose_hardware("cpu", "fp32"))


@pytest.mark.usefixtures("tf32")
@pytest.mark.parametrize(("precision", "rounds"), [("fp32", False), ("bf16", True)])
def test_float32_is_not_rounded_to_tf32(precision: str, rounds: bool) -> None:
    watched = Watched().eval()
    for _ in each_batch(watched, SPLIT, 8, MEAN, STD, choose_hardware("cpu", precision), 4):
        assert torch.backends.cudnn.allow_tf32, "between two batches all is as before"
    assert watched.rounded == [rounds, rounds]


@pytest.mark.usefixtures("tf32")
def test_a_report_s_encoders_are_not_rounded_to_tf32_either() -> None:
    """They were, on a GPU: a report's figures of the encoders differed from those of the evaluations."""
    watched = Watched()
    data = DataConfig(name="noise", source="digits", channels=3, mean=MEAN, std=STD)
    images = Images(split=SPLIT, labels=None, classes=None, total=7, name="noise")
    [outputs] = encode([Encoder(watched, nn.Identity())], images, 8, data)
    assert watched.rounded == [False]
    assert torch.equal(outputs.features, outputs.embeddings)
