"""The verbs of the command line. Overrides are checked before torch is imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ssl_zoo.cli.output import JSON, nothing_on_stdout, print_json, print_text, take_json
from ssl_zoo.cli.train import run_rows, train
from ssl_zoo.errors import UserError

__all__ = ["VERBS"]


def _eval(overrides: Sequence[str]) -> None:
    from ssl_zoo.evaluation.compose import read_eval

    as_json, overrides = take_json(overrides)
    read_eval(overrides)
    from ssl_zoo.evaluation.run import evaluate

    with nothing_on_stdout(as_json):
        records = evaluate(overrides)
    if as_json:
        print_json(records)


def _bench(overrides: Sequence[str]) -> None:
    as_json, overrides = take_json(overrides)
    if not overrides and as_json:
        _list(["suites", JSON])
        return
    if not overrides:
        from ssl_zoo.suites.listing import show_suites

        show_suites()
        return
    from ssl_zoo.cluster.requeue import requeueing
    from ssl_zoo.suites.options import ROWS, read_bench

    rows = Path(read_bench(overrides)[0].out) / ROWS
    with requeueing(rows, "auto", resumes=True):
        from ssl_zoo.reports.bench import run_suite

        run_rows(run_suite, overrides, as_json)


def _report(overrides: Sequence[str]) -> None:
    from ssl_zoo.reports.options import read_report

    read_report(overrides)
    from ssl_zoo.reports.report import report

    report(overrides)


def _runs(arguments: Sequence[str]) -> None:
    from ssl_zoo.cli.runs import show_runs

    show_runs(arguments)


def _export(overrides: Sequence[str]) -> None:
    from ssl_zoo.exporters.formats import read_export

    read_export(overrides)
    from ssl_zoo.exporters.run import export

    export(overrides)


def _embed(overrides: Sequence[str]) -> None:
    from ssl_zoo.embedding.schema import read_embed

    read_embed(overrides)
    from ssl_zoo.embedding.run import embed

    embed(overrides)


def _shards(overrides: Sequence[str]) -> None:
    from ssl_zoo.sharding.schema import read_shards

    read_shards(overrides)
    from ssl_zoo.sharding.run import write_shards

    write_shards(overrides)


def _import(overrides: Sequence[str]) -> None:
    from ssl_zoo.importers.schema import read_import

    read_import(overrides)
    from ssl_zoo.importers.run import import_checkpoint

    import_checkpoint(overrides)


def _check(overrides: Sequence[str]) -> None:
    from ssl_zoo.cli.check import read_check, show_check

    as_json, overrides = take_json(overrides)
    show_check(*read_check(overrides), as_json=as_json)


def _config(overrides: Sequence[str]) -> None:
    from ssl_zoo.cluster.options import read_launch
    from ssl_zoo.config.mapping import to_mapping, to_yaml
    from ssl_zoo.config.registries import SOURCES
    from ssl_zoo.run_dir.continuation import compose_run

    if overrides and overrides[0] == "--describe":
        _describe(overrides[1:])
        return
    as_json, overrides = take_json(overrides)
    config = compose_run(read_launch(overrides)[1])
    if as_json:
        print_json(to_mapping(config))
        return
    images = SOURCES.get(config.data.source).load_image_defaults()
    line = None if images is None else images.describe_images(config)
    print_text(("" if line is None else f"# {line}\n") + to_yaml(config))


def _describe(arguments: Sequence[str]) -> None:
    from ssl_zoo.cli.keys import describe_key, describe_value

    names = [argument for argument in arguments if "=" not in argument]
    overrides = [argument for argument in arguments if "=" in argument]
    if len(names) != 1:
        raise UserError(
            f"config --describe takes one key or block, and overrides; received {len(names)} keys; write for instance "
            "ssl-zoo config --describe optimizer.lr method=byol"
        )
    text = describe_key(names[0])
    print_text("\n".join([text, describe_value(names[0], overrides)]) if overrides else text)


def _list(overrides: Sequence[str]) -> None:
    from ssl_zoo.cli.listing import show_list

    as_json, overrides = take_json(overrides)
    show_list(overrides, as_json=as_json)


def _doctor(overrides: Sequence[str]) -> None:
    as_json, overrides = take_json(overrides)
    if overrides and overrides[0] != "--speed":
        raise UserError(
            f"doctor takes nothing, or --speed and the overrides of a run; received '{overrides[0]}'"
        )
    if overrides:
        from ssl_zoo.config.compose import compose

        compose(overrides[1:])
    from ssl_zoo.cli.doctor import show_machine, show_speed

    if overrides:
        show_speed(overrides[1:], as_json=as_json)
    else:
        show_machine(as_json=as_json)


def _completion(arguments: Sequence[str]) -> None:
    from ssl_zoo.cli.completion import script_for

    print_text(script_for(arguments))


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": train,
    "eval": _eval,
    "bench": _bench,
    "report": _report,
    "runs": _runs,
    "export": _export,
    "embed": _embed,
    "shards": _shards,
    "import": _import,
    "check": _check,
    "config": _config,
    "list": _list,
    "doctor": _doctor,
    "completion": _completion,
}
