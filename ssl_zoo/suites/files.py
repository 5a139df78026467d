"""Where suites are."""

from __future__ import annotations

from pathlib import Path

from ssl_zoo.config.compose import group_dirs

__all__ = ["suite_files"]


def suite_files() -> dict[str, Path]:
    """All suites by name: this package's, then the plugins' and the user's."""
    from ssl_zoo import benchmarks

    roots = [Path(benchmarks.__file__).parent / "suites", *(folder / "suite" for folder in group_dirs())]
    files = [file for root in roots for file in sorted(root.glob("*.yaml"))]
    return {file.stem: file for file in reversed(files)}  # of two with one name the first counts
