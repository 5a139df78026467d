"""Which of the documents' commands are not done as they stand, each with its reason, and how one is made short."""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def reason_in(table: dict[str, str], text: str) -> str | None:
    """Returns the pattern of a table that a command matches."""
    text = re.sub(r"^(\$ )?(\w+=\S+ )*(\S*/(?=ssl-zoo))?", "", text)
    return next((pattern for pattern in table if re.search(pattern, text)), None)


def small(arguments: Sequence[str]) -> list[str]:
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
