"""Composes evaluations from overrides: `ssl-zoo eval run=DIR protocol=knn,few_labels`.

A protocol's YAML (`evaluation.protocol`) < what all protocols of a command share < the overrides.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ssl_zoo.config.groups import group_names
from ssl_zoo.config.options import images_for, read_options
from ssl_zoo.config.overrides import merge, read_override
from ssl_zoo.config.registries import data_config
from ssl_zoo.config.schema import DataConfig, RunConfig, ViewConfig
from ssl_zoo.config.validate import validate
from ssl_zoo.errors import UserError, shown
from ssl_zoo.evaluation.protocol import GROUP, Protocol, expand
from ssl_zoo.evaluation.protocols import PROTOCOLS, eval_config
from ssl_zoo.evaluation.schema import EvalConfig
from ssl_zoo.run_dir.paths import checkpoint_of

__all__ = ["EvalOverrides", "compose_evaluations", "read_eval"]


class EvalOverrides(NamedTuple):
    """The overrides of an evaluation, read and checked without its run."""

    values: dict[str, Any]  # of all keys but protocol
    about_data: list[str]
    protocols: list[Protocol]
    named: bool  # whether they name a protocol; else it is kNN, or what needs no labels

    @property
    def run(self) -> str | None:
        """The run directory or checkpoint; None if a backbone is evaluated."""
        return self.values.get("run")


def read_eval(overrides: Sequence[str]) -> EvalOverrides:
    """Reads and checks the overrides as far as possible without opening the run, which imports torch.

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
    protocols = [protocol for name in dict.fromkeys(names) for protocol in expand(name)]
    _check_sections(values, protocols)
    for protocol in protocols:
        _config(protocol, {"data": None, "size": 1}, values)
    if path is not None:
        checkpoint_of(path)
    return EvalOverrides(values, about_data, protocols, named)


def compose_evaluations(
    overrides: EvalOverrides, trained: RunConfig | None
) -> tuple[list[EvalConfig], tuple[ViewConfig, ...]]:
    """Builds the settings of each protocol.

    Args:
        overrides: see `read_eval`.
        trained: the configuration of the run that they name, if they name one.

    Returns:
        The settings, and how the images are augmented in pre-training: nothing where no protocol reads images.

    Raises:
        UserError: neither a run nor a backbone, or both; no data; for `transfer`, the data that the run was trained on.
    """
    values = overrides.values
    _check_encoder(values, trained)
    shared, views = _images(overrides, trained)
    configs = []
    for protocol in overrides.protocols:
        reads_images = PROTOCOLS.get(protocol.kind).reads_images
        configs.append(_config(protocol, shared if reads_images else {**shared, "data": None}, values))
        if protocol.transfer is not None and trained is not None:
            _check_other_data(protocol.transfer, configs[-1].data, trained.data)
    return configs, views


def _config(protocol: Protocol, shared: Mapping[str, Any], values: Mapping[str, Any]) -> EvalConfig:
    """Validates the protocol's settings with what all protocols share and the overrides over them."""
    block = merge(merge({"kind": protocol.kind, **protocol.settings}, shared), values)
    try:
        PROTOCOLS.get(protocol.kind)  # its block is one of the class's
        return validate(eval_config(data_config(block["data"])), {**block, "protocol": protocol.name}, "")
    except UserError as error:
        if any(key in values for key in (protocol.kind, "size", "seed", "precision", "threads")):
            raise
        raise UserError(f"{error} (protocol '{protocol.name}': {protocol.file})") from error


def _check_encoder(values: Mapping[str, Any], trained: RunConfig | None) -> None:
    """Refuses anything but a run or a backbone, and `weights` without a run."""
    if trained is None and "backbone" not in values:
        raise UserError(
            "an evaluation needs an encoder; received neither run nor backbone; set run=DIR, or backbone.name=resnet50 "
            "(with backbone.pretrained=true for timm's weights)"
        )
    if trained is not None and "backbone" in values:
        raise UserError(
            f"a run brings its own backbone, '{trained.backbone.name}'; received backbone.* as well; leave out one"
        )
    if trained is None and "weights" in values:
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
    overrides: EvalOverrides, trained: RunConfig | None
) -> tuple[dict[str, Any], tuple[ViewConfig, ...]]:
    """Returns the data, None where no protocol reads any, with the side of the images; and their views."""
    about_data = overrides.about_data
    if not any(PROTOCOLS.get(protocol.kind).reads_images for protocol in overrides.protocols):
        if about_data:
            kind = overrides.protocols[0].kind
            raise UserError(
                f"protocols of kind {kind} read {kind}.train and {kind}.test; received '{about_data[0]}'; leave it out"
            )
        return {"data": None, "size": 224 if trained is None else trained.augment.size}, ()
    config, augment = images_for(about_data, trained)
    data = dataclasses.asdict(config)
    if trained is None:
        given = {read_override(override)[0] for override in about_data}
        data |= _pretrained_pixels(overrides.values["backbone"], data["channels"], given)
    return {"data": data, "size": augment.size if trained is None else trained.augment.size}, augment.flat


def _pretrained_pixels(backbone: Any, channels: int, given: set[str]) -> dict[str, Any]:
    """Returns the mean and std that timm's weights were trained with, without those that are given."""
    if not isinstance(backbone, Mapping) or not backbone.get("pretrained") or "name" not in backbone:
        return {}
    import timm

    weights = timm.get_pretrained_cfg(str(backbone["name"]), allow_unregistered=True)
    if weights is None or len(weights.mean) != channels:
        return {}
    return {key: tuple(getattr(weights, key)) for key in ("mean", "std") if f"data.{key}" not in given}


def _check_other_data(protocol: str, data: DataConfig | None, trained_on: DataConfig) -> None:
    if data is not None and data.training_images == trained_on.training_images:
        raise UserError(
            f"protocol={protocol} is about other data than the run was trained on; received "
            f"'{data.named.partition('=')[2]}', its own; set data=NAME"
        )
