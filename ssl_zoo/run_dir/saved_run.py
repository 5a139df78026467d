"""A run opened again: its configuration, its weights and its result.

Every weight is loaded or the run is refused: an evaluation of an encoder that silently kept its initial weights
is the commonest wrong figure of this field. Nothing in a checkpoint is executed; see `run_dir.checkpoints`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor, nn

from ssl_zoo.backbone import build_backbone
from ssl_zoo.build import build
from ssl_zoo.config.mapping import config_hash, from_mapping
from ssl_zoo.config.schema import ImportedConfig, RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.method import Method
from ssl_zoo.run_dir.checkpoints import LAST, STAMP, Damaged, Position, read_checkpoint
from ssl_zoo.run_dir.paths import checkpoint_of
from ssl_zoo.run_dir.result_card import result_html
from ssl_zoo.run_dir.run_files import read_record

__all__ = ["IMPORTED", "SavedRun", "digest_of", "load_strictly", "open_run", "start_hash"]

BACKBONE = "encoder.backbone."
IMPORTED = "import.json"  # where an imported encoder comes from, in its run directory


@dataclass(frozen=True)
class SavedRun:
    """A checkpoint with all that was saved in it."""

    path: Path  # the checkpoint
    folder: Path  # the run directory, or where a lone checkpoint lies
    config: RunConfig
    position: Position  # epochs done, and batches done of the next
    images: int  # that it was trained on
    weights: dict[str, Tensor]  # of the method, by name
    result: dict[str, Any] | None  # of result.json, where the run has one
    classes: int | None = None  # that it was trained on, if its method asks for labels

    def __repr__(self) -> str:
        return f"<run '{self.folder}': {self.title}, {self._trained}>"

    def _repr_html_(self) -> str:
        record = (self.result or {}) if self.is_last else {}
        return result_html(record, self.folder, self._trained, title=self.title)

    @property
    def _trained(self) -> str:
        return "imported" if self.is_imported else f"epoch {self.position.epoch} of {self.config.epochs}"

    @property
    def title(self) -> str:
        """The method, the data and the seed, for instance `simsiam on digits, seed 0`."""
        if isinstance(self.config.method, ImportedConfig):
            return f"{self.config.method.label}, {self.config.method.file}"
        return f"{self.config.method.label} on {self.config.data.name}, seed {self.config.seed}"

    @property
    def is_imported(self) -> bool:
        """Whether another program trained it, and `ssl-zoo import` read it."""
        return isinstance(self.config.method, ImportedConfig)

    @property
    def import_record(self) -> dict[str, Any]:
        """What import.json holds; nothing for a run that was trained here."""
        return read_record(self.folder / IMPORTED) or {}

    @property
    def is_finished(self) -> bool:
        """Whether all epochs were trained, or the run ended before, collapsed or diverged, with its result."""
        if self.is_imported:
            return True
        ended = self.result is not None and Position(self.result.get("epochs", 0), 0) == self.position
        return ended or self.position.epoch >= self.config.epochs

    @cached_property
    def digest(self) -> str:
        """The digest of the backbone's weights; see `digest_of`."""
        return digest_of(self.backbone_weights)

    @cached_property
    def config_hash(self) -> str:
        """The hash of the configuration, as in `result.json`: of a run in stages it does not depend on a path."""
        environment = read_record(self.folder / "environment.json") or {}
        return config_hash(self.config, start_hash(environment.get("start_from")))

    @property
    def start_record(self) -> dict[str, Any]:
        """What identifies these weights in the record of a run that begins with them; see `start_hash`."""
        return {"config_hash": self.config_hash, "digest": self.digest, "finished": self.is_finished}

    @property
    def is_last(self) -> bool:
        """Whether the figures in `result` are of these weights: those of a run's end."""
        return self.is_finished and self.path.name == LAST

    @property
    def backbone_weights(self) -> dict[str, Tensor]:
        """The backbone's weights alone, by the names that timm gives them."""
        return {
            name.removeprefix(BACKBONE): w for name, w in self.weights.items() if name.startswith(BACKBONE)
        }

    def method(self, *, trained: bool = True) -> Method:
        """Returns the method with its weights, or as it was before its training; in evaluation mode, on the CPU.

        Raises:
            UserError: a weight is missing or does not fit.
        """
        if not trained:
            return _build(self.config).eval()
        method = _build(self._without_fetching())
        method.allocate(self.images)
        if method.needs_labels and self.classes is not None:
            method.take_labels(torch.zeros(self.images, dtype=torch.int64), self.classes)
        load_strictly(method, self.weights, self.path)
        return method.eval()

    def backbone(self, *, trained: bool = True, size: int | None = None) -> nn.Module:
        """Returns the timm model without its classifier, images (N, C, H, W) to features (N, F); as `method`.

        Args:
            trained: with the run's weights; else as it was before its training.
            size: side of the images that it will see, for models built for one; null: the one trained on.
        """
        size = self.config.augment.size if size is None else size
        if not trained:
            config = dataclasses.replace(
                self.config, augment=dataclasses.replace(self.config.augment, size=size)
            )
            return _build(config).encoder.backbone.eval()
        config = self._without_fetching()
        model = build_backbone(config.backbone, config.data.channels, size).model
        load_strictly(model, self.backbone_weights, self.path)
        return model.eval()

    def _without_fetching(self) -> RunConfig:
        """Returns a configuration that fetches no pretrained weights, as the run's own follow."""
        return dataclasses.replace(
            self.config, backbone=dataclasses.replace(self.config.backbone, pretrained=False)
        )


def open_run(path: str | Path, key: str = "run") -> SavedRun:
    """Opens a run directory, by its last checkpoint, or any checkpoint that a run saved; `key` names it in messages.

    Raises:
        UserError: there is no such run; its checkpoint is damaged, would run code, or is none of ours.
    """
    file = checkpoint_of(path, key)
    try:
        contents = read_checkpoint(file)
    except Damaged as error:
        raise UserError(
            f"a checkpoint must be whole and hold weights alone; '{file}' cannot be read ({error}); name another, "
            "for instance the checkpoints/previous.ckpt of the run, by its path"
        ) from error
    try:
        stamp = contents[STAMP]
        config = from_mapping(stamp["config"])
        position, images = Position(*map(int, stamp["position"])), int(stamp["images"])
        classes = stamp.get("classes")
        weights = {
            name.removeprefix("method."): weight
            for name, weight in contents["state_dict"].items()
            if name.startswith("method.")
        }
    except UserError as error:
        raise UserError(f"'{file}' is of a run that this version cannot build: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(
            f"a checkpoint must be one that ssl-zoo train saved; '{file}' holds no run of it; name a run directory"
        ) from error
    folder = file.resolve().parent
    if (folder.parent / "config.yaml").is_file():
        folder = folder.parent
    result = read_record(folder / "result.json")
    return SavedRun(file, folder, config, position, images, weights, result, classes)


def digest_of(weights: Mapping[str, Tensor]) -> str:
    """Returns twelve hex digits that two state dicts share only if names and weights are equal to the bit."""
    sha = hashlib.sha256()
    for name, weight in sorted(weights.items()):
        sha.update(name.encode())
        sha.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:12]


def start_hash(record: Mapping[str, Any] | None) -> str | None:
    """Returns what stands for the path of `start_from` in the hash of a run that began with another's weights.

    It is that run's own hash, with the digest of its backbone where the weights are not those of its end. None for a
    run that began with none, or whose record is not there.

    Args:
        record: `start_from` in `environment.json` or `result.json`.
    """
    if not record or not {"config_hash", "digest"} <= set(record):
        return None
    own = str(record["config_hash"])
    return own if record.get("finished") else f"{own}-{record['digest']}"


def load_strictly(model: nn.Module, weights: dict[str, Tensor], source: Path) -> None:
    """Loads weights, all of them.

    Raises:
        UserError: one is missing, left over, or of another shape; the message names some.
    """
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in weights]
    unknown = [name for name in weights if name not in wanted]
    shared = [name for name in wanted if name in weights]
    foreign = [name for name in shared if not isinstance(weights[name], Tensor)]
    tensors = [name for name in shared if name not in foreign]
    other = [name for name in tensors if wanted[name].shape != weights[name].shape]
    kinds = [
        name for name in tensors if wanted[name].is_floating_point() != weights[name].is_floating_point()
    ]
    problems = [
        f"{len(names)} {what}, such as '{names[0]}'"
        for names, what in (
            (missing, "missing"),
            (unknown, "unknown"),
            (foreign, "no tensor"),
            (other, "of another shape"),
            (kinds, "of another type"),
        )
        if names
    ]
    if problems:
        raise UserError(
            f"every weight must be found, of {len(wanted)} in the model; of those in '{source}' {', '.join(problems)}; "
            "name the checkpoint of this very model"
        )
    model.load_state_dict(weights, strict=True)


def _build(config: RunConfig) -> Method:
    """Builds the method from its seed; global random states stay as they are."""
    with isolate_rng():
        return build(config, config.data.channels)[0]
