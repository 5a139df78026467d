"""`ssl-zoo runs`: what there is below a folder, in a table; what was interrupted goes on, what is not needed goes."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from collections.abc import Sequence

from ssl_zoo.catalog.options import RunsConfig, read_runs
from ssl_zoo.catalog.remove import aside_of, check_removable, inner_first, remove_run, size_of
from ssl_zoo.catalog.table import RunTable, read_table
from ssl_zoo.catalog.text import Layout, lay_out
from ssl_zoo.cli.output import print_json, print_text, take_json
from ssl_zoo.errors import UserError
from ssl_zoo.files.paths import user_path
from ssl_zoo.terminal.console import Console, styled

__all__ = ["show_runs"]

COLOURS = {
    "healthy": "green",
    "collapsed": "red",
    "diverged": "red",
    "failed": "red",
    "damaged": "red",
    "partially collapsed": "yellow",
    "not learning": "yellow",
    "interrupted": "yellow",
    "running": "blue",
    "starting": "blue",
}


def show_runs(arguments: Sequence[str]) -> None:
    """Lists, compares, resumes or removes the runs that arguments describe.

    Raises:
        UserError: an option, a condition or a folder is wrong; a run must not be removed.
    """
    as_json, arguments = take_json(arguments)
    config, folders, conditions = read_runs(arguments)
    if config.do != "list" and (as_json or config.diff is not None):
        raise UserError(f"do={config.do} prints no list; --json and diff go with do=list; leave them out")
    whole = read_table([user_path(folder, "runs") for folder in folders or ["runs"]])
    table = _chosen(whole, config, conditions)
    if config.do == "remove":
        _remove(table, config.yes)
    elif config.do == "resume":
        from ssl_zoo.cli.resume_runs import resume_runs

        resume_runs(table.rows, _note)
    elif config.diff is not None:
        changes = table.diff(*config.diff)
        if as_json:
            print_json(changes.as_record())
        else:
            names = changes.headings()
            _print(lay_out(["key", *names[1:]], names, changes.rows(), _width()), {})
    elif as_json:
        print_json(table.as_records())
    else:
        _show(table, whole)


def _chosen(whole: RunTable, config: RunsConfig, conditions: Sequence[str]) -> RunTable:
    table = whole.where(*conditions, *([] if config.where is None else [config.where]))
    if config.sort is not None:
        table = table.sort(config.sort)
    if config.best is not None:
        best = table.best(config.best)
        waiting = sum(not run.result and table.value(run, config.best) is not None for run in table)
        if waiting:
            _note(f"best={config.best} compares runs with a result; {waiting} without one are left out")
        table = table.only(best)
    if config.limit is not None:
        table = table.head(config.limit)
    if config.columns is not None:
        table = table.select(*config.columns)
    return table.differing() if config.differing else table


def _show(table: RunTable, whole: RunTable) -> None:
    if table.rows:
        layout = lay_out(table.columns, table.headings(), table.cells(), _width())
        _print(layout, {at: run.outcome for at, run in enumerate(table.rows, 1)})
        if layout.shared:
            _note(f"the same for all: {', '.join(f'{k}={v}' for k, v in layout.shared.items())}")
        if layout.left_out:
            _note(
                f"no room for {', '.join(layout.left_out)}; columns=run,{layout.left_out[0]} shows what you name"
            )
    counts = Counter(run.outcome for run in table.rows).most_common()
    number = f"{len(table)}" if len(table) == len(whole) else f"{len(table)} of {len(whole)}"
    number = f"{number} run{'s' * (len(whole) != 1)}"
    parts = ", ".join(f"{count} {outcome}" for outcome, count in counts)
    _note(f"{number}{': ' if parts else ''}{parts}")
    for run in table.rows:
        if run.state == "damaged":
            _note(f"'{run.name}' is damaged: {run.problem}")
    for line in table.passed_over:
        _note(line)


def _print(layout: Layout, outcomes: dict[int, str]) -> None:
    """Prints lines; on a terminal the heading is bold and outcomes have colours."""
    console = Console()
    if not console.is_terminal:
        print_text("\n".join([*layout.lines, ""]))
        return
    for number, line in enumerate(layout.lines):
        text = styled((line, "bold")) if number == 0 else styled(line)
        if number in outcomes and "outcome" in layout.spans:
            text.stylize(COLOURS.get(outcomes[number], ""), *layout.spans["outcome"])
        console.print(text)


def _note(line: str) -> None:
    """Prints a line about the list to stderr: stdout has the list alone."""
    Console(stderr=True).print(line)


def _width() -> int | None:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _remove(table: RunTable, yes: bool) -> None:
    """Removes the listed runs, after a question on a terminal."""
    if not table.rows:
        _note("no runs to remove")
        return
    check_removable(table.rows)
    sizes = {run.folder: size_of(run.folder) for run in table.rows}
    for run in table.rows:
        suites = run.field("suite")
        row = f"  of {', '.join(suites)}, which trains it again when it is next run" if suites else ""
        _note(f"{_bytes(sizes[run.folder]):>10}  {run.folder}  {run.outcome}{row}")
    whole = sum(size for folder, size in sizes.items() if not sizes.keys() & set(folder.parents))
    what = f"{len(sizes)} run{'s' * (len(sizes) > 1)}, {_bytes(whole)}"
    if not yes and not _confirmed(f"remove {what}?"):
        _note("nothing was removed")
        return
    removed, asides = 0, {folder: aside_of(folder) for folder in inner_first(sizes)}
    try:
        for folder in asides:
            remove_run(folder)
            removed += 1
    finally:
        _note(f"removed {removed} of {what}" if removed < len(sizes) else f"removed {what}")
        for folder, aside in asides.items():
            if aside.exists():
                _note(f"what is left of '{folder}' is in '{aside}'; delete that too")


def _confirmed(question: str) -> bool:
    if not sys.stdin.isatty():
        raise UserError(f"do=remove asks on a terminal; this is none: {question} set yes=true to remove them")
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _bytes(count: int) -> str:
    if count < 1e5:
        return f"{count / 1e3:.1f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
