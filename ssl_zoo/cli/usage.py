"""The texts of `ssl-zoo`, `ssl-zoo help` and `ssl-zoo VERB --help`."""

from __future__ import annotations

__all__ = ["HELP", "START", "usage_of"]

TITLE = "ssl-zoo: what does each part of a Siamese self-supervised method do?\n"
START = f"""\
{TITLE}
  ssl-zoo train method=simsiam run_dir=runs/a                             train on embedded data, under a minute
  ssl-zoo train method=simsiam method.stop_gradient=false run_dir=runs/b  without stop-gradient: it collapses
  ssl-zoo report runs/a runs/b                                            which of the two is better
  ssl-zoo train data=imagefolder data.train=FOLDER                        your own images, labelled or not
  ssl-zoo help                                                            all verbs; one: ssl-zoo VERB --help
"""
# The usage of each verb, in the order of the help.
USAGE = {
    "train": "train  [key=value ...]   train, measure, judge; writes a run directory",
    "eval": "eval   DIR protocol=NAME measure its encoder: knn, linear, linear_cached, few_labels, finetune ...",
    "bench": """\
bench  [suite=NAME]      a table of a paper, with seeds, and which of its claims hold; alone: a list of them""",
    "report": """\
report DIR               a page of curves, embeddings, neighbours, views and figures
report A B               of runs: which is better; of suites: what changed, and is it more than noise""",
    "export": """\
export DIR format=NAME   the backbone for timm, torchvision, safetensors, onnx or detectron2""",
    "embed": "embed  DIR out=FILE      the features of many images, as .parquet or .npy",
    "shards": """\
shards data.train=FOLDER out=DIR   images in files as shards, tar files for data=webdataset""",
    "import": """\
import FILE run_dir=DIR  a checkpoint of another program as a run for eval, report, export and embed""",
    "check": """\
check  method=NAME       whether a method, a plugin's too, keeps the contract; clauses=[gradients,resume]""",
    "config": """\
config [key=value ...]   print the configuration that would run
config --describe KEY    explain a key or a block: type, range, default, meaning, the files that set it; with
                         overrides, as method=byol, its value in that run too, and where it comes from""",
    "list": """\
list   [WHAT] [PATTERN]  methods, data, recipes, experiments, protocols, suites, sources,
                         formats, metrics; backbones only by name""",
    "doctor": """\
doctor                   versions, devices, and what `auto` picks here and why
doctor --speed [key=value ...]   how fast a run trains here, and what holds it up""",
    "help": """\
help   [VERB]            this text, or that of a verb and its keys, as VERB --help""",
}
EXAMPLES = """\
  ssl-zoo train method=simsiam                                the paper's method, on embedded data
  ssl-zoo train method=simsiam method.stop_gradient=false     without stop-gradient: it collapses
  ssl-zoo train method=simclr method.predictor.kind=mlp       a predictor added to SimCLR
  ssl-zoo train data=imagefolder data.train=FOLDER run_dir=runs/mine
  ssl-zoo train run_dir=runs/mine resume=auto                 continue as it was begun; epochs may grow
  ssl-zoo train method=byol run_dir=runs/far launcher=slurm   in a job of SLURM, which saves and requeues itself
  ssl-zoo eval runs/mine protocol=knn,linear_cached           two protocols, one after the other
  ssl-zoo report runs/mine runs/other                         which of two runs is better
"""
STATUS = """\
Exit status: 0 done (also for a collapsed run), 2 the input is wrong, 75 saved and requeued by SLURM, 1 anything
else, Ctrl-C and SIGTERM included. Results go to stdout, progress and messages to stderr.
"""


def _lines(verb: str) -> str:
    """Returns the usage of a verb as the help shows it."""
    continued = " " * len("ssl-zoo ")
    return "".join(
        f"  {continued if line.startswith(' ') else 'ssl-zoo '}{line}\n" for line in USAGE[verb].splitlines()
    )


HELP = "\n".join([TITLE, "".join(map(_lines, USAGE)), EXAMPLES, STATUS])


def usage_of(verb: str) -> str:
    """Returns the usage of a verb, its examples, and where the help of all verbs is."""
    examples = [line for line in EXAMPLES.splitlines() if line.startswith(f"  ssl-zoo {verb} ")]
    blocks = [_lines(verb), "".join(f"{line}\n" for line in examples)]
    return "\n".join([*filter(None, blocks), ""])
