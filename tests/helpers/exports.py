"""Runs for the tests of exports: checkpoints of untrained networks, and what a card's code makes of an export."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ssl_zoo.build import build
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import to_mapping, to_yaml
from ssl_zoo.run_dir.checkpoints import STAMP
from ssl_zoo.run_dir.saved_run import open_run

SMALL = ("method=simsiam", "method.projector.hidden_dim=16", "method.projector.output_dim=16", "epochs=1")
COLOUR = (
    "data=digits", "data.channels=3", "data.mean=[0.5,0.4,0.3]", "data.std=[0.2,0.3,0.4]", "backbone.stem=standard",
)  # fmt: skip


def make(folder: Path, *overrides: str, epoch: int = 1) -> Path:
    """A run directory whose network was not trained, its statistics drawn so that no two weights are alike."""
    config = compose([*SMALL, "method.predictor.hidden_dim=8", *overrides])
    method = build(config, config.data.channels)[0]
    generator = torch.Generator().manual_seed(1)
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low in (
                (module.running_mean, -0.2), (module.bias, -0.2), (module.running_var, 0.8), (module.weight, 0.6),
            ):  # fmt: skip
                values.data.copy_(low + 0.4 * torch.rand(values.shape, generator=generator))
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.yaml").write_text(to_yaml(config))
    stamp = {"config": to_mapping(config), "position": [epoch, 0], "images": 100, "losses": []}
    state = {f"method.{name}": weight for name, weight in method.state_dict().items()}
    torch.save({STAMP: stamp, "state_dict": state}, folder / "checkpoints" / "last.ckpt")
    return folder


def images(channels: int, size: int, count: int = 3) -> Tensor:
    """(count, channels, size, size) in [0, 1], always the same."""
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(2))


def features_of(run: Path, batch: Tensor, trained: bool = True) -> Tensor:
    """What the run's own method computes, whole as it was saved; (N, C, H, W), normalised, to (N, F)."""
    with torch.inference_mode():
        found: Tensor = open_run(run).method(trained=trained).encoder.backbone(batch)
    return found


DRIVER = """
import json, os, re, sys
import numpy as np
from PIL import Image

results = {}
for name, case in json.load(open(sys.argv[1])).items():
    os.chdir(case["folder"])
    space = {}
    exec(case["load"], space)
    exec(case["preprocess"], space)
    batch, model = np.load(case["batch"]), space["model"]
    if hasattr(model, "state_dict"):
        import torch
        with torch.inference_mode():
            results[name] = model(torch.from_numpy(batch)).numpy()
    else:
        results[name] = model(batch)
        results[name + "/one"] = model(batch[:1])
    for image in case["images"]:
        prepared = space["preprocess"](Image.open(image))
        results[name + "/prepared/" + os.path.splitext(os.path.basename(image))[0]] = prepared
assert "ssl_zoo" not in sys.modules
np.savez(sys.argv[2], **results)
"""


def blocks(folder: Path) -> list[str]:
    """The Python on an export's card."""
    return re.findall(r"```python\n(.*?)```", (folder / "MODEL_CARD.md").read_text(), re.DOTALL)


def case(folder: Path, batch: Tensor, pictures: Sequence[Path], load: int = 0) -> dict[str, Any]:
    """A case for `take_up`: the card's `load`-th block of Python, and the one with `preprocess`."""
    found = blocks(folder)
    preprocess = next(code for code in found if "def preprocess" in code)
    return {
        "folder": str(folder),
        "batch": batch,
        "images": [str(picture) for picture in pictures],
        "load": found[load],
        "preprocess": preprocess,
    }


def take_up(cases: dict[str, dict[str, Any]], folder: Path) -> dict[str, np.ndarray]:
    """Runs what the cards print, in a process that never imports ssl_zoo.

    Returns:
        The features of each case's batch, and under `NAME/prepared/IMAGE` its images as `preprocess` makes them.
    """
    for name, one in cases.items():
        file = folder / f"{name.replace('/', '-')}.npy"
        np.save(file, one["batch"].numpy())
        one["batch"] = str(file)
    (folder / "cases.json").write_text(json.dumps(cases))
    (folder / "driver.py").write_text(DRIVER)
    out = folder / "results.npz"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run(
        [sys.executable, str(folder / "driver.py"), str(folder / "cases.json"), str(out)],
        check=True,
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
    )
    return dict(np.load(out))
