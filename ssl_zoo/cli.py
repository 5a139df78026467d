"""The command line. Nothing heavy is imported before a verb needs it.

Exit status: 0 done (a collapsed run is a result, not an error), 2 the user's input is wrong, 1 anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from ssl_zoo import streams
from ssl_zoo.errors import UserError, unknown_name

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
  ssl-zoo config [key=value ...]   print the configuration that would run
  ssl-zoo list   [WHAT] [PATTERN]  methods, data, recipes, experiments, protocols, suites; and, if said, backbones
  ssl-zoo doctor                   versions, devices, and what `auto` picks here and why
  ssl-zoo doctor --speed [key=value ...]   how fast a run trains here, and what holds it up

  ssl-zoo train method=simsiam                                the paper's method, on embedded data
  ssl-zoo train method=simsiam method.stop_gradient=false     without stop-gradient: it collapses
  ssl-zoo train method=simclr method.predictor.kind=mlp       a predictor added to SimCLR
  ssl-zoo train data=imagefolder data.train=FOLDER run_dir=runs/mine
  ssl-zoo train run_dir=runs/mine resume=auto                 continue as it was begun; epochs may grow

Keys that are often set: method, data, recipe, experiment, epochs, batch_size, seed, precision, run_dir,
resume; groups method.*, backbone.*, augment.*, optimizer.*, data.*, trainer.*, monitor.*. `ssl-zoo config`
prints them all with their values.

Exit status: 0 done (also for a collapsed run), 2 the input is wrong, 1 anything else, Ctrl-C and SIGTERM included.
"""


# Overrides are checked before torch is imported, which takes seconds.


def _train(words: Sequence[str]) -> None:
    from ssl_zoo.continuation import compose_run

    config = compose_run(words)
    from ssl_zoo.training.run import run

    run(config)


def _eval(words: Sequence[str]) -> None:
    from ssl_zoo.evaluation.compose import read_overrides

    read_overrides(words)
    from ssl_zoo.evaluation.run import evaluate

    evaluate(words)


def _bench(words: Sequence[str]) -> None:
    if not words:
        from ssl_zoo.suites.listing import show_suites

        show_suites()
        return
    from ssl_zoo.suites.options import read_words

    read_words(words)
    from ssl_zoo.suites.bench import bench

    bench(words)


def _report(words: Sequence[str]) -> None:
    from ssl_zoo.reports.options import read_words

    read_words(words)
    from ssl_zoo.reports.run import report

    report(words)


def _export(words: Sequence[str]) -> None:
    from ssl_zoo.exporters.schema import read_export

    read_export(words)
    from ssl_zoo.exporters.run import export

    export(words)


def _embed(words: Sequence[str]) -> None:
    from ssl_zoo.embedding.schema import read_overrides

    read_overrides(words)
    from ssl_zoo.embedding.run import embed

    embed(words)


def _config(words: Sequence[str]) -> None:
    from ssl_zoo.config import to_yaml
    from ssl_zoo.continuation import compose_run
    from ssl_zoo.image_defaults import describe

    config = compose_run(words)
    line = describe(config)
    if streams.write(("" if line is None else f"# {line}\n") + to_yaml(config)):
        sys.exit(1)


def _list(words: Sequence[str]) -> None:
    from ssl_zoo.listing import show

    show(words)


def _doctor(words: Sequence[str]) -> None:
    if words and words[0] != "--speed":
        raise UserError(f"doctor takes nothing, or --speed and the words of a run; received '{words[0]}'")
    if words:
        from ssl_zoo.config import compose

        compose(words[1:])
    from ssl_zoo.doctor import show, show_speed

    if words:
        show_speed(words[1:])
    else:
        show()


VERBS: dict[str, Callable[[Sequence[str]], None]] = {
    "train": _train,
    "eval": _eval,
    "bench": _bench,
    "report": _report,
    "export": _export,
    "embed": _embed,
    "config": _config,
    "list": _list,
    "doctor": _doctor,
}


def main(words: Sequence[str]) -> int:
    """Runs a verb; returns the exit status."""
    if not words or words[0] in ("-h", "--help", "help") or set(words[1:]) & {"-h", "--help"}:
        return streams.write(HELP)
    if words[0] == "--version":
        from ssl_zoo import __version__

        return streams.write(f"ssl-zoo {__version__}\n")
    return streams.exit_status(lambda: _verb(words[0])(words[1:]), words[0])


def _verb(name: str) -> Callable[[Sequence[str]], None]:
    if name not in VERBS:
        raise unknown_name("verb", name, VERBS)
    return VERBS[name]


def entry() -> None:
    """The console script."""
    streams.prepare()
    status = main(sys.argv[1:])
    sys.exit(streams.write(silent=status != 0) or status)
