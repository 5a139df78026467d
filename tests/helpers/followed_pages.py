"""A reader who follows a page: each command is composed as it stands, and done with small settings where that is cheap.

Pictures, runs, shards and checkpoints that a page supposes are put where it names them. A command that is only composed
matches a line of `COMPOSED`, which gives the reason; every other one is done.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.util
import io
import re
import runpy
import shutil
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from PIL import Image
from torchvision.datasets import ImageFolder

import ssl_zoo
from helpers.documents import Step
from helpers.saved_runs import train_tiny
from ssl_zoo.cli.keys import SCHEMAS, declared_keys
from ssl_zoo.cli.main import main
from ssl_zoo.cli.verbs import VERBS
from ssl_zoo.sharding.run import write_shards

# What does the work of a verb, by which it is composed without being done.
WORK = (
    "ssl_zoo.training.run.run", "ssl_zoo.training.submit.submit_run", "ssl_zoo.evaluation.run.evaluate",
    "ssl_zoo.reports.report.report", "ssl_zoo.exporters.run.export", "ssl_zoo.embedding.run.embed",
    "ssl_zoo.sharding.run.write_shards", "ssl_zoo.importers.run.import_checkpoint", "ssl_zoo.cli.check.show_check",
    "ssl_zoo.cli.doctor.show_speed", "ssl_zoo.cluster.run_job.check_submitit",
)  # fmt: skip
NO_WORK = ("bench", "completion", "config", "list", "runs")  # done as they stand; suites by dry_run=true
COMPOSED = {
    r"^torchrun |^srun |launcher=slurm|devices=|num_nodes=": "several devices or machines: tests/cluster",
    r"experiment=|data=(cifar|imagenet)|size=224|=resnet50": "large images or networks, and days",
    r"^ssl-zoo bench suite=": "minutes to hours; planned by dry_run=true: tests/suites",
    r"^ssl-zoo (doctor --speed|check) ?": "seconds of measuring: tests/cli, tests/test_contracts.py",
    r"^ssl-zoo import": "the file of another program: tests/importers",
    r"protocol=(finetune|linear|transfer|detection)\b": "trains for minutes: tests/evaluation does it small",
    r"format=onnx": "seconds of exporting: tests/exporters",
    r"^ssl-zoo report": "seconds of drawing: tests/reports",
    r"^ssl-zoo train …": "a part of a command",
    r"^python -m ": "hours of measuring; its options are parsed: tests/benchmarks",
}  # fmt: skip
# What asks for more than this machine and the repository, or is wrong on purpose. Keys are looked up all the same.
NOT_FOLLOWED = {
    r"method.shrinkag=|stop_grad=|method=simclr method.negatives=none": "shows a refusal",
    r"data=huggingface|data.path=": "the hub: tests/data/test_huggingface.py",
    r"s3://|pipe:|\{0+\.\.": "shards elsewhere, or hundreds: tests/data/test_webdataset.py",
    r"to=hub": "the hub: tests/exporters",
    r"loggers=": "packages of their own: tests/training",
    r"do=(remove|resume)": "asks on a terminal, or trains on: tests/cli",
    r" (-m|--multirun) ": "processes of their own: tests/suites",
    r"wmse|suite=mine.yaml dry_run": "a package that the reader installs: tests/test_registry.py",
    r"runs/moco_fair": "a run that another program's file became: tests/importers",
    r"run_dir=runs/a (epochs=2 )?resume=auto": "a run that was stopped: tests/training/test_train.py",
}  # fmt: skip
# Python that isn't run: page and text.
FRAGMENTS = {
    r"docs/adding.md": "the example's own files, which tests/test_registry.py compares, and parts of a class",
    r"docs/parts.md": "lines for the scripts of others: tests/standalone",
    r"CONTRIBUTING.md": "lines before and after a change",
    r"hf:|hf-hub:": "the hub: tests/exporters",
}
SMALL = {
    "epochs": "1", "batch_size": "8", "data.limit": "32", "backbone.name": "test_resnet", "augment.size": "8",
    "precision": "fp32", "optimizer.warmup_epochs": "0", "monitor.samples": "16", "monitor.knn.k": "3",
    "monitor.probe.draws": "1", "monitor.baselines": "false", "trainer.memory_check": "false",
    "trainer.progress": "false",
}  # fmt: skip
REFUSED = [pattern for pattern, reason in NOT_FOLLOWED.items() if reason == "shows a refusal"]
PLACEHOLDERS = {"KEY": "optimizer.lr", "VERB": "train"}


class Problem(AssertionError):
    """What a reader would stumble over."""


class Reader:
    """Follows the steps of a page in the working directory, which must be empty.

    Args:
        store: folder of prepared things, shared by all pages.
    """

    def __init__(self, store: Path) -> None:
        self.store = store
        self.names = dict[str, Any]()  # of the page's Python

    def follow(self, steps: Sequence[Step]) -> None:
        """Does all steps in order.

        Raises:
            Problem: some of them cannot be done.
        """
        problems = []
        for step in steps:
            try:
                getattr(self, f"_{step.kind}")(step)
            except Problem as problem:
                problems.append(str(problem))
            except Exception as error:
                problems.append(f"{step.page}: {step.text}\n{type(error).__name__}: {error}")
        if problems:
            raise Problem("\n".join(problems))

    def compose(self, steps: Sequence[Step]) -> None:
        """Composes commands, and does none."""
        for step in steps:
            arguments = [_place(word) for word in step.words[1:]]
            self._provide(arguments)
            self._composed(arguments, step)

    def _file(self, step: Step) -> None:
        file = Path(step.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(step.text)

    def _inline(self, step: Step) -> None:
        """Looks whether verb, keys and names exist; much of a sentence's command is left out."""
        words = [
            PLACEHOLDERS.get(word, word) for word in step.words if not re.search(r"…|OVERRIDES|=NAME$", word)
        ]
        if module := re.search(r"-m (ssl_zoo\.\S+)", step.text):
            _parse_module(words[words.index(module[1]) :], step, whole=False)
            return
        arguments = words[words.index("ssl-zoo") + 1 :]
        if {"--help", "--json"} & {*arguments}:
            self._call(
                ["list", "--help"] if arguments[0].startswith("--") else [arguments[0], "--help"], step
            )
        elif arguments[0] not in (*VERBS, "help"):
            raise Problem(f"{step.page}: there is no verb '{arguments[0]}': {step.text}")
        elif arguments[0] in ("list", "config", "doctor", "completion") and len(arguments) > 1:
            self._composed(arguments, step)
        else:
            _check_keys(arguments, step)

    def _command(self, step: Step) -> None:
        words = [_place(word) for word in step.words if word != "…"]
        if module := re.search(r"-m (ssl_zoo\.\S+)", step.text):
            _parse_module(words[words.index(module[1]) :], step)
            return
        name = "ssl_zoo" if "ssl_zoo" in words else next(word for word in words if word.endswith("ssl-zoo"))
        arguments = words[words.index(name) + 1 :]
        if reason_in(NOT_FOLLOWED, step.text):
            if reason_in(NOT_FOLLOWED, step.text) not in REFUSED:
                _check_keys(arguments, step)
            return
        with mock.patch.dict("os.environ", step.environment):
            self._provide(arguments)
            self._composed(arguments, step)
            if arguments and arguments[0] not in NO_WORK and not reason_in(COMPOSED, step.text):
                self._call(_small(arguments), step)

    def _python(self, step: Step) -> None:
        tree = ast.parse(step.text)
        _check_names(tree, step)
        if any(re.search(pattern, f"{step.page}\n{step.text}") for pattern in FRAGMENTS):
            return
        if not self.names:
            images = self._made("images", _draw_images)
            with Image.open(next(images.rglob("*.png"))) as picture:
                picture.load()
            self.names |= {"dataset": ImageFolder(str(images)), "labelled_test_set": ImageFolder(str(images))}
            self.names |= {"image": picture, "__name__": "__main__", "ssl_zoo": ssl_zoo}
        for path in re.findall(r'"(?:run=)?(runs/[\w/-]+)"', step.text):
            if f"run_dir={path}" not in step.text:
                self._provide_run(Path(path))
        with contextlib.ExitStack() as stack:
            for name in ("train", "evaluate", "embed"):
                small = _made_small(getattr(ssl_zoo, name), name)
                stack.enter_context(mock.patch.object(ssl_zoo, name, small, create=True))
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            exec(compile(tree, step.page, "exec"), self.names)

    # What a page supposes.

    def _provide(self, arguments: Sequence[str]) -> None:
        verb, values = (
            arguments[0] if arguments else "",
            [a.partition("=")[::2] for a in arguments if "=" in a],
        )
        source = dict(values).get("data", "imagefolder")
        for key, value in values:
            if (
                key.endswith((".train", ".test"))
                and "://" not in value
                and not value.startswith(("pipe:", "'"))
            ):
                if source == "webdataset":
                    self._provide_shards(Path(value))
                elif source in ("imagefolder", "imagenet") or verb == "shards":
                    self._provide_images(Path(value))
            elif key in ("run", "start_from", "reference"):
                self._provide_run(Path(value))
        if verb in ("eval", "report", "export", "embed"):
            for path in (word for word in arguments[1:] if "=" not in word and not word.startswith("-")):
                self._provide_run(Path(path))
        elif verb == "import":
            Path(arguments[1]).touch()
        elif (
            verb == "train"
            and "resume=auto" in arguments
            and not {"method", "data", "experiment"} & {*dict(values)}
        ):
            self._provide_run(Path(dict(values)["run_dir"]))
        elif verb == "runs":
            for path in ("runs/simsiam-s0", "runs/no-stop", "runs/bench/one"):
                self._provide_run(Path(path))

    def _provide_images(self, folder: Path) -> None:
        if not folder.exists() or not [*folder.rglob("*.png")]:
            _draw_images(folder)

    def _provide_run(self, path: Path) -> None:
        folder = path.parent.parent if path.suffix == ".ckpt" else path
        if not folder.exists():
            shutil.copytree(self._made("run", train_tiny), folder)
            last = folder / "checkpoints" / "last.ckpt"
            if path.suffix == ".ckpt" and not path.exists():
                shutil.copy(last, path)

    def _provide_shards(self, path: Path) -> None:
        folder = path.parent if "{" in path.name or "*" in path.name else path
        if not folder.exists():
            images = self._made("images", _draw_images)
            write_shards(
                [f"data.train={images}", f"out={folder}", "images_per_shard=8", "data.workers=0"], silent=True
            )

    def _made(self, name: str, make: Callable[[Path], object]) -> Path:
        folder = self.store / name
        if not folder.exists():
            make(folder)
        return folder

    # Doing it.

    def _composed(self, arguments: list[str], step: Step) -> None:
        with contextlib.ExitStack() as stack:
            for work in WORK:
                module, _, name = work.rpartition(".")
                stack.enter_context(mock.patch.object(importlib.import_module(module), name))
            stack.enter_context(mock.patch("os.cpu_count", return_value=64))
            if "slurm" not in step.text:
                node = {"NODE_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
                stack.enter_context(mock.patch.dict("os.environ", node))
            planned = arguments[:1] == ["bench"] and len(arguments) > 1 and "dry_run=true" not in arguments
            more = ["dry_run=true"] if planned else []
            self._call([*arguments, *more], step)

    def _call(self, arguments: Sequence[str], step: Step) -> None:
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = main([*arguments])
        if status != 0:
            raise Problem(
                f"{step.page}: {step.text}\nended with status {status}: {errors.getvalue()[-1500:]}"
            )


def _draw_images(folder: Path) -> None:
    """Two classes of twenty pictures, of 12 to 19 pixels, so that each is a file of its own."""
    generator = torch.Generator().manual_seed(zlib.crc32(str(folder).encode()))  # a test set is another
    for number in range(40):
        pixels = torch.randint(0, 255, (12 + number % 8, 12, 3), generator=generator, dtype=torch.uint8)
        file = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.numpy()).save(file)


def _place(word: str) -> str:
    """Returns a word with a place of the working directory for one that the page leaves open."""
    other = "others" if word.startswith("data.test") else "dots"
    return word.replace("…", other).replace("=/shared/", "=shared/")


def reason_in(table: dict[str, str], text: str) -> str | None:
    text = re.sub(r"^(\$ )?(\w+=\S+ )*(\S*/(?=ssl-zoo))?", "", text)
    return next((pattern for pattern in table if re.search(pattern, text)), None)


def _small(arguments: Sequence[str]) -> list[str]:
    """Replaces what makes a command long."""
    verb, *rest = arguments
    if verb == "train" and not (
        "resume=auto" in rest and not any(word.startswith("method=") for word in rest)
    ):
        kept = [word for word in rest if word.partition("=")[0] not in SMALL]
        settings = dict(SMALL)
        if any(word.startswith("data=imagefolder") for word in rest):
            settings["data.workers"] = "0"
        if any(word.startswith(("data=webdataset", "data.holdout", "recipe=")) for word in rest):
            settings.pop("data.limit")
        return [verb, *kept, *(f"{key}={value}" for key, value in settings.items())]
    if verb == "eval":
        return [verb, *rest, "progress=false", "threads=1"]
    return [*arguments]


def _made_small(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def call(overrides: Sequence[str] = (), *arguments: Any, **more: Any) -> Any:
        if "data" in more and more["data"] is not None:
            overrides = [*overrides, "data.workers=0"]
        return function(_small([name, *overrides])[1:] if name == "train" else overrides, *arguments, **more)

    return call


@functools.cache
def _known_keys(verb: str) -> set[str]:
    known = {key.name for name in (verb, "train") if name in SCHEMAS for key in declared_keys(name)}
    return known | {"method", "data", "recipe", "experiment", "file"}


def _check_keys(arguments: Sequence[str], step: Step) -> None:
    verb, *rest = arguments
    known = _known_keys(verb)
    for key in (word.partition("=")[0] for word in rest if re.fullmatch(r"[a-z_.]+=.*", word)):
        if key not in known and verb != "runs":
            raise Problem(f"{step.page}: {step.text}: {verb} has no key '{key}'")


def _check_names(tree: ast.AST, step: Step) -> None:
    """Imported names and attributes of `ssl_zoo` exist, in code that isn't run too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            if not node.module.startswith("ssl_zoo_example"):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
        elif isinstance(node, ast.Import):
            for alias in node.names:
                importlib.import_module(alias.name)
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "ssl_zoo"
            and not hasattr(ssl_zoo, node.attr)
        ):
            raise Problem(f"{step.page}: ssl_zoo has no '{node.attr}'")


class _Parsed(Exception):
    """The options of a module have been read."""


def _parse_module(words: Sequence[str], step: Step, *, whole: bool = True) -> None:
    """Has a module read its options; one that reads none exists at least."""
    if importlib.util.find_spec(words[0]) is None:
        raise Problem(f"{step.page}: there is no module {words[0]}")
    real = argparse.ArgumentParser.parse_args

    def parse(self: argparse.ArgumentParser, *arguments: Any, **more: Any) -> None:
        real(self, *arguments, **more)
        raise _Parsed

    source = importlib.util.find_spec(words[0])
    assert source is not None
    file = Path(str(source.origin))
    file = file.with_name("__main__.py") if file.name == "__init__.py" else file
    if "parse_args(" not in file.read_text():
        return
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse),
        mock.patch.object(sys, "argv", [*words]),
        contextlib.redirect_stderr(io.StringIO()) as errors,
        contextlib.suppress(_Parsed),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", RuntimeWarning)  # another test may have imported the module
        try:
            runpy.run_module(words[0], run_name="__main__")
        except SystemExit as end:
            if whole or "the following arguments are required" not in errors.getvalue():
                raise Problem(f"{step.page}: {step.text}: {errors.getvalue()[-300:]}") from end


def yaml_commands(root: Path) -> Iterator[Step]:
    """Yields the commands in the headers of the YAML files."""
    for file in sorted(root.rglob("*.yaml")):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if command := re.match(r"# (ssl-zoo (?:train|eval|bench) .*?)(?: {3,}.*)?$", line):
                yield Step(f"{file.relative_to(root.parent)}:{number}", "command", command[1])
