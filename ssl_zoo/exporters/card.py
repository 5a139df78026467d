"""MODEL_CARD.md: the contents of an export, its figures, how to load it, and what was not measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.config.mapping import to_mapping
from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import ImportedConfig, SiameseConfig
from ssl_zoo.evaluation.protocols import PROTOCOLS
from ssl_zoo.exporters.card_figures import Figure, measured_figures, result_of
from ssl_zoo.exporters.card_snippets import preprocessing
from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
from ssl_zoo.run_dir.environment import git_commit, versions
from ssl_zoo.run_dir.naming import differing_axes, variant

__all__ = ["CONFIG", "card_text", "configuration", "on_hub", "write_card"]

CARD = "MODEL_CARD.md"
CONFIG = "config.yaml"  # where it is not on the card


def write_card(encoder: ExportedEncoder, written: ExportedFiles, folder: Path) -> None:
    """Writes the card of one export."""
    (folder / CARD).write_text(card_text(encoder, written), encoding="utf-8")


def card_text(encoder: ExportedEncoder, written: ExportedFiles) -> str:
    """Returns the card of one export, as Markdown."""
    measured = measured_figures(encoder)
    sections = [
        f"# {encoder.architecture}, {encoder.run.title}",
        _summary(encoder),
        "## How to load it\n\n" + _loading(written),
        "## What it expects\n\n" + _expects(encoder, written),
        "## Figures\n\n" + _figures(encoder, measured),
        "## Data\n\n" + _data(encoder),
        "## Recipe\n\n" + _recipe(encoder, written),
        "## Limits\n\n" + _limits(encoder, measured, written.license),
        "## Provenance\n\n" + _provenance(encoder),
    ]
    return "\n\n".join(sections) + "\n"


def _summary(encoder: ExportedEncoder) -> str:
    run, config = encoder.run, encoder.run.config
    stem = ", its stem a 3x3 convolution without stride and without max-pool" if encoder.small_stem else ""
    if config.backbone.num_heads is not None:
        stem += f", with {config.backbone.num_heads} attention heads in each layer"
    lines = [
        f"A backbone without a classifier: timm's `{config.backbone.name}`{stem}; {encoder.num_features} features of "
        f"{_images(encoder)}. {_training(encoder)}"
    ]
    differing = (run.result or {}).get("differs_from_paper") or differing_axes(config)
    if differing:
        lines.append(f"It differs from the paper's method: {variant(config)}.")
    elif isinstance(config.method, SiameseConfig):
        lines.append("On the axes that ssl-zoo compares it is the method of the paper.")
    if encoder.weights == "random":
        lines.append("**These are the weights from before the training**, a baseline to compare others with.")
    elif not run.is_finished:
        are = "is" if run.position.epoch == config.epochs == 1 else "are"
        at = f"{run.position.epoch} of {_count(config.epochs, 'epoch')} {are} done" + (
            f", and {_count(run.position.batch, 'batch', 'batches')} of the next"
            if run.position.batch
            else ""
        )
        lines.append(
            f"**Unfinished: {at}**; what the run measured at its end, if it came to one, is not of these."
        )
    elif run.result is not None and not run.is_last:
        lines.append(
            f"**Not of the run's last checkpoint, but of `{run.path.name}`**; what the run measured at its end is not "
            "of these."
        )
    elif (result := result_of(encoder)) is None:
        lines.append(
            "**Unfinished: all epochs are done, but the run holds no result**; nothing is known of it."
        )
    else:
        lines.append(f"Verdict: **{result.get('verdict')}**. {result.get('verdict_reason')}")
    return "\n\n".join(lines)


def _count(count: int, one: str, several: str = "") -> str:
    return f"{count} {one if count == 1 else several or f'{one}s'}"


def _training(encoder: ExportedEncoder) -> str:
    method = encoder.run.config.method
    if not isinstance(method, ImportedConfig):
        with_labels = METHODS.get(method.name).load().needs_labels
        return f"Trained {'with' if with_labels else 'without'} labels by {method.label}."
    program = encoder.run.import_record.get("program", "another program")
    return f"Imported from `{method.file}`, a checkpoint of {program}; how it was trained is not known here."


def _colours(encoder: ExportedEncoder) -> str:
    data = encoder.run.config.data
    colours = {1: "gray", 3: "colour"}.get(data.channels, f"{data.channels}-channel")
    return colours if data.bit_depth == 8 else f"{data.bit_depth}-bit {colours}"


def _images(encoder: ExportedEncoder) -> str:
    return f"{_colours(encoder)} images of {encoder.size} x {encoder.size} pixels"


def _loading(written: ExportedFiles) -> str:
    parts = ["| file | what it is |\n|---|---|\n" + "\n".join(_rows(written.files))]
    parts += [*written.notes, f"{written.where}, without ssl-zoo:", _python(written.code)]
    for heading, code in written.further:
        parts += [f"{heading}:", _python(code)]
    return "\n\n".join(parts)


def _rows(files: dict[str, str]) -> list[str]:
    return [f"| `{name}` | {what} |" for name, what in files.items()]


def _python(code: str) -> str:
    return f"```python\n{code}\n```"


def _expects(encoder: ExportedEncoder, written: ExportedFiles) -> str:
    data = encoder.run.config.data
    values = f"mean {list(data.mean)} and standard deviation {list(data.std)} of values in [0, 1]"
    taken = "which the model subtracts and divides by itself" if written.normalizes else "as below"
    return "\n\n".join(
        [
            f"{_images(encoder).capitalize()}, {values}, {taken}. Images whose shorter side is at most 96 pixels are "
            "seen whole, larger ones in the centre crop of 224/256; timm's `crop_pct` has one value for both.",
            _python(preprocessing(encoder, written.normalizes)),
        ]
    )


def _figures(encoder: ExportedEncoder, measured: list[Figure]) -> str:
    if not measured:
        return "None was measured of these weights."
    lines = [
        "| protocol | data | metric | this encoder | untrained encoder | raw pixels |",
        "|---|---|---|---|---|---|",
        *(figure.row() for figure in measured),
        "",
        *dict.fromkeys(f"- {figure.protocol}: {figure.in_words}" for figure in measured if figure.in_words),
    ]
    size = encoder.run.config.augment.size
    if encoder.size != size:
        lines.append(
            f"- The run's own figures are of images of {size} pixels, and this export is for others."
        )
    return "\n".join(lines)


def _data(encoder: ExportedEncoder) -> str:
    run = encoder.run
    config = run.config
    if run.is_imported:
        return "Not known: the checkpoint does not say which images it was trained on."
    limited = f" (data.limit={config.data.limit})" if config.data.limit else ""
    sizes = sorted({view.size for view in config.views}, reverse=True)
    return (
        f"{config.data.name}: {run.images:,} training images{limited}, {_colours(encoder)}, "
        f"seen in augmented views of {' and '.join(map(str, sizes))} pixels."
    )


def _recipe(encoder: ExportedEncoder, written: ExportedFiles) -> str:
    config = encoder.run.config
    optimizer = config.optimizer
    if isinstance(config.method, ImportedConfig):
        return f"Not known. The checkpoint: format {config.method.format}, sha256 `{config.method.sha256}`."
    accumulated = f" x {config.trainer.accumulate}" if config.trainer.accumulate > 1 else ""
    whole = "The whole configuration, folders left out"
    if CONFIG in written.files:
        whole = f"{whole}, is in [{CONFIG}]({CONFIG})."
    else:
        whole = f"{whole}:\n\n```yaml\n{configuration(encoder)}```"
    return "\n\n".join(
        [
            f"{_count(config.epochs, 'epoch')}, batches of {config.batch_size}{accumulated} images, {optimizer.name} "
            f"at base rate {optimizer.lr:g} (scaling: {optimizer.lr_scaling}) with weight decay "
            f"{optimizer.weight_decay:g}, seed {config.seed}.",
            whole,
        ]
    )


def configuration(encoder: ExportedEncoder) -> str:
    """Returns the run's configuration as YAML, without the folders of the machine it ran on."""
    values = to_mapping(encoder.run.config)
    for key in ("run_dir", "resume"):
        values.pop(key, None)
    if values["start_from"] is not None:
        values["start_from"] = "RUN"
    data: dict[str, Any] = values["data"]
    data.pop("root", None)
    for key in ("train", "test"):
        if data.get(key):
            data[key] = "FOLDER"
    if data.get("path") and not on_hub(data["path"]):
        data["path"] = "FOLDER"
    return str(yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=110))


def on_hub(path: str) -> bool:
    """Whether a path is the name of a data set on the Hugging Face hub, and no folder of this machine."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", path) is not None and not Path(path).exists()


def _limits(encoder: ExportedEncoder, measured: list[Figure], license: str | None) -> str:
    run = encoder.run
    kinds = {figure.kind for figure in measured}
    missing = [kind.title for kind in PROTOCOLS.registered() if kind.title and kind.name not in kinds]
    unlabelled = {kind.name for kind in PROTOCOLS.registered() if not kind.reads_labels}
    classified = {figure.data for figure in measured if figure.kind not in unlabelled}
    if not classified - {run.config.data.name, "-"}:
        missing.append("transfer to other data")
    result = result_of(encoder) or {}
    measured_here = encoder.weights == "trained" and not run.is_imported
    if measured_here and result.get("linear_top1") is None:
        missing.insert(0, "the linear probe of the run")
    if measured_here and result.get("knn_top1") is None:
        missing.insert(0, "the kNN accuracy of the run")
    one_run = f"- One run, of seed {run.config.seed}: how much others would differ is not said here."
    if run.is_imported:
        one_run = ""
    lines = [
        f"- Not measured: {', '.join(missing)}." if missing else "",
        one_run,
        "- Nothing is known of images unlike those it was trained on, nor of bias or robustness.",
        "- No licence is claimed for the weights here; that of the training images is the user's to look up."
        if license is None
        else f"- The licence of the weights is {license}; that of the training images is the user's to look up.",
    ]
    return "\n".join(line for line in lines if line)


def _provenance(encoder: ExportedEncoder) -> str:
    result = encoder.run.result or {}
    trained_with = result.get("versions") or {}
    facts = {
        "digest of the weights": encoder.digest,
        "hash of the configuration": result.get("config_hash"),
        "commit of ssl-zoo, training": result.get("git_commit"),
        "commit of ssl-zoo, export": git_commit(),
        "trained with": _listed(trained_with),
        "exported with": _listed(versions()),
    }
    return "\n".join(f"- {name}: {value or 'not recorded'}" for name, value in facts.items())


def _listed(packages: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in packages.items())
