"""The protocol: it learns to find shapes, it repeats itself, and each wrong setting is one message before training."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.detection_data import CLASSES, backbone, coco_of, config_of, task_of, write_coco, write_voc

from ssl_zoo.config.groups import group_dirs, load_group
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError
from ssl_zoo.evaluation.detection.schema import DetectionConfig
from ssl_zoo.evaluation.protocols.detection import check, run
from ssl_zoo.evaluation.task import Outcome, Task

pytestmark = pytest.mark.slow

pytest.importorskip("pycocotools")


@pytest.fixture(scope="module")
def voc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    splits = {"trainval": range(24), "test": range(24, 36)}
    return write_voc(tmp_path_factory.mktemp("voc"), splits, difficult=frozenset({1, 26}))


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(
        tmp_path_factory.mktemp("coco"), {"train": range(8), "test": range(8, 10)}, frozenset({3, 9})
    )


def coco_words(folder: Path) -> dict[str, Any]:
    return {
        "format": "coco",
        "train": str(folder / "images"),
        "train_split": str(folder / "train.json"),
        "test_split": str(folder / "test.json"),
    }


def checked_run(task: Task) -> Outcome:
    check(task)
    return run(task)


def row(outcome: Outcome, metric: str, of: str = "boxes") -> dict[str, Any]:
    (found,) = (row for row in outcome.rows if (row["metric"], row["of"]) == (metric, of))
    return found


def test_thirty_iterations_find_shapes_that_none_does_not(voc: Path) -> None:
    lines: list[str] = []
    task = task_of(config_of(train=str(voc), iterations=30, batch_size=3, lr=0.08))
    task.log = lines.append
    outcome = checked_run(task)
    untrained = checked_run(task_of(config_of(train=str(voc), iterations=1, lr=1e-6)))
    for metric in ("voc07", "voc area", "coco"):
        assert row(outcome, metric)["AP50"] > 0.4  # three seeds reached 0.83, 0.64 and 0.53
        assert row(untrained, metric)["AP50"] < 0.1
    details = outcome.details
    assert details["loss_end"] < details["loss_first"] / 2
    assert outcome.metric == "AP"
    assert outcome.top1 == row(outcome, "voc07")["AP"]
    by_class = details["AP_by_class"]
    assert set(by_class) == set(CLASSES)
    assert outcome.top1 == pytest.approx(sum(by_class.values()) / 3)
    assert (details["train_images"], details["train_objects"], details["test_images"]) == (24, 36, 12)
    assert details["lr"] == pytest.approx(0.015)
    assert details["lr_end"] == pytest.approx(1.5e-4)
    assert [row.keys() for row in outcome.rows] == [outcome.rows[0].keys()] * 3
    assert "iteration 30 of 30: loss" in lines[-1]


def test_mask_rcnn_on_c4_runs_twice_alike(coco: Path) -> None:
    config = config_of(
        **coco_words(coco),
        masks=True,
        neck="c4",
        iterations=2,
        min_size=64,
        regions_per_image=16,
        frozen_stages=1,
    )
    first, again = (checked_run(task_of(config, backbone(), seed=4)) for _ in range(2))
    assert first.rows == again.rows
    assert first.details["loss_end"] == again.details["loss_end"]
    assert [(r["of"], r["metric"]) for r in first.rows] == [("boxes", "coco"), ("masks", "coco")]
    assert all(r[key] is not None and 0 <= r[key] <= 1 for r in first.rows for key in ("AP", "AP50", "AP75"))
    assert first.details["strides"] == [16]
    assert first.details["left_out_of_training"] == {
        "crowds": 1,
        "boxes_without_area": 0,
        "images_without_boxes": 0,
    }
    assert "Mask R-CNN with C4" in first.in_words
    assert "first 1 stages frozen" in first.in_words


def test_masks_on_a_pyramid_with_several_sizes(coco: Path) -> None:
    overrides = {
        **coco_words(coco),
        "masks": True,
        "train_sizes": [64, 80],
        "iterations": 2,
        "regions_per_image": 8,
    }
    outcome = checked_run(task_of(config_of(**overrides)))
    assert math.isfinite(outcome.details["loss_end"])
    assert row(outcome, "coco", "masks")["AP"] >= 0


def test_the_seed_decides_and_nothing_else_is_touched(tmp_path: Path) -> None:
    write_voc(tmp_path, {"trainval": range(1), "test": range(6, 7)})
    model = backbone()
    weights = {key: weight.clone() for key, weight in model.state_dict().items()}
    torch.manual_seed(9)
    state = torch.get_rng_state()
    config = config_of(train=str(tmp_path), iterations=1, batch_size=2, min_size=64)
    losses = [run(task_of(config, model, seed=seed)).details["loss_first"] for seed in (0, 1, 2, 3, 0)]
    assert losses[0] == losses[4]
    assert len(set(losses)) == 4  # of one image: flips alone make three
    assert torch.equal(torch.get_rng_state(), state)
    assert not model.training
    assert all(torch.equal(weights[key], weight) for key, weight in model.state_dict().items())


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "no folder named": ({"train": None}, "set detection.train=a VOC folder"),
    "no list of folders": ({"train": []}, "received 0"),
    "no folder": ({"train": "nowhere"}, "'nowhere' does not exist"),
    "no split": ({"test_split": "val"}, r"val\.txt' does not exist; there are test, trainval"),
    "training images": ({"test_split": "trainval"}, "24 are both, such as"),
    "masks of VOC": ({"masks": True}, "set detection.masks=false, or detection.format=coco"),
    "C4 of a ConvNeXt": ({"neck": "c4"}, "is no ResNet"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_said_before_training(voc: Path, fault: str) -> None:
    changes, message = FAULTS[fault]
    model = backbone("test_convnext") if "C4" in fault else backbone()
    with pytest.raises(UserError, match=message) as caught:
        check(task_of(config_of(**{"train": str(voc), **changes}), model))
    assert "\n" not in str(caught.value)


def test_gray_encoders_are_refused(voc: Path) -> None:
    with pytest.raises(UserError, match="reads 1 channel; evaluate one"):
        check(task_of(config_of(train=str(voc)), backbone(channels=1), channels=1))


def test_coco_takes_one_folder(coco: Path) -> None:
    overrides = {**coco_words(coco), "train": [str(coco), str(coco)]}
    with pytest.raises(UserError, match="received 2 with format=coco"):
        check(task_of(config_of(**overrides)))


@pytest.mark.parametrize(
    ("split", "message"), [("train", "and no box that counts"), ("test", "has none that counts")]
)
def test_splits_without_boxes_are_refused(tmp_path: Path, split: str, message: str) -> None:
    write_coco(tmp_path, {"train": range(3), "test": range(3, 6)})
    empty = {**coco_of(range(3) if split == "train" else range(3, 6)), "annotations": []}
    (tmp_path / f"{split}.json").write_text(json.dumps(empty))
    overrides = coco_words(tmp_path)
    with pytest.raises(UserError, match=message):
        check(task_of(config_of(**overrides)))


def test_a_missing_pycocotools_is_said(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_zoo.evaluation.detection.masks.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ssl-zoo\[detection\]'"):
        check(task_of(config_of(train=str(voc))))


# The settings of MoCo's detectron2 configurations and of its paper.
PUBLISHED = {
    "detection_voc": {
        "iterations": 24000,
        "warmup_iterations": 100,
        "train_sizes": tuple(range(480, 801, 32)),
    },
    "detection_voc07": {
        "iterations": 9000,
        "warmup_iterations": 100,
        "train_sizes": tuple(range(480, 801, 32)),
    },
    "detection_coco": {
        "iterations": 90000,
        "warmup_iterations": 1000,
        "train_sizes": tuple(range(640, 801, 32)),
    },
}
STEPS = {"detection_voc": (18000, 22000), "detection_voc07": (6750, 8250), "detection_coco": (60000, 80000)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_protocols_have_the_published_settings(name: str) -> None:
    block = load_group("protocol", name, group_dirs()).values
    assert set(block) == {"kind", "detection"}
    assert block["kind"] == "detection"
    config = validate(DetectionConfig, block["detection"], "detection")
    for key, value in PUBLISHED[name].items():
        assert getattr(config, key) == value, key
    steps = tuple(round(share * config.iterations) for share in config.milestones)
    assert steps == pytest.approx(STEPS[name], abs=5)
    assert (config.batch_size, config.lr, config.weight_decay, config.frozen_stages) == (16, 0.02, 1e-4, 0)
    assert (config.neck, config.min_size, config.max_size, config.regions_per_image) == ("c4", 800, 1333, 512)
    assert config.masks == (config.format == "coco") == (name == "detection_coco")
