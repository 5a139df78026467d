"""A model repository of the Hugging Face hub, of timm's layout: `ssl-zoo export DIR format=timm to=hub repo=NAME`.

- [0] Model cards, https://huggingface.co/docs/hub/model-cards; `model-index` is made by huggingface_hub's classes
- [1] timm's `hf-hub:` source, https://huggingface.co/docs/hub/timm
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from ssl_zoo.config.schema import DataConfig, ImportedConfig
from ssl_zoo.errors import Unfinished, UserError
from ssl_zoo.exporters.card import CONFIG, card_text, configuration, on_hub
from ssl_zoo.exporters.card_figures import Figure, measured_figures, result_of
from ssl_zoo.exporters.card_snippets import build_with_timm
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
from ssl_zoo.exporters.schema import ExportConfig

__all__ = ["check_login", "push", "write_repository"]

RESULT, WEIGHTS = "result.json", "model.safetensors"
DATASETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}  # names on the hub
LFS = "*.safetensors filter=lfs diff=lfs merge=lfs -text\n"  # for those who push by git


def write_repository(
    encoder: ExportedEncoder, written: ExportedFiles, folder: Path, config: ExportConfig
) -> None:
    """Adds to timm's files what a repository has beside them: README.md with metadata, config.yaml and result.json."""
    assert config.repo is not None
    files = {**written.files, CONFIG: "the configuration of the training, for ssl-zoo"}
    (folder / CONFIG).write_text(configuration(encoder), encoding="utf-8")
    (folder / ".gitattributes").write_text(LFS, encoding="utf-8")
    if encoder.weights == "trained" and (result := result_of(encoder)) is not None:
        files[RESULT] = "what was measured at the end of the training"
        (folder / RESULT).write_text(json.dumps(_without_paths(result), indent=2) + "\n", encoding="utf-8")
    on_hub = dataclasses.replace(
        written, files=files, where="From the hub", license=config.license, **_loading(encoder, config.repo)
    )
    metadata = _metadata(encoder, config).to_yaml()
    (folder / "README.md").write_text(
        f"---\n{metadata}\n---\n\n{card_text(encoder, on_hub)}", encoding="utf-8"
    )


def _loading(encoder: ExportedEncoder, repo: str) -> dict[str, Any]:
    """Returns the code that loads the repository, and notes on it."""
    with_us = (
        "With ssl-zoo, and its preprocessing of one image",
        f'import ssl_zoo\n\nmodel, preprocess = ssl_zoo.load_backbone("hf:{repo}")\n'
        "features = model(preprocess(image)[None])  # of a Pillow image",
    )
    if encoder.small_stem:
        imports = "import timm\n", "import timm\nfrom huggingface_hub import hf_hub_download\n"
        weights = (
            "model.load_state_dict(",
            f'file = hf_hub_download("{repo}", "{WEIGHTS}")\nmodel.load_state_dict(',
        )
        code = build_with_timm(encoder, WEIGHTS).replace(f'load_file("{WEIGHTS}")', "load_file(file)")
        note = (
            "timm has no name for this stem (3x3 convolution without stride, no max-pool): the two lines that set "
            "`conv1` and `maxpool` are needed, and timm's `hf-hub:` refuses this repository."
        )
        return {
            "code": code.replace(*imports, 1).replace(*weights),
            "notes": (note,),
            "further": (with_us,),
        }
    code = f'import timm\n\nmodel = timm.create_model("hf-hub:{repo}", pretrained=True).eval()'
    return {"code": code, "notes": (), "further": (with_us,)}


def _metadata(encoder: ExportedEncoder, config: ExportConfig) -> Any:
    """Returns the card's metadata, as huggingface_hub's ModelCardData."""
    from huggingface_hub import ModelCardData

    run = encoder.run.config
    results = [_result(figure, run.data) for figure in measured_figures(encoder)]
    known = [result for result in results if result is not None]
    method = [] if isinstance(run.method, ImportedConfig) else [run.method.name]
    dataset = None if encoder.run.is_imported else _dataset(run.data)
    return ModelCardData(
        library_name="ssl-zoo" if encoder.small_stem else "timm",
        pipeline_tag="image-feature-extraction",
        tags=["self-supervised-learning", "ssl-zoo", *([] if encoder.small_stem else ["timm"]), *method],
        license=config.license,
        datasets=None if dataset is None else [dataset],
        metrics=["accuracy"] if known else None,
        model_name=str(config.repo).partition("/")[2] if known else None,
        eval_results=known or None,
    )


def _result(figure: Figure, data: DataConfig) -> Any:
    """Returns a figure as the hub's EvalResult; None for one that has no metric there."""
    from huggingface_hub import EvalResult

    if not figure.metric.startswith("top") or figure.value is None:
        return None
    dataset = _dataset(data) if figure.data == data.name else None
    return EvalResult(
        task_type="image-classification",
        task_name="Image Classification",  # the hub joins the figures of one task and data set
        dataset_type=dataset or DATASETS.get(figure.data) or re.sub(r"[^\w.-]+", "-", figure.data),
        dataset_name=figure.data,
        metric_type="accuracy",
        metric_name=f"top-{figure.metric.removeprefix('top')}, {figure.protocol}",
        metric_value=round(figure.value, 4),
    )


def _dataset(data: DataConfig) -> str | None:
    """Returns the name on the hub of the images; None where they are not there."""
    path = getattr(data, "path", None)
    if data.source == "huggingface" and path and on_hub(path):
        return str(path)
    return DATASETS.get(data.name)


def _without_paths(result: dict[str, Any]) -> dict[str, Any]:
    """Returns a result without the folders of the machine it was computed on."""
    kept = {name: value for name, value in result.items() if name != "run_dir"}
    if isinstance(start := kept.get("start_from"), dict):
        kept["start_from"] = {name: value for name, value in start.items() if name != "checkpoint"}
    return kept


def check_login() -> None:
    """Refuses push=true where nobody is logged in, or the hub is not to be reached.

    Raises:
        UserError: see above.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise UserError("push=true needs the network; received HF_HUB_OFFLINE; unset it, or leave push out")
    if get_token() is None:
        raise UserError(
            "push=true needs a login, and there is no token; run 'hf auth login' or set HF_TOKEN, or leave push out"
        )


def push(folder: Path, config: ExportConfig) -> str:
    """Pushes a repository's folder, and creates the repository where it is missing; returns its address.

    Raises:
        Unfinished: the hub refused it, or was not reached; the folder is whole.
    """
    from huggingface_hub import HfApi

    assert config.repo is not None
    try:
        api = HfApi(library_name="ssl-zoo")
        address = api.create_repo(config.repo, private=config.private, exist_ok=True)
        api.upload_folder(
            repo_id=config.repo, folder_path=folder, commit_message="Backbone exported by ssl-zoo"
        )
    except Exception as error:
        reason = (str(error).splitlines() or [""])[0]
        raise Unfinished(
            f"'{folder}' is written, and was not pushed to {config.repo}: {type(error).__name__}: {reason}; once that "
            f"is mended: hf upload {config.repo} {folder} ."
        ) from error
    return str(address)
