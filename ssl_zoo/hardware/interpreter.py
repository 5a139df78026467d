"""Other Python processes of this one."""

from __future__ import annotations

import sys

__all__ = ["module_command"]


def module_command(module: str, *arguments: str) -> list[str]:
    """Returns the command that runs a module in another process, from where this process would import it.

    `python -m` looks in the working directory first. In a checkout it would find the sources, and without the folders
    that an installation maps into the package, though this process runs the installed package.

    Args:
        module: its full name.
        arguments: those after the command's own.
    """
    start = (
        f"import runpy, sys; sys.path[:] = {sys.path!r}; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-c", start, *arguments]
