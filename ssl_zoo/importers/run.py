"""`ssl-zoo import`: the verb."""

from __future__ import annotations

import dataclasses
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.seed import isolate_rng
from torch import Tensor

from ssl_zoo.build import assemble
from ssl_zoo.config.mapping import config_hash, to_mapping, to_yaml
from ssl_zoo.errors import UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.json_files import write_json
from ssl_zoo.files.locks import is_empty
from ssl_zoo.files.paths import user_path
from ssl_zoo.files.whole_folder import atomic_folder
from ssl_zoo.importers.plan import ImportPlan, plan_import
from ssl_zoo.importers.schema import read_import
from ssl_zoo.run_dir.checkpoints import LAST, STAMP
from ssl_zoo.run_dir.environment import git_commit, versions
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.run_dir.saved_run import IMPORTED
from ssl_zoo.terminal.console import Console, styled

__all__ = ["import_checkpoint"]


def import_checkpoint(overrides: Sequence[str] = (), silent: bool = False) -> Path:
    """Imports a checkpoint: `import_checkpoint(["file=moco.pth.tar", "run_dir=runs/moco"])`.

    Args:
        overrides: the same overrides as on the command line; see `ImportConfig`, and `data=`, `data.*` for the images
            that the run's evaluations are to read.
        silent: print nothing.

    Returns:
        The run directory.

    Raises:
        UserError: the overrides or the checkpoint are wrong, or a key of it is not accounted for; nothing was created.
    """
    options, about_data = read_import(overrides)
    run_dir = user_path(options.run_dir, "run_dir")
    _check_run_dir(run_dir)
    plan = plan_import(options, about_data)
    state = _method_state(plan)
    with atomic_folder(run_dir) as folder:
        _write(plan, state, folder, run_dir)
    _show(plan, run_dir, Console(quiet=silent))
    return run_dir


def _check_run_dir(run_dir: Path) -> None:
    check_writable(run_dir, "run_dir must be a folder that can be written to", "choose another")
    if not is_empty(run_dir):
        raise UserError(
            f"run_dir must be new or empty; '{run_dir}' holds files already; choose another, or remove it"
        )


def _method_state(plan: ImportPlan) -> dict[str, Tensor]:
    """Returns the run's state dict, of the method as it is built with the encoder's weights in it."""
    with isolate_rng():
        method, _ = assemble(plan.config, plan.config.data.channels)
    backbone = method.encoder.backbone
    counters = {key: weight for key, weight in backbone.state_dict().items() if key not in plan.weights}
    backbone.load_state_dict({**counters, **plan.weights}, strict=True)
    return {f"method.{name}": weight for name, weight in method.state_dict().items()}


def _write(plan: ImportPlan, state: Mapping[str, Tensor], folder: Path, run_dir: Path) -> None:
    config = plan.config
    (folder / "config.yaml").write_text(to_yaml(config), encoding="utf-8")
    stamp = {"config": to_mapping(config), "position": [0, 0], "images": 0, "losses": []}
    (folder / "checkpoints").mkdir()
    with (folder / "checkpoints" / LAST).open("wb") as file:
        torch.save({STAMP: stamp, "state_dict": dict(state)}, file)
    write_json(folder / IMPORTED, _record(plan))
    here = {"command": sys.argv, "git_commit": git_commit(), "versions": versions()}
    write_json(folder / "environment.json", here)
    write_json(folder / "result.json", _result(plan, run_dir).as_dict())


def _record(plan: ImportPlan) -> dict[str, Any]:
    """Returns what import.json holds: where the weights come from, and what became of each key."""
    config, pixels, method = plan.config, plan.pixels, plan.config.method
    return {
        "file": method.file,
        "sha256": method.sha256,
        "bytes": plan.file.stat().st_size,
        "format": plan.entry.name,
        "program": plan.entry.title,
        "backbone": config.backbone.name,
        "stem": config.backbone.stem,
        "num_heads": config.backbone.num_heads,
        "weights_taken": len(plan.weights),
        "left_out": _by_meaning(plan.accounted.left_out),
        "no_weights": list(plan.contents.others),
        "facts": plan.contents.facts,
        "preprocessing": {
            "channels": "RGB",
            "size": config.augment.size,
            "mean": list(config.data.mean),
            "std": list(config.data.std),
            "interpolation": config.data.interpolation,
            "theirs": dataclasses.asdict(pixels),
        },
    }


def _by_meaning(left_out: Mapping[str, str]) -> dict[str, list[str]]:
    """Lists the keys that are left out under what they are."""
    meanings = dict.fromkeys(left_out.values())
    return {what: [key for key, meaning in left_out.items() if meaning == what] for what in meanings}


def _result(plan: ImportPlan, run_dir: Path) -> Result:
    config = plan.config
    return Result(
        method=config.method.name,
        data=config.data.name,
        seed=config.seed,
        epochs=0,
        steps=0,
        loss=None,
        knn_top1=None,
        knn_protocol=None,
        linear_top1=None,
        linear_top1_std=None,
        linear_protocol=None,
        test_images=None,
        baselines=Baselines(),
        metrics={},
        verdict="imported",
        verdict_reason=(
            f"imported from {config.method.file}, a checkpoint of {plan.entry.title}, and not trained here"
        ),
        collapsed_epoch=None,
        cause=None,
        remedy=None,
        differs_from_paper={},
        start_from=None,
        views_per_second=None,
        train_seconds=0.0,
        peak_memory_mb=0.0,
        skipped=None,
        config_hash=config_hash(config),
        git_commit=git_commit(),
        versions=versions(),
        run_dir=str(run_dir),
    )


def _show(plan: ImportPlan, run_dir: Path, console: Console) -> None:
    config, left_out = plan.config, Counter(plan.accounted.left_out.values())
    heads = f" with {config.backbone.num_heads} attention heads" if config.backbone.num_heads else ""
    console.print(styled((config.backbone.name, "bold"), f"{heads} of {plan.entry.title}, from {plan.file}"))
    others = ", ".join(f"{what} ({count})" for what, count in left_out.items()) or "nothing"
    console.print(f"{len(plan.weights)} weights taken; left out: {others}")
    console.print(
        f"images of {config.augment.size} pixels, {config.data.interpolation}, mean {list(config.data.mean)}, std "
        f"{list(config.data.std)}"
    )
    console.print(f"{run_dir}: ssl-zoo eval, report, export and embed take it", style="dim")
