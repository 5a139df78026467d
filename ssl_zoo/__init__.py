"""ssl-zoo: what does each part of a Siamese self-supervised method do?

    import ssl_zoo
    result = ssl_zoo.train(["method=simsiam", "method.stop_gradient=false"])
    print(result.verdict, result.metrics["output_std_ratio"])

Names are imported when first used, so that `import ssl_zoo` and `ssl-zoo --help` cost nothing. None of them may be
the name of a module in this folder: importing that module would put it in the name's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_zoo.build import build_method
    from ssl_zoo.catalog.table import RunTable, runs
    from ssl_zoo.config.compose import compose
    from ssl_zoo.config.registries import data_source, register
    from ssl_zoo.config.schema import (
        DataConfig,
        MethodConfig,
        ProjectorConfig,
        RunConfig,
        SiameseConfig,
        section,
    )
    from ssl_zoo.data.memory_split import MemorySplit
    from ssl_zoo.data.split import Data
    from ssl_zoo.distributed import gather
    from ssl_zoo.embedding.run import embed
    from ssl_zoo.equation import GridPoint, Siamese
    from ssl_zoo.errors import Interrupted, Unfinished, UserError
    from ssl_zoo.evaluation.protocols import protocol
    from ssl_zoo.evaluation.run import evaluate
    from ssl_zoo.evaluation.task import Outcome, Task
    from ssl_zoo.exporters.encoder import ExportedEncoder, ExportedFiles
    from ssl_zoo.exporters.formats import exporter
    from ssl_zoo.exporters.load_backbone import load_backbone
    from ssl_zoo.exporters.run import export
    from ssl_zoo.exporters.schema import ExportConfig
    from ssl_zoo.importers.run import import_checkpoint
    from ssl_zoo.method import LossOutput, Method
    from ssl_zoo.metrics import Embeddings, metric
    from ssl_zoo.parts.schedule import Progress
    from ssl_zoo.reports.bench import bench
    from ssl_zoo.reports.compare import Comparison, compare
    from ssl_zoo.reports.report import report
    from ssl_zoo.reports.sweep import sweep
    from ssl_zoo.run_dir.result import Result
    from ssl_zoo.run_dir.saved_run import SavedRun, open_run
    from ssl_zoo.standalone.batched_views import BatchedViews
    from ssl_zoo.standalone.diagnose import diagnose
    from ssl_zoo.standalone.diagnosis import Diagnosis
    from ssl_zoo.standalone.monitor import CollapseMonitor
    from ssl_zoo.training.run import run, train

__version__: str  # of the installed distribution, read when first asked for

_HOMES = {
    "data_source": "config.registries",
    "DataConfig": "config.schema",
    "Data": "data.split",
    "MemorySplit": "data.memory_split",
    "Task": "evaluation.task",
    "Outcome": "evaluation.task",
    "protocol": "evaluation.protocols",
    "exporter": "exporters.formats",
    "ExportConfig": "exporters.schema",
    "ExportedEncoder": "exporters.encoder",
    "ExportedFiles": "exporters.encoder",
    "metric": "metrics",
    "Embeddings": "metrics",
    "bench": "reports.bench",
    "RunTable": "catalog.table",
    "runs": "catalog.table",
    "Comparison": "reports.compare",
    "compare": "reports.compare",
    "compose": "config.compose",
    "gather": "distributed",
    "embed": "embedding.run",
    "GridPoint": "equation",
    "Siamese": "equation",
    "evaluate": "evaluation.run",
    "load_backbone": "exporters.load_backbone",
    "export": "exporters.run",
    "import_checkpoint": "importers.run",
    "Interrupted": "errors",
    "Unfinished": "errors",
    "UserError": "errors",
    "LossOutput": "method",
    "Method": "method",
    "Progress": "parts.schedule",
    "register": "config.registries",
    "report": "reports.report",
    "sweep": "reports.sweep",
    "Result": "run_dir.result",
    "open_run": "run_dir.saved_run",
    "SavedRun": "run_dir.saved_run",
    "MethodConfig": "config.schema",
    "ProjectorConfig": "config.schema",
    "RunConfig": "config.schema",
    "SiameseConfig": "config.schema",
    "section": "config.schema",
    "build_method": "build",
    "BatchedViews": "standalone.batched_views",
    "CollapseMonitor": "standalone.monitor",
    "diagnose": "standalone.diagnose",
    "Diagnosis": "standalone.diagnosis",
    "run": "training.run",
    "train": "training.run",
}

__all__ = [
    "BatchedViews",
    "CollapseMonitor",
    "Comparison",
    "Data",
    "DataConfig",
    "Diagnosis",
    "Embeddings",
    "ExportConfig",
    "ExportedEncoder",
    "ExportedFiles",
    "GridPoint",
    "Interrupted",
    "LossOutput",
    "MemorySplit",
    "Method",
    "MethodConfig",
    "Outcome",
    "Progress",
    "ProjectorConfig",
    "Result",
    "RunConfig",
    "RunTable",
    "SavedRun",
    "Siamese",
    "SiameseConfig",
    "Task",
    "Unfinished",
    "UserError",
    "bench",
    "build_method",
    "compare",
    "compose",
    "data_source",
    "diagnose",
    "embed",
    "evaluate",
    "export",
    "exporter",
    "gather",
    "import_checkpoint",
    "load_backbone",
    "metric",
    "open_run",
    "protocol",
    "register",
    "report",
    "run",
    "runs",
    "section",
    "sweep",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name not in _HOMES:
        raise AttributeError(f"module 'ssl_zoo' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ssl_zoo.{_HOMES[name]}"), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("ssl-zoo")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
