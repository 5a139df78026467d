"""Clauses on what a method declares: its YAML and its source."""

from __future__ import annotations

import re
import sys

from ssl_zoo.config.compose import compose
from ssl_zoo.config.registries import METHODS
from ssl_zoo.errors import UserError
from ssl_zoo.testing.contract import Broken
from ssl_zoo.testing.setting import Setting

__all__ = ["cites", "composes"]


def composes(setting: Setting) -> None:
    """The method's own YAML composes, on digits and with nothing overridden."""
    name = setting.name
    try:
        compose([f"method={name}", "data=digits"])
    except UserError as error:
        raise Broken(
            f"configs/method/{name}.yaml to set every key that has no default, and no unknown one",
            str(error),
            "mend the YAML, or the class of its keys",
        ) from error


def cites(setting: Setting) -> None:
    """The docstring of the class, or of its module, cites a source by its address."""
    method = METHODS.get(setting.config.method.name).load()
    module = sys.modules.get(method.__module__)
    text = f"{method.__doc__ or ''}\n{getattr(module, '__doc__', None) or ''}"
    if not re.search(r"https?://\S+", text):
        raise Broken(
            "the docstring of the class or of its module to cite the paper or code that the method follows",
            "no address in either",
            "add for instance '- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566'",
        )
