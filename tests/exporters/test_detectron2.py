"""The pickle for Detectron2 against an independent build of its ResNet, from the YAML that comes with it."""

from __future__ import annotations

import ast
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from helpers import rebuilt
from helpers.exports import COLOUR, blocks, features_of, images, make

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.run import export

pytestmark = pytest.mark.slow

NAMES = {
    "resnet18": "pascal_voc_R_18_FPN_24k_ssl_zoo.yaml",
    "resnet50": "pascal_voc_R_50_C4_24k_ssl_zoo.yaml",
    "resnext50_32x4d": "pascal_voc_R_50_C4_24k_ssl_zoo.yaml",
}


@pytest.fixture(scope="module", params=NAMES)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    run = make(folder / "run", *COLOUR, f"backbone.name={request.param}", "augment.size=32")
    return request.param, run, export([f"run={run}", "format=detectron2"], silent=True)


def test_every_weight_is_found_and_computes_the_same_features(exported: Any) -> None:
    name, run, folder = exported
    settings = yaml.safe_load((folder / NAMES[name]).read_text())["MODEL"]
    space: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        exec(blocks(folder)[0], space)  # what the card prints
    weights = space["weights"]
    assert (space["contents"]["__author__"], space["contents"]["matching_heuristics"]) == ("ssl-zoo", True)
    assert settings["WEIGHTS"] == "backbone.pkl"
    model = rebuilt.build(settings).eval()
    wanted = model.state_dict()
    found = rebuilt.find(list(wanted), list(weights))
    assert set(found) == set(wanted)
    assert sorted(found.values()) == sorted(weights), "each saved weight is that of one of the model's"
    model.load_state_dict(
        {key: torch.from_numpy(weights[saved]) for key, saved in found.items()}, strict=True
    )
    batch = images(3, 32)
    with torch.inference_mode():
        features = rebuilt.pooled(model, batch)
    torch.testing.assert_close(features, features_of(run, batch), atol=1e-4, rtol=1e-4)


def test_the_yaml_preprocesses_as_pre_training_did(exported: Any) -> None:
    name, _, folder = exported
    settings = yaml.safe_load((folder / NAMES[name]).read_text())
    np.testing.assert_allclose(settings["MODEL"]["PIXEL_MEAN"], [127.5, 102, 76.5])
    np.testing.assert_allclose(settings["MODEL"]["PIXEL_STD"], [51, 76.5, 102])
    assert settings["INPUT"]["FORMAT"] == "RGB"
    assert settings["MODEL"]["RESNETS"]["STRIDE_IN_1X1"] is False
    assert settings["MODEL"]["BACKBONE"]["FREEZE_AT"] == 0
    assert settings["SOLVER"]["MAX_ITER"] == 24000


def test_the_head_that_the_yaml_names_is_registered_by_the_script(exported: Any) -> None:
    name, _, folder = exported
    tree = ast.parse((folder / "train_net.py").read_text())
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    head = yaml.safe_load((folder / NAMES[name]).read_text())["MODEL"]["ROI_HEADS"]["NAME"]
    assert head in classes | {"StandardROIHeads"}
    assert (head == "StandardROIHeads") == (name == "resnet18"), "Detectron2's C4 head has bottlenecks alone"


def test_the_code_on_the_card_needs_no_ssl_zoo(exported: Any) -> None:
    name, _, folder = exported
    checked = "import sys\nassert 'ssl_zoo' not in sys.modules\nprint(len(weights))"
    code = f"{blocks(folder)[0]}\n{checked}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, check=True, capture_output=True, text=True
    )
    assert int(done.stdout) == {"resnet18": 120, "resnet50": 318, "resnext50_32x4d": 318}[name]


def test_the_card_says_what_was_not_tried(exported: Any) -> None:
    assert "Untried against Detectron2 itself" in (exported[2] / "MODEL_CARD.md").read_text()


def test_arrays_are_pickled_by_names_that_every_numpy_has(exported: Any) -> None:
    data = (exported[2] / "backbone.pkl").read_bytes()
    strings = {arg for opcode, arg, _ in pickletools.genops(data) if opcode.name == "SHORT_BINUNICODE"}
    assert not {one for one in strings if "multiarray" in one or one.startswith("numpy.")}
    array = pickle.loads(data)["model"]["stem.conv1.weight"]
    assert array.flags.writeable
    assert array.dtype == np.float32


@pytest.mark.parametrize(
    "overrides",
    [
        (*COLOUR, "backbone.name=resnet18", "backbone.stem=small"),
        ("data=digits", "backbone.name=resnet18"),
        (*COLOUR, "backbone.name=test_resnet"),
    ],
    ids=["small stem", "gray", "not torchvision's"],
)
def test_what_detectron2_cannot_build_is_refused(overrides: Any, tmp_path: Path) -> None:
    run = make(tmp_path / "run", *overrides, "augment.size=32")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="format=detectron2 holds"):
        export([f"run={run}", "format=[timm,detectron2]"], silent=True)
    assert sorted(tmp_path.rglob("*")) == before
