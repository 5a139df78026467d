"""The command line. Nothing heavy is imported before a verb needs it.

Exit status: 0 done (a collapsed run is a result, not an error), 2 the user's input is wrong, 75 a run that SLURM
stopped is saved and its job requeued, 1 anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ssl_zoo.errors import UserError, unknown_name
from ssl_zoo.terminal import streams
from ssl_zoo.terminal.signals import signals_interrupt

if TYPE_CHECKING:
    from ssl_zoo.cluster.options import LaunchConfig

__all__ = ["entry", "main"]

HELP = """\
ssl-zoo: what does each part of a Siamese self-supervised method do?

  ssl-zoo train  [key=value ...]   train, measure, judge; writes a run directory
  ssl-zoo eval   DIR protocol=NAME measure its encoder: knn, linear, linear_cached, few_labels, finetune ...
  ssl-zoo bench  [suite=NAME]      a table of a paper, with seeds, and which of its claims hold; alone: a list of them
  ssl-zoo report DIR               a page of curves, embeddings, neighbours, views and figures
  ssl-zoo report A B               of runs: which is better; of suites: what changed, and is it more than noise
  ssl-zoo export DIR format=NAME   the backbone for timm, torchvision, safetensors, onnx or detectron2
  ssl-zoo embed  DIR out=FILE      the features of many images, as .parquet or .npy
  ssl-zoo shards data.train=FOLDER out=DIR   images in files as shards, tar files for data=webdataset
  ssl-zoo import FILE run_dir=DIR  a checkpoint of another program as a run for eval, report, export and embed
  ssl-zoo check  method=NAME       whether a method, a plugin's too, keeps the contract; clauses=[gradients,resume]
  ssl-zoo config [key=value ...]   print the configuration that would run
  ssl-zoo config --describe KEY    explain a key or a block: type, range, default, meaning, the files that set it; with
                                   overrides, as method=byol, its value in that run too, and where it comes from
  ssl-zoo VERB --help              explain a verb and its keys
  ssl-zoo list   [WHAT] [PATTERN]  methods, data, recipes, experiments, protocols, suites, sources,
                                   formats, metrics; backbones only by name
  ssl-zoo doctor                   versions, devices, and what `auto` picks here and why
  ssl-zoo doctor --speed [key=value ...]   how fast a run trains here, and what holds it up

  ssl-zoo train method=simsiam                                the paper's method, on embedded data
  ssl-zoo train method=simsiam method.stop_gradient=false     without stop-gradient: it collapses
  ssl-zoo train method=simclr method.predictor.kind=mlp       a predictor added to SimCLR
  ssl-zoo train data=imagefolder data.train=FOLDER run_dir=runs/mine
  ssl-zoo train run_dir=runs/mine resume=auto                 continue as it was begun; epochs may grow
  ssl-zoo train method=byol run_dir=runs/far launcher=slurm   in a job of SLURM, which saves and requeues itself

Exit status: 0 done (also for a collapsed run), 2 the input is wrong, 75 saved and requeued by SLURM, 1 anything
else, Ctrl-C and SIGTERM included.
"""


# Overrides are checked before torch is imported, which takes seconds.


def _train(overrides: Sequence[str]) -> None:
    from ssl_zoo.cluster.options import read_launch
    from ssl_zoo.cluster.requeue import requeueing
    from ssl_zoo.run_dir.continuation import compose_run

    launch, overrides = read_launch(overrides)
    if launch.launcher == "slurm":
        _submit(launch, overrides)
        return
    config = compose_run(overrides)
    trainer, resumes = config.trainer, config.resume == "auto"
    with requeueing(config.run_dir, trainer.requeue, resumes=resumes, processes=trainer.processes):
        from ssl_zoo.hardware.heap import keep_freed_memory
        from ssl_zoo.training.run import run

        keep_freed_memory()
        run(config)


def _submit(launch: LaunchConfig, overrides: Sequence[str]) -> None:
    from ssl_zoo.cluster.run_job import compose_job

    job = compose_job(launch, overrides)
    from ssl_zoo.training.submit import submit_run

    submit_run(job)


def _eval(overrides: Sequence[str]) -> None:
    from ssl_zoo.evaluation.compose import read_eval

    read_eval(overrides)
    from ssl_zoo.evaluation.run import evaluate

    evaluate(overrides)


def _bench(overrides: Sequence[str]) -> None:
    if not overrides:
        from ssl_zoo.suites.listing import show_suites

        show_suites()
        return
    from ssl_zoo.cluster.requeue import requeueing
    from ssl_zoo.suites.options import ROWS, read_bench

    rows = Path(read_bench(overrides)[0].out) / ROWS
    with requeueing(rows, "auto", resumes=True):
        from ssl_zoo.reports.bench import bench

        bench(overrides)


def _report(overrides: Sequence[str]) -> None:
    from ssl_zoo.reports.options import read_report

    read_report(overrides)
    from ssl_zoo.reports.report import report

    report(overrides)


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

    show_check(*read_check(overrides))


def _config(overrides: Sequence[str]) -> None:
    from ssl_zoo.cluster.options import read_launch
    from ssl_zoo.config.mapping import to_yaml
    from ssl_zoo.config.registries import SOURCES
    from ssl_zoo.run_dir.continuation import compose_run

    if overrides and overrides[0] == "--describe":
        _describe(overrides[1:])
        return
    config = compose_run(read_launch(overrides)[1])
    images = SOURCES.get(config.data.source).load_image_defaults()
    line = None if images is None else images.describe_images(config)
    _print(("" if line is None else f"# {line}\n") + to_yaml(config))


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
    _print("\n".join([text, describe_value(names[0], overrides)]) if overrides else text)


def _list(overrides: Sequence[str]) -> None:
    from ssl_zoo.cli.listing import show_list

    show_list(overrides)


def _doctor(overrides: Sequence[str]) -> None:
    if overrides and overrides[0] != "--speed":
        raise UserError(
            f"doctor takes nothing, or --speed and the overrides of a run; received '{overrides[0]}'"
        )
    if overrides:
        from ssl_zoo.config.compose import compose

        compose(overrides[1:])
    from ssl_zoo.cli.doctor import show_machine, show_speed

    if overrides:
        show_speed(overrides[1:])
    else:
        show_machine()


HELP_FLAGS = {"-h", "--help"}
VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": _train,
    "eval": _eval,
    "bench": _bench,
    "report": _report,
    "export": _export,
    "embed": _embed,
    "shards": _shards,
    "import": _import,
    "check": _check,
    "config": _config,
    "list": _list,
    "doctor": _doctor,
}


def main(overrides: Sequence[str]) -> int:
    """Runs a verb; returns the exit status."""
    if not overrides or overrides[0] in HELP_FLAGS or overrides[0] == "help":
        return streams.write(HELP)
    if overrides[0] == "--version":
        from ssl_zoo import __version__

        return streams.write(f"ssl-zoo {__version__}\n")
    verb, overrides = overrides[0], overrides[1:]
    try:
        with signals_interrupt():
            _action(verb, overrides)(overrides)
    except BaseException as error:
        return streams.exit_status(error, verb)
    return 0


def _action(verb: str, overrides: Sequence[str]) -> Callable[[Sequence[str]], None]:
    if verb not in VERBS:
        raise unknown_name("verb", verb, VERBS)
    return partial(_help, verb) if HELP_FLAGS & {*overrides} else VERBS[verb]


def _help(verb: str, overrides: Sequence[str]) -> None:
    from ssl_zoo.cli.keys import verb_help

    usage = [line for line in HELP.splitlines() if line.startswith(f"  ssl-zoo {verb} ")]
    _print(verb_help(verb, "\n".join([*usage, ""])))


def _print(text: str) -> None:
    """Writes to stdout; a full disk or a broken pipe ends the process with status 1."""
    if streams.write(text):
        sys.exit(1)


def entry() -> None:
    """The console script."""
    streams.open_streams()
    status = main(sys.argv[1:])
    sys.exit(streams.write(silent=status != 0) or status)
