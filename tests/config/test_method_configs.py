"""The class of a method's settings is known without the import of its file, and is that which the file registers."""

from __future__ import annotations

from pathlib import Path

import pytest
import ssl_zoo.methods

from ssl_zoo.config.registries import METHODS
from ssl_zoo.config.schema import SiameseConfig

NAMES = [file.stem for folder in ssl_zoo.methods.__path__ for file in sorted(Path(folder).glob("[!_]*.py"))]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_registers_what_is_taken_for_its_settings(name: str) -> None:
    declared = {"joint_embedding", "supervised"}  # added in config/registries.py, with keys of their own
    assert (METHODS.get(name).config is SiameseConfig) == (name not in declared)
