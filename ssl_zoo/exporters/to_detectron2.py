"""A pickle for Detectron2 and the recipe of the transfer experiments, Pascal VOC in 24,000 iterations.

The pickle holds NumPy arrays by Detectron2's names, as MoCo's converter writes them; what is ours is that the arrays
are pickled by NumPy's public constructor, so that one written with NumPy 2 opens with NumPy 1, which Detectron2 is
often installed with.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (Table 5)
- [1] MoCo, 2019, https://arxiv.org/abs/1911.05722 (Sec. 4.2), https://github.com/facebookresearch/moco (detection/)
- [2] Detectron2, https://github.com/facebookresearch/detectron2
"""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from ssl_zoo.errors import UserError
from ssl_zoo.exporters.detectron2_recipe import TRAIN_NET, Layout, layout_of, recipe_of
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
from ssl_zoo.exporters.schema import ExportConfig
from ssl_zoo.exporters.torchvision_resnet import as_torchvision

__all__ = ["detectron2_name", "write"]

FILE, TRAINER = "backbone.pkl", "train_net.py"

READ = f"""\
import pickle

with open("{FILE}", "rb") as file:
    contents = pickle.load(file)
weights = contents["model"]  # name: NumPy array"""


def write(encoder: ExportedEncoder, folder: Path, config: ExportConfig) -> ExportedFiles:
    """Writes the pickle, a YAML that trains a detector from it and the script that the YAML needs.

    Raises:
        UserError: Detectron2 cannot build this network: no ResNet of torchvision, a small stem, gray images.
    """
    _check_stem(encoder)
    layout = layout_of(as_torchvision(encoder, "detectron2"))
    arrays = {detectron2_name(name): weight.numpy() for name, weight in encoder.state.items()}
    contents = {"model": arrays, "__author__": "ssl-zoo", "matching_heuristics": True}
    with (folder / FILE).open("wb") as file:
        _Pickler(file, protocol=4).dump(contents)
    recipe = f"pascal_voc_R_{layout.depth}_{layout.neck}_24k_ssl_zoo.yaml"
    (folder / recipe).write_text(recipe_of(encoder, layout, recipe, FILE), encoding="utf-8")
    (folder / TRAINER).write_text(TRAIN_NET, encoding="utf-8")
    return ExportedFiles(
        files={
            FILE: "the weights, by Detectron2's names",
            recipe: "Faster R-CNN on Pascal VOC 07+12, on the papers' schedule",
            TRAINER: "trains with it",
        },
        code=READ,
        notes=(
            "Untried against Detectron2 itself. Each name and each shape was compared with an independent build of "
            "its ResNet by a test of ssl-zoo, and the features with those of torchvision.",
            f"With Detectron2: `python {TRAINER} --config-file {recipe} --num-gpus 8`, in this folder, with the "
            "environment variable DETECTRON2_DATASETS naming the one that VOC2007 and VOC2012 are in.",
            *_about(layout),
        ),
    )


def _about(layout: Layout) -> tuple[str, ...]:
    if layout.neck == "C4":
        return (
            "SimSiam searches the learning rate of the fine-tuning for each method (Table 5); 0.02 is MoCo's, and "
            "the mean of 5 trials is what the papers report.",
        )
    return (
        "The papers use R50-C4; Detectron2's C4 head has no basic blocks, so that this recipe is with FPN.",
    )


def detectron2_name(name: str) -> str:
    """Detectron2's name of a weight that torchvision and timm call `name`."""
    if not name.startswith("layer"):
        name = f"stem.{name}"
    name = re.sub(r"^layer(\d)", lambda match: f"res{int(match[1]) + 1}", name)
    name = re.sub(r"\bbn(\d)\b", r"conv\1.norm", name)
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


class _Pickler(pickle.Pickler):
    """Pickles an array as `numpy.ndarray(shape, type, bytes)`."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return np.ndarray, (value.shape, value.dtype.str, bytearray(value.tobytes()))
        return NotImplemented


def _check_stem(encoder: ExportedEncoder) -> None:
    stem, channels = encoder.run.config.backbone.stem, encoder.channels
    if stem != "standard" or channels != 3:
        raise UserError(
            "format=detectron2 holds ResNets with the standard stem on colour images; received "
            f"backbone.stem={stem} and data.channels={channels}; use format=timm, torchvision, safetensors or onnx"
        )
