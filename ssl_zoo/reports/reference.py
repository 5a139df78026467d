"""The upper line of a report: what the same network reaches when it is trained with labels.

It is taken from runs of `method=supervised` that lie beside those of the report, in the same folder, with the same
images, backbone, image size and epochs, measured by the same probe. None is trained for it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ssl_zoo.config.mapping import config_hash, from_yaml
from ssl_zoo.config.schema import DatasetConfig, HuggingFaceConfig, RunConfig
from ssl_zoo.errors import UserError
from ssl_zoo.pages.numbers import percent
from ssl_zoo.run_dir.run_files import read_record
from ssl_zoo.run_dir.saved_run import SavedRun
from ssl_zoo.suites.aggregate import Aggregate
from ssl_zoo.suites.record import SuiteRecord, run_dir
from ssl_zoo.suites.trial import slug

__all__ = ["Reference", "reference_of_run", "reference_of_suite"]

METHOD = "supervised"
LABEL = f"{METHOD}, same backbone and epochs"


@dataclass(frozen=True)
class Reference:
    """Supervised runs in one setting, which differ in their seeds alone."""

    label: str
    folders: tuple[Path, ...]
    results: tuple[dict[str, Any], ...]  # result.json of each

    def aggregate(self, metric: str) -> Aggregate:
        """Aggregates an accuracy over the runs."""
        values = [result.get(metric) for result in self.results]
        numbers = [v for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
        return Aggregate(metric, tuple(numbers))

    def mean(self, metric: str) -> float | None:
        """Returns the mean of an accuracy over the runs."""
        return self.aggregate(metric).mean

    @property
    def is_found(self) -> bool:
        """Whether the runs were found beside those of the report, and not named."""
        return self.label == LABEL

    def percent(self, metric: str) -> str:
        """Writes an accuracy: its mean over the runs with the standard deviation; of one run with that of its draws."""
        over_runs = self.aggregate(metric)
        draws = self.results[0].get(f"{metric}_std")
        return percent(over_runs.mean, over_runs.std if len(self.results) > 1 else draws)

    @property
    def in_words(self) -> str:
        """Names the runs."""
        names = ", ".join(folder.name for folder in self.folders)
        return f"{self.label}: {len(self.folders)} run{'s' * (len(self.folders) > 1)} with labels, {names}"


def reference_of_run(run: SavedRun, named: SavedRun | None) -> Reference | None:
    """Returns the reference of a run's report; None where there is none, and of a supervised run.

    Args:
        run: of the report.
        named: the run that `reference=RUN` names, whatever its setting; None: those beside the run.

    Raises:
        UserError: the run that is named has no accuracies of its end.
    """
    if named is not None:
        if not named.is_last or named.result is None or named.result.get("linear_top1") is None:
            raise UserError(
                f"reference takes a finished run with accuracies; received '{named.folder}'; name another, or leave "
                "it out"
            )
        config = named.config
        label = f"{config.method.label}, {config.backbone.name}, {config.epochs} epochs"
        return Reference(label, (named.folder,), (named.result,))
    if run.config.method.name == METHOD:
        return None
    beside = sorted(folder for folder in run.folder.parent.glob("*") if _is_supervised(folder))
    return _choose(run.config, beside)


def reference_of_suite(record: SuiteRecord, folder: Path) -> Reference | None:
    """Returns the reference of all rows of a suite; None where they differ in their setting, or where there is none."""
    own = {run_dir(run, folder) for row in record.rows for run in row.runs if run.finished}
    rows = {place.parent for place in own}
    pattern = f"{slug(record.data)}-{METHOD}-s*"
    beside = sorted(place for each in rows for place in each.glob(pattern) if _is_supervised(place))
    if not beside or own & set(beside):  # a row of the suite is in its table as it is
        return None
    first = [run_dir(row.runs[0], folder) for row in record.rows if row.runs and row.runs[0].finished]
    configs = [config for config in map(_config_of, first) if config is not None]
    if not configs or len({_setting(config) for config in configs}) > 1:
        return None
    return _choose(configs[0], beside)


def _choose(config: RunConfig, folders: Iterable[Path]) -> Reference | None:
    """Returns the runs in the same setting; of several variants the one with the most seeds, then the best."""
    variants: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in folders:
        other, result = _config_of(folder), read_record(folder / "result.json")
        if other is None or result is None or _setting(other) != _setting(config):
            continue
        if result.get("linear_top1") is not None:
            key = config_hash(dataclasses.replace(other, seed=0))
            variants.setdefault(key, []).append((folder, result))
    found = [_reference(runs) for runs in variants.values()]
    linear = [each.mean("linear_top1") or 0.0 for each in found]
    order = sorted(range(len(found)), key=lambda number: (len(found[number].folders), linear[number]))
    return found[order[-1]] if found else None


def _reference(runs: Sequence[tuple[Path, dict[str, Any]]]) -> Reference:
    by_seed = {
        result.get("seed"): (folder, result) for folder, result in runs
    }  # of two alike the last by name
    folders, results = zip(*by_seed.values(), strict=True)
    return Reference(LABEL, folders, results)


def _setting(config: RunConfig) -> str:
    """Returns what a reference must share with a run, as text."""
    data, monitor = config.data, config.monitor
    folders = [
        None if each is None else str(Path(each).expanduser().resolve()) for each in (data.train, data.test)
    ]
    passed = (data.length, data.digest) if isinstance(data, (DatasetConfig, HuggingFaceConfig)) else ()
    read = (data.channels, data.bit_depth, data.interpolation)
    images = (data.source, data.name, *folders, *passed, data.limit, data.holdout, *read)
    measured = (monitor.labelled_samples, monitor.probe, monitor.knn.k, monitor.knn.temperature)
    return repr((images, config.backbone, config.augment.size, config.epochs, measured))


def _is_supervised(folder: Path) -> bool:
    """Whether the folder is of a finished run of the method, by a look that is cheap for a thousand folders."""
    try:
        return f'"method": "{METHOD}"' in (folder / "result.json").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _config_of(folder: Path) -> RunConfig | None:
    try:
        return from_yaml((folder / "config.yaml").read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        yaml.YAMLError,
    ):  # none there, or of another version: a UserError is a ValueError
        return None
