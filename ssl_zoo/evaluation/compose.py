"""From `key=value` words to the evaluations they ask for: `ssl-zoo eval run=DIR protocol=knn,few_labels`.

A protocol is a YAML in a `protocol/` folder of configurations, this package's, a plugin's or the user's own
(SSL_ZOO_CONFIGS): `kind` names the code, the block of that name its settings. `protocols` in place of them lists
others that are done together. Words on the command line come last.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from ssl_zoo.config import compose, group_file, group_names, merge
from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.evaluation.schema import SECTIONS, EvalConfig
from ssl_zoo.options import data_for, read_options
from ssl_zoo.saved import SavedRun, open_run
from ssl_zoo.schema import DataConfig
from ssl_zoo.validation import validate

__all__ = ["Protocol", "compose_evaluations"]

GROUP = "protocol"


def compose_evaluations(words: Sequence[str]) -> tuple[list[EvalConfig], SavedRun | None]:
    """The evaluations that the words ask for, one per protocol, and the run, opened.

    Raises:
        UserError: no such run or protocol; an unknown key or a wrong value; a section that none of the protocols
            reads; no data; for `transfer`, the data that the run was trained on.
    """
    values, about_data = read_options(words)
    names = values.pop("protocol", "knn")
    names = [names] if isinstance(names, str) else names
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise UserError(
            f"protocol takes a name, or several as knn,few_labels; received {names!r}; there are "
            f"{', '.join(group_names(GROUP))}"
        )
    run = None
    if (path := values.get("run")) is not None:
        if not isinstance(path, str):
            raise UserError(f"run takes a run directory or a checkpoint; received {path!r}; set run=DIR")
        run = open_run(path)
    _check_encoder(values, run)
    protocols = [found for name in names for found in _expand(name)]
    _check_sections(values, protocols)
    common = _data_and_size(about_data, run, protocols)
    configs = []
    for protocol in protocols:
        own = {**common, "data": None} if protocol.settings["kind"] == "detection" else common
        block = merge(merge(protocol.settings, own), values)
        configs.append(validate(EvalConfig, {**block, "protocol": protocol.name}, ""))
        if protocol.other_data and run is not None:
            _check_other_data(protocol.name, configs[-1].data, run.config.data)
    return configs, run


class Protocol(NamedTuple):
    """What a protocol's YAML says."""

    name: str
    settings: dict[str, Any]  # kind, and the block of that name
    other_data: bool = False  # only on data that the run was not trained on


def _expand(name: str, other_data: bool = False) -> list[Protocol]:
    """A protocol, or those that it lists.

    Raises:
        UserError: there is no such protocol, or its YAML says neither a kind nor a list.
    """
    names = group_names(GROUP)
    if name not in names:
        raise unknown_name("protocol", name, names)
    file = group_file(GROUP, name)
    block = yaml.safe_load(file.read_text())
    if not isinstance(block, dict) or ("kind" in block) == ("protocols" in block):
        raise UserError(
            f"a protocol's YAML says its kind ({', '.join(SECTIONS)}), or lists protocols; '{file}' says neither or "
            "both; see configs/protocol/knn.yaml"
        )
    other_data = bool(block.pop("other_data", other_data))
    if "kind" in block:
        return [Protocol(name, block, other_data)]
    return [found for inner in block["protocols"] for found in _expand(inner, other_data)]


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
    kinds = {protocol.settings["kind"] for protocol in protocols}
    for section in SECTIONS:
        if section in values and section not in kinds:
            names = ", ".join(protocol.name for protocol in protocols)
            raise UserError(
                f"{section}.* is read by protocols of kind {section}; received it with protocol={names}; leave it out, "
                "or name such a protocol"
            )
    for key in ("kind", "data"):
        if key in values:
            raise UserError(
                f"{key} follows from the other words; received {key}={values[key]!r}; leave it out"
            )


def _data_and_size(words: list[str], run: SavedRun | None, protocols: Sequence[Protocol]) -> dict[str, Any]:
    """The data as a plain mapping, None where no protocol reads any, and the side of the images."""
    only_detection = all(protocol.settings["kind"] == "detection" for protocol in protocols)
    if only_detection and words:
        raise UserError(
            f"protocol=detection reads detection.train and detection.test; received '{words[0]}'; leave it out"
        )
    if run is None and only_detection:
        return {"data": None, "size": 224}
    size = compose(words).augment.size if run is None else run.config.augment.size
    data = None if only_detection else dataclasses.asdict(data_for(words, run))
    return {"data": data, "size": size}


def _check_other_data(protocol: str, data: DataConfig | None, own: DataConfig) -> None:
    if data is not None and (data.name, data.train) == (own.name, own.train):
        raise UserError(
            f"protocol={protocol} here stands for transfer to other data than the run was trained on; received "
            f"'{data.name}', its own; set data=NAME"
        )
