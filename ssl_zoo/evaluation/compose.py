"""From overrides to the evaluations they ask for: `ssl-zoo eval run=DIR protocol=knn,few_labels`.

See `evaluation.protocol` for what a protocol is. Words on the command line come last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ssl_zoo.config.groups import group_names
from ssl_zoo.config.options import images_for, read_options
from ssl_zoo.config.overrides import merge, read_override
from ssl_zoo.config.registries import data_config
from ssl_zoo.config.schema import DataConfig, ViewConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, shown
from ssl_zoo.evaluation.protocol import GROUP, Protocol, expand
from ssl_zoo.evaluation.protocols import PROTOCOLS, eval_config
from ssl_zoo.evaluation.schema import EvalConfig
from ssl_zoo.runs.paths import checkpoint_of

if TYPE_CHECKING:
    from ssl_zoo.runs.saved_run import SavedRun

__all__ = ["Evaluations", "compose_evaluations", "read_overrides"]


class Asked(NamedTuple):
    """The overrides, read without the run."""

    values: dict[str, Any]  # but for protocol
    about_data: list[str]
    protocols: list[Protocol]
    named: bool  # whether a protocol is among them


class Evaluations(NamedTuple):
    """What a command asks for."""

    configs: list[EvalConfig]  # one per protocol
    run: SavedRun | None
    views: tuple[ViewConfig, ...]  # how the images are augmented in pre-training; () without images
    named: bool  # whether the command names a protocol; else it is kNN, or what needs no labels


def read_overrides(overrides: Sequence[str]) -> Asked:
    """Reads and checks the overrides as far as it goes without opening the run, which costs the import of torch.

    Raises:
        UserError: no such run or protocol; an unknown key or a wrong value; a section that no protocol reads.
    """
    values, about_data = read_options(overrides)
    named = "protocol" in values or "knn" in values
    names = values.pop("protocol", "knn")
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"protocol takes a name, or several as knn,few_labels; received {shown(names)}; there are "
            f"{', '.join(group_names(GROUP))}"
        )
    path = values.get("run")
    if path is not None and not isinstance(path, str):
        raise UserError(
            f"run takes a run directory or a checkpoint; received {shown(path)}; set run=./{path}"
        )
    protocols = [found for name in dict.fromkeys(names) for found in expand(name)]
    _check_sections(values, protocols)
    for protocol in protocols:
        _config(protocol, {"data": None, "size": 1}, values)
    if path is not None:
        checkpoint_of(path)
    return Asked(values, about_data, protocols, named)


def compose_evaluations(overrides: Sequence[str]) -> Evaluations:
    """The evaluations that the overrides ask for, and the run, opened.

    Raises:
        UserError: as in `read_overrides`; a run that cannot be opened; no data; for `transfer`, the data that the run
            was trained on.
    """
    values, about_data, protocols, named = read_overrides(overrides)
    run = None
    if "run" in values:
        from ssl_zoo.runs.saved_run import open_run

        run = open_run(values["run"])
    _check_encoder(values, run)
    common, views = _images(about_data, values, run, protocols)
    configs = []
    for protocol in protocols:
        own = common if PROTOCOLS.get(protocol.kind).reads_images else {**common, "data": None}
        configs.append(_config(protocol, own, values))
        if protocol.transfer is not None and run is not None:
            _check_other_data(protocol.transfer, configs[-1].data, run.config.data)
    return Evaluations(configs, run, views, named)


def _config(protocol: Protocol, common: Mapping[str, Any], values: Mapping[str, Any]) -> EvalConfig:
    """The protocol's settings, what all protocols share, and the overrides, in this order."""
    block = merge(merge({"kind": protocol.kind, **protocol.settings}, common), values)
    try:
        PROTOCOLS.get(protocol.kind)  # its block is one of the class's
        return validate(eval_config(data_config(block["data"])), {**block, "protocol": protocol.name}, "")
    except UserError as error:
        said = any(key in values for key in (protocol.kind, "size", "seed", "precision", "threads"))
        raise UserError(
            str(error) if said else f"{error} (protocol '{protocol.name}': {protocol.file})"
        ) from error


def _check_encoder(values: Mapping[str, Any], run: SavedRun | None) -> None:
    if run is None and "backbone" not in values:
        raise UserError(
            "an evaluation needs an encoder; received neither run nor backbone; set run=DIR, or backbone.name=resnet50 "
            "(with backbone.pretrained=true for timm's weights)"
        )
    if run is not None and "backbone" in values:
        raise UserError(
            f"a run brings its own backbone, '{run.config.backbone.name}'; received backbone.* as well; leave out one"
        )
    if run is None and "weights" in values:
        raise UserError(
            "weights chooses between a run's encoder trained and random; received it without a run; set "
            "backbone.pretrained=true or false"
        )


def _check_sections(values: Mapping[str, Any], protocols: Sequence[Protocol]) -> None:
    """Refuses settings that none of the protocols reads."""
    kinds = {protocol.kind for protocol in protocols}
    for section in PROTOCOLS.names():
        if section in values and section not in kinds:
            names = ", ".join(protocol.name for protocol in protocols)
            raise UserError(
                f"{section}.* is read by protocols of kind {section}; received it with protocol={names}; leave it out, "
                "or name such a protocol"
            )
    for key in ("kind", "data"):
        if key in values:
            raise UserError(
                f"{key} follows from the other overrides; received {key}={values[key]!r}; leave it out"
            )


def _images(
    overrides: list[str], values: Mapping[str, Any], run: SavedRun | None, protocols: Sequence[Protocol]
) -> tuple[dict[str, Any], tuple[ViewConfig, ...]]:
    """The data as a plain mapping, None where no protocol reads any, with the side of the images; and their views."""
    if not any(PROTOCOLS.get(protocol.kind).reads_images for protocol in protocols):
        if overrides:
            kind = protocols[0].kind
            raise UserError(
                f"protocols of kind {kind} read {kind}.train and {kind}.test; received '{overrides[0]}'; leave it out"
            )
        return {"data": None, "size": 224 if run is None else run.config.augment.size}, ()
    config, augment = images_for(overrides, None if run is None else run.config)
    data = dataclasses.asdict(config)
    size = augment.size if run is None else run.config.augment.size
    if run is None:
        said = {read_override(override)[0] for override in overrides}
        data |= _pretrained_pixels(values["backbone"], data["channels"], said)
    return {"data": data, "size": size}, augment.flat


def _pretrained_pixels(backbone: Any, channels: int, said: set[str]) -> dict[str, Any]:
    """The mean and std that timm's weights were trained with, but for what the overrides say."""
    if not isinstance(backbone, Mapping) or not backbone.get("pretrained") or "name" not in backbone:
        return {}
    import timm

    own = timm.get_pretrained_cfg(str(backbone["name"]), allow_unregistered=True)
    if own is None or len(own.mean) != channels:
        return {}
    return {key: tuple(getattr(own, key)) for key in ("mean", "std") if f"data.{key}" not in said}


def _check_other_data(protocol: str, data: DataConfig | None, own: DataConfig) -> None:
    if data is not None and _place(data) == _place(own):
        raise UserError(
            f"protocol={protocol} is about other data than the run was trained on; received "
            f"'{data.train or data.name}', its own; set data=NAME"
        )


def _place(data: DataConfig) -> tuple[str, Path | None]:
    return data.source, None if data.train is None else Path(data.train).expanduser().resolve()
