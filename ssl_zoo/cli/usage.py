"""The texts of `ssl-zoo`, `ssl-zoo help` and `ssl-zoo VERB --help`."""

from __future__ import annotations

import shutil
import textwrap

__all__ = ["USAGE", "help_text", "start_text", "summary_of", "usage_of"]

TITLE = "ssl-zoo: what does each part of a Siamese self-supervised method do?"
# Each verb in the order of the help: its arguments, and what it does with them.
USAGE: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("[key=value ...]", "train, measure, judge; writes a run directory"),
        ("-m key=a,b ...", "a run for each value, of several such keys for each combination; seed=0,1,2 too"),
    ),
    "eval": (
        (
            "DIR protocol=NAME",
            "measure its encoder: knn, linear, linear_cached, few_labels, finetune ...",
        ),
    ),
    "bench": (
        (
            "[suite=NAME]",
            "a table of a paper, with seeds, and which of its claims hold; alone: a list of them",
        ),
    ),
    "report": (
        ("DIR", "a page of curves, embeddings, neighbours, views and figures"),
        ("A B", "of runs: which is better; of suites: what changed, and is it more than noise"),
    ),
    "runs": (
        (
            "[FOLDER] [method=byol] ['knn>80'] ...",
            "the runs below a folder that meet conditions; sort=knn, best=knn, differing=true, diff=A,B, do=resume, "
            "do=remove",
        ),
    ),
    "export": (
        ("DIR format=NAME", "the backbone for timm, torchvision, safetensors, onnx or detectron2"),
        (
            "DIR format=timm to=hub repo=OWNER/NAME",
            "a model repository for Hugging Face; push=true pushes it",
        ),
    ),
    "embed": (("DIR out=FILE", "the features of many images, as .parquet or .npy"),),
    "shards": (("data.train=FOLDER out=DIR", "images in files as shards, tar files for data=webdataset"),),
    "import": (
        ("FILE run_dir=DIR", "a checkpoint of another program as a run for eval, report, export and embed"),
    ),
    "check": (
        (
            "method=NAME",
            "whether a method, a plugin's too, keeps the contract; clauses=[gradients,resume]",
        ),
    ),
    "config": (
        ("[key=value ...]", "print the configuration that would run"),
        (
            "--describe KEY",
            "explain a key or a block: type, range, default, meaning, the files that set it; with overrides, as "
            "method=byol, its value in that run too, and where it comes from",
        ),
    ),
    "list": (
        (
            "[WHAT] [PATTERN]",
            "methods, data, recipes, experiments, protocols, suites, sources, formats, metrics; backbones only by name",
        ),
    ),
    "doctor": (
        ("[--json]", "versions, devices, and what `auto` picks here and why"),
        ("--speed [key=value ...]", "how fast a run trains here, and what holds it up"),
    ),
    "completion": (
        ("bash|zsh|fish", "a script by which the shell completes verbs, keys, values and folders"),
    ),
    "help": (("[VERB]", "this text, or that of a verb and its keys, as VERB --help"),),
}
STARTS = (
    ("train method=simsiam run_dir=runs/a", "train on embedded data, under a minute"),
    ("train method=simsiam method.stop_gradient=false run_dir=runs/b", "without stop-gradient: it collapses"),
    ("report runs/a runs/b", "which of the two is better"),
    ("train data=imagefolder data.train=FOLDER", "your own images, labelled or not"),
    ("help", "all verbs; one: ssl-zoo VERB --help"),
)
EXAMPLES = (
    ("train method=simsiam", "the paper's method, on embedded data"),
    ("train method=simsiam method.stop_gradient=false", "without stop-gradient: it collapses"),
    ("train method=simclr method.predictor.kind=mlp", "a predictor added to SimCLR"),
    ("train data=imagefolder data.train=FOLDER run_dir=runs/mine", ""),
    ("train run_dir=runs/mine resume=auto", "continue as it was begun; epochs may grow"),
    ("train -m method=simsiam,byol seed=0,1,2", "six runs, and a table of their means"),
    (
        "train method=byol run_dir=runs/far launcher=slurm",
        "in a job of SLURM, which saves and requeues itself",
    ),
    ("eval runs/mine protocol=knn,linear_cached", "two protocols, one after the other"),
    ("report runs/mine runs/other", "which of two runs is better"),
    ("runs verdict=collapsed differing=true", "the runs that collapsed, and in which keys they differ"),
    ("runs runs/bench method=simsiam 'knn>30' sort=knn", "best first; knn=30.. needs no quotes"),
    ("runs state=interrupted do=resume", "what was stopped goes on, one run after another"),
)
STATUS = (
    "Exit status: 0 done (also for a collapsed run), 2 the input is wrong, 75 saved and requeued by SLURM, 1 anything "
    "else, Ctrl-C and SIGTERM included. Results go to stdout, progress and messages to stderr; --json prints the "
    "result of list, runs, doctor, config, check, train, eval and bench as JSON."
)
COLUMN = 36  # where the meaning of a verb's arguments begins
ROOM = 40  # columns beside it; with less it stands in lines of its own


def start_text() -> str:
    """Returns what `ssl-zoo` alone prints."""
    return f"{_wrapped(TITLE)}\n{_commands(STARTS, 74)}"


def help_text() -> str:
    """Returns what `ssl-zoo help` prints."""
    verbs = "".join(map(_usage, USAGE))
    return "\n".join([_wrapped(TITLE), verbs, _commands(EXAMPLES, 62), _wrapped(STATUS)])


def usage_of(verb: str) -> str:
    """Returns the usage of a verb, and its examples."""
    examples = [example for example in EXAMPLES if example[0].partition(" ")[0] == verb]
    return "\n".join([*filter(None, [_usage(verb), _commands(examples, 62)]), ""])


def summary_of(verb: str) -> str:
    """Returns what a verb does, in a line."""
    return USAGE[verb][0][1]


def _usage(verb: str) -> str:
    return _commands([(f"{verb} {arguments}".strip(), meaning) for arguments, meaning in USAGE[verb]], COLUMN)


def _commands(commands: list[tuple[str, str]] | tuple[tuple[str, str], ...], column: int) -> str:
    """Returns commands with what each does beside it, or on narrow terminals below it."""
    lines = []
    for command, meaning in commands:
        head, indent = f"  ssl-zoo {command}", " " * (column if _width() >= column + ROOM else 6)
        text = textwrap.wrap(meaning, _width(), initial_indent=indent, subsequent_indent=indent)
        if text and len(head) + 2 <= len(indent):
            text[0] = head + text[0][len(head) :]
        else:
            text.insert(0, head)
        lines += text
    return "".join(f"{line}\n" for line in lines)


def _wrapped(text: str) -> str:
    return "".join(f"{line}\n" for line in textwrap.wrap(text, _width()))


def _width() -> int:
    return min(shutil.get_terminal_size((120, 24)).columns, 120)
