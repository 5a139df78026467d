"""Training in stages: a run that begins with another run's weights, whatever the method and the loss of either.

Weights alone are taken: neither the optimizer nor a counter, and no queue or memory, which the method fills itself. The
encoder must fit, name by name and shape by shape; an imported one is the backbone alone. Every other part with weights
(predictor, prototypes) is taken whole where it fits and else begins at random; the run's record lists both. A target
encoder that the other run has not got begins as a copy of the encoder, as it does in a run from the beginning, and so
do the targets' own prototypes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ssl_zoo.backbone import built_heads, heads_of
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.equation import Siamese
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.run_dir.saved_run import SavedRun, load_strictly, open_run
from ssl_zoo.training.resume import Saved

__all__ = ["describe_start", "find_start", "recorded_start", "take_weights"]


def find_start(config: RunConfig, saved: Saved | None) -> SavedRun | None:
    """Opens the run that `start_from` names; None where there is none, or where a checkpoint has newer weights.

    Raises:
        UserError: there is no such run, or its checkpoint is damaged.
    """
    if config.start_from is None or saved is not None:
        return None
    return open_run(config.start_from, key="start_from")


def take_weights(method: Method, source: SavedRun) -> dict[str, Any]:
    """Loads another run's weights into a method, and returns the record of what was taken.

    Raises:
        UserError: a weight of the encoder is missing, left over or of another shape; the attention heads differ.
    """
    _check_heads(method, source)
    theirs, ours = _parts(source.weights), _parts(method.state_dict())
    needed = "backbone" if source.is_imported else "encoder"
    try:
        if source.is_imported:
            load_strictly(method.encoder.backbone, source.backbone_weights, source.path)
        else:
            load_strictly(method.encoder, theirs.get("encoder", {}), source.path)
    except UserError as error:
        parts = "backbone" if source.is_imported else "backbone and projector"
        raise UserError(f"start_from needs a run with the same {parts}: {error}") from error
    trained = {name.partition(".")[0] for name, _ in method.named_parameters()} - {"encoder"}
    fitting = {part for part in trained if _shapes(ours[part]) == _shapes(theirs.get(part, {}))}
    for part in fitting:
        method.get_submodule(part).load_state_dict(theirs[part])
    if isinstance(method, Siamese) and method.target_encoder is not None and "target_encoder" not in fitting:
        method.target_encoder.load_state_dict(method.encoder.state_dict())
    if (
        isinstance(method, Siamese)
        and method.target_prototypes is not None
        and "target_prototypes" not in fitting
    ):
        method.target_prototypes.load_state_dict(method.prototypes.state_dict())
    projector = ["projector"] if source.is_imported and [*method.encoder.projector.parameters()] else []
    return {
        "checkpoint": str(source.path),
        "run": source.title,
        "epoch": source.position.epoch,
        **source.start_record,
        "taken": [needed, *sorted(fitting)],
        "not_taken": sorted(set(theirs) - fitting - {"encoder"}),
        "random": [*projector, *sorted(trained - fitting - {"target_encoder", "target_prototypes"})],
    }


def _check_heads(method: Method, source: SavedRun) -> None:
    """Refuses a transformer that would read the other run's weights as other attention heads, of the same shapes."""
    backbone = source.config.backbone
    ours = heads_of(method.encoder.backbone)
    theirs = built_heads(backbone.name, backbone.num_heads) if ours else ours
    if theirs and theirs != ours:
        of_theirs, of_ours = (", ".join(map(str, sorted(numbers))) for numbers in (theirs, ours))
        raise UserError(
            f"start_from needs a run with the same attention heads; received '{source.path}' with {of_theirs} in each "
            f"layer, and {of_ours} here; set backbone.name={backbone.name}"
            + (f" backbone.num_heads={backbone.num_heads}" if backbone.num_heads else "")
        )


def recorded_start(config: RunConfig, saved: Saved) -> dict[str, Any] | None:
    """Returns the record of a run that continues; just the path where its first environment.json is not there."""
    if config.start_from is None:
        return None
    first = read_record(saved.path.parent.parent / "environment.json") or {}
    record = first.get("start_from")
    return record if isinstance(record, dict) else {"checkpoint": config.start_from}


def describe_start(record: Mapping[str, Any]) -> str:
    """Describes in a sentence what a run begins with."""
    after = (
        "" if record["taken"][0] == "backbone" else f", after {record['epoch']} epochs"
    )  # imported: not known
    parts = f"begins with the {' and '.join(record['taken'])} of {record['run']}{after}"
    others = [
        f"{what}: {', '.join(record[key])}"
        for key, what in (("not_taken", "not taken"), ("random", "random"))
        if record[key]
    ]
    return "; ".join([parts, *others])


def _parts(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Divides a state dict by the method's parts: `predictor.layers.0.weight` is `layers.0.weight` of predictor."""
    parts = dict[str, dict[str, Tensor]]()
    for name, value in state.items():
        part, _, inner = name.partition(".")
        parts.setdefault(part, {})[inner] = value
    return parts


def _shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}
