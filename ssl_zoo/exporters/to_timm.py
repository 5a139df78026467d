"""timm's own layout of a folder: `model.safetensors` and `config.json`.

- [0] timm's `local-dir:` source, from 1.0.16 on, https://github.com/huggingface/pytorch-image-models
"""

from __future__ import annotations

import json
from pathlib import Path

from ssl_zoo.exporters.card_snippets import build_with_timm
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles, pretrained_cfg, save_weights
from ssl_zoo.exporters.schema import ExportConfig

__all__ = ["write"]

LOCAL_DIR = """\
import timm

model = timm.create_model("local-dir:.", pretrained=True).eval()"""


def write(encoder: ExportedEncoder, folder: Path, config: ExportConfig) -> ExportedFiles:
    """Writes `model.safetensors` and `config.json`, as timm reads a folder.

    timm itself cannot build a small stem: with its `local-dir:` and a head of other classes it would load what fits
    and leave the rest as initialised, saying so at a level that nobody reads. So the name in `config.json` is then
    one that timm refuses, and the code on the card is the way.
    """
    small = encoder.small_stem
    save_weights(encoder, folder / "model.safetensors")
    data = encoder.run.config.data
    build = {
        "architecture": encoder.architecture,
        "stem": encoder.run.config.backbone.stem,
        "channels": encoder.channels,
        "bit_depth": data.bit_depth,
        "size": encoder.size,
        "mean": list(data.mean),
        "std": list(data.std),
    }
    described = {
        "architecture": f"{encoder.architecture}-small-stem" if small else encoder.architecture,
        "num_classes": 0,
        **({"model_args": encoder.model_args} if encoder.model_args else {}),
        "num_features": encoder.num_features,
        "pretrained_cfg": pretrained_cfg(encoder),
        "ssl_zoo": build,
    }
    (folder / "config.json").write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    note = (
        "timm has no name for this stem (3x3 convolution without stride, no max-pool): the two lines that set "
        "`conv1` and `maxpool` are needed, and timm's `local-dir:` refuses this folder."
    )
    return ExportedFiles(
        files={
            "model.safetensors": "the weights, by timm's names",
            "config.json": "architecture and preprocessing, as timm's hub folders have it",
        },
        code=build_with_timm(encoder, "model.safetensors"),
        notes=(note,) if small else (),
        further=() if small else (("The same with timm 1.0.16 or newer", LOCAL_DIR),),
    )
