"""Other Python processes import what this one does, whatever the working directory holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import ssl_zoo
from ssl_zoo.hardware.interpreter import module_command


def test_a_package_of_the_same_name_in_the_working_directory_is_not_imported(tmp_path: Path) -> None:
    """As in a checkout, beside a package that is installed elsewhere."""
    (tmp_path / "ssl_zoo").mkdir()
    (tmp_path / "ssl_zoo" / "__init__.py").write_text(
        "raise ImportError('the one in the working directory')\n"
    )
    command = module_command("ssl_zoo", "--version")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, f"ssl-zoo {ssl_zoo.__version__}"), done.stderr
