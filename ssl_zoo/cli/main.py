"""The command line. Nothing heavy is imported before a verb needs it.

Exit status: 0 done (a collapsed run is a result, not an error), 2 the user's input is wrong, 75 a run that SLURM
stopped is saved and its job requeued, 1 anything else.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from functools import partial

from ssl_zoo.cli.output import print_text
from ssl_zoo.cli.usage import help_text, start_text, usage_of
from ssl_zoo.cli.verbs import VERBS
from ssl_zoo.errors import unknown_name
from ssl_zoo.terminal import streams
from ssl_zoo.terminal.signals import signals_interrupt

__all__ = ["VERBS", "entry", "main"]

HELP_FLAGS = {"-h", "--help"}
COMPLETE = "__complete"  # by which the shells' scripts ask


def main(overrides: Sequence[str]) -> int:
    """Runs a verb; returns the exit status."""
    if not overrides:
        return streams.write(start_text())
    if overrides[0] in HELP_FLAGS or overrides[0] == "help":
        overrides = [*overrides[1:2], "--help"]
    if overrides == ["--help"]:
        return streams.write(help_text())
    if overrides[0] == "--version":
        from ssl_zoo import __version__

        return streams.write(f"ssl-zoo {__version__}\n")
    if overrides[0] == COMPLETE:
        from ssl_zoo.cli.complete import complete

        return streams.write("".join(f"{word}\t{meaning}\n" for word, meaning in complete(overrides[1:])))
    verb, overrides = overrides[0], overrides[1:]
    try:
        with signals_interrupt():
            _action(verb, overrides)(overrides)
    except BaseException as error:
        try:
            return streams.exit_status(error, verb)
        except Exception:
            _name_plugin(error)
            raise
    return 0


def _name_plugin(error: BaseException) -> None:
    """Ends a traceback, which Lightning makes long, by the line of the plugin that it came from."""
    from ssl_zoo.registry import plugins

    packages = {point.module.partition(".")[0] for point in plugins()}
    frames = [
        (frame, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages
    ]
    if frames and sys.version_info >= (3, 11):
        frame, line = frames[-1]
        package = frame.f_globals["__name__"].partition(".")[0]
        error.add_note(f"in the plugin {package}: {frame.f_code.co_filename}, line {line}")


def _action(verb: str, overrides: Sequence[str]) -> Callable[[Sequence[str]], None]:
    if verb not in VERBS:
        raise unknown_name("verb", verb, VERBS)
    return partial(_help, verb) if HELP_FLAGS & {*overrides} else VERBS[verb]


def _help(verb: str, overrides: Sequence[str]) -> None:
    from ssl_zoo.cli.keys import verb_help

    print_text(verb_help(verb, usage_of(verb)))


def entry() -> None:
    """The console script."""
    streams.open_streams()
    status = main(sys.argv[1:])
    sys.exit(streams.write(silent=status != 0) or status)
