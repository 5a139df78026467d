"""ssl-zoo: what does each part of a Siamese self-supervised method do?

    import ssl_zoo
    result = ssl_zoo.train(["method=simsiam", "method.stop_gradient=false"])
    print(result.verdict, result.output_std_ratio)

Names are imported when first used, so that `import ssl_zoo` and `ssl-zoo --help` cost nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl_zoo.config import compose
    from ssl_zoo.equation import GridPoint, Siamese
    from ssl_zoo.errors import Interrupted, UserError
    from ssl_zoo.method import LossOutput, Method, Progress
    from ssl_zoo.registry import register
    from ssl_zoo.result import Result
    from ssl_zoo.schema import MethodConfig, ProjectorConfig, RunConfig, SiameseConfig, section
    from ssl_zoo.training.prepare import build_method
    from ssl_zoo.training.run import run, train

__version__ = "0.1.0"

_HOMES = {
    "compose": "config",
    "GridPoint": "equation",
    "Siamese": "equation",
    "Interrupted": "errors",
    "UserError": "errors",
    "LossOutput": "method",
    "Method": "method",
    "Progress": "method",
    "register": "registry",
    "Result": "result",
    "MethodConfig": "schema",
    "ProjectorConfig": "schema",
    "RunConfig": "schema",
    "SiameseConfig": "schema",
    "section": "schema",
    "build_method": "training.prepare",
    "run": "training.run",
    "train": "training.run",
}

__all__ = [
    "GridPoint",
    "Interrupted",
    "LossOutput",
    "Method",
    "MethodConfig",
    "Progress",
    "ProjectorConfig",
    "Result",
    "RunConfig",
    "Siamese",
    "SiameseConfig",
    "UserError",
    "build_method",
    "compose",
    "register",
    "run",
    "section",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ssl_zoo' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ssl_zoo.{_HOMES[name]}"), name)
