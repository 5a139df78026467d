"""Whole runs: the directory they leave, resuming, unlabelled data, and what the trainer does to a method."""

from __future__ import annotations

import csv
import dataclasses
import gc
import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import yaml
from helpers.runs import SIAMESE_METHODS, overrides
from PIL import Image

import ssl_zoo
from ssl_zoo.augment import Augment
from ssl_zoo.config.compose import compose
from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.data import Data, MemorySplit
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.hardware.device import Hardware
from ssl_zoo.metrics import CSV, declared
from ssl_zoo.run_dir.result import Baselines, Result
from ssl_zoo.terminal.signals import signals_interrupt
from ssl_zoo.training import run as training
from ssl_zoo.training.measure import Evaluator
from ssl_zoo.training.prepare import prepare
from ssl_zoo.training.saving import SaveCheckpoints, StopWhenAsked

pytestmark = pytest.mark.slow

CONTRACT = {
    "method", "data", "seed", "epochs", "steps", "loss", "knn_top1", "linear_top1", "linear_protocol", "baselines",
    "output_std_ratio", "center_ratio", "residual_ratio", "effective_rank", "alignment", "uniformity", "verdict",
    "verdict_reason", "cause", "remedy", "views_per_second", "train_seconds", "peak_memory_mb", "skipped",
    "config_hash", "git_commit", "versions",
}  # fmt: skip


def state(run_dir: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint


def metrics(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "views_per_second"} for row in csv.DictReader(file)]


def assert_same_weights(a: Path, b: Path) -> None:
    first, second = state(a)["state_dict"], state(b)["state_dict"]
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


def test_nothing_is_kept_of_a_run_that_has_ended(tmp_path: Path) -> None:
    """Neither its trainer, with weights and images, nor its signal handlers."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with signals_interrupt():  # as a suite's worker; Lightning composes its own handler with this one
        ssl_zoo.train(overrides("simsiam", "epochs=1", f"run_dir={tmp_path / 'run'}"), silent=True)
        gc.collect()
        assert not [each for each in gc.get_objects() if type(each) is pl.Trainer]
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize("method", SIAMESE_METHODS)
def test_a_run_leaves_what_the_contract_says(method: str, tmp_path: Path) -> None:
    result = ssl_zoo.train(overrides(method, f"run_dir={tmp_path / 'run'}"), silent=True)
    run = tmp_path / "run"
    saved = json.loads((run / "result.json").read_text())
    assert set(saved) >= CONTRACT
    assert set(saved) == set(Result.key_types())
    assert set(saved["baselines"]) == {field.name for field in dataclasses.fields(Baselines)}
    assert (saved["method"], saved["epochs"], saved["steps"]) == (method, 2, 10)
    assert 0 <= saved["knn_top1"] <= 1
    assert saved["knn_top1"] == result.knn_top1
    assert saved["differs_from_paper"] == {}
    knn = "weighted kNN on the backbone's features, k=5, T=0.1, labelled training set of "
    assert saved["knn_protocol"] == f"{knn}160 images"
    rows = metrics(run)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert set(rows[0]) | {"views_per_second"} == {"epoch", "step", *declared(CSV)}
    assert float(rows[2]["loss"]) == saved["loss"]
    assert float(rows[2]["knn_top1"]) == saved["knn_top1"], "the last epoch's, not the best"
    for name in ("curves.png", "config.yaml", "environment.json", "checkpoints/last.ckpt"):
        assert (run / name).is_file()
    assert list((run / "tensorboard").iterdir())
    config = from_mapping(yaml.safe_load((run / "config.yaml").read_text()))
    assert config == compose(overrides(method, f"run_dir={run}"))


def test_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        ssl_zoo.train(
            overrides("simsiam", f"run_dir={tmp_path / name}", f"seed={seed}", "epochs=1"), silent=True
        )
    assert_same_weights(tmp_path / "a", tmp_path / "b")
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")
    assert metrics(tmp_path / "a") != metrics(tmp_path / "c")


def test_every_seed_draws_its_own_augmentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    forward = Augment.forward

    def spy(self: Augment, images: Any, generator: torch.Generator, part: tuple[int, int] = (0, 1)) -> Any:
        if generator.initial_seed():  # the monitor's is 0, always
            drawn.append(torch.rand(3, generator=generator.clone_state()).tolist())
        return forward(self, images, generator, part)

    monkeypatch.setattr(Augment, "forward", spy)
    for seed in (1, 2, 2**32 - 1):
        ssl_zoo.train(
            overrides("simsiam", f"run_dir={tmp_path / str(seed)}", f"seed={seed}", "epochs=1"), silent=True
        )
    assert len(drawn) == 15
    assert len({tuple(values) for values in drawn}) == 15


def test_the_untrained_encoder_of_the_baselines_is_the_one_that_was_trained(tmp_path: Path) -> None:
    config = compose(overrides("byol", "seed=7", f"run_dir={tmp_path / 'run'}"))
    ready = prepare(config)
    before = {name: value.clone() for name, value in ready.method.state_dict().items()}
    torch.manual_seed(0)  # as training would have changed it
    after = ready.untrained().state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_knn_is_measured_as_often_as_its_share_of_the_time_allows(tmp_path: Path) -> None:
    def epochs(*more: str) -> list[int]:
        run = tmp_path / str(len(list(tmp_path.iterdir())))
        few = ("epochs=6", "monitor.every_epochs=2", "monitor.baselines=false")
        ssl_zoo.train(overrides("simsiam", *few, f"run_dir={run}", *more), silent=True)
        return [int(row["epoch"]) for row in metrics(run) if row["knn_top1"]]

    assert epochs("monitor.knn.every_measurements=1") == [2, 4, 6]
    assert epochs("monitor.knn.every_measurements=2") == [4, 6]
    assert epochs("monitor.knn.every_measurements=null") == [6]  # 520 images classified to 640 views an epoch


@pytest.mark.parametrize(("save_seconds", "saved"), [(0.0, [1, 2, 3, 4]), (1e6, [1, 4])])
def test_short_epochs_are_not_all_saved(
    save_seconds: float, saved: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epochs: list[int] = []
    save = SaveCheckpoints.save

    def spy(self: SaveCheckpoints, trainer: Any, module: Any) -> None:
        save(self, trainer, module)
        epochs.append(trainer.current_epoch + 1)
        self.save_seconds = save_seconds

    monkeypatch.setattr(SaveCheckpoints, "save", spy)
    run = (
        "trainer.checkpoint_every_epochs=null",
        "epochs=4",
        "monitor.baselines=false",
        f"run_dir={tmp_path / 'run'}",
    )
    ssl_zoo.train(overrides("simsiam", *run), silent=True)
    assert epochs == saved


@pytest.mark.parametrize(("precision", "measurements"), [("fp32", 1), ("bf16", 4)])
def test_the_share_of_knn_is_two_percent(precision: str, measurements: int) -> None:
    # 20,000 + 10,000 images once, to 50,000 * 2 views trained in each of 5 epochs between measurements: at 3
    # passes a view the training takes 1,500,000, of which 2 % are 30,000; bf16 is four times as fast.
    config = compose(["data=cifar10", "recipe=null", "monitor.every_epochs=5"])
    images = torch.zeros(50000, 3, 1, 1, dtype=torch.uint8)
    train = MemorySplit(images, torch.zeros(50000, dtype=torch.int64))
    data = Data(train, train, train.select(range(10000)), ("a",), 3)
    evaluator = Evaluator(config, data, Hardware(torch.device("cpu"), precision, ""))
    assert evaluator.knn_every == measurements
    config = compose(["data=cifar10", "recipe=null", "monitor.every_epochs=5", "trainer.devices=4"])
    assert Evaluator(config, data, Hardware(torch.device("cpu"), precision, "")).knn_every == 4 * measurements


def test_only_the_classes_that_are_measured_need_directions() -> None:
    """Rare classes may be missing among the images of the diagnostics."""
    config = compose(["data=digits", "monitor.samples=4"])
    hardware = Hardware(torch.device("cpu"), "fp32", "")
    images, names = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), tuple("abcdefghij")
    for labels, classes in (([0, 1, 1, 7], 3), ([0, 1, -1, 7], 10), (None, 10)):
        split = MemorySplit(images, None if labels is None else torch.tensor(labels))
        assert Evaluator(config, Data(split, None, None, names, 1), hardware).classes == classes
    assert Evaluator(config, Data(split, None, None, None, 1), hardware).classes is None


@pytest.mark.parametrize(("method", "stop_after"), [("moco", 3), ("byol", 5), ("swav", 8)])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    method: str, stop_after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within an epoch (3, 8) and at the end of one (5)."""
    ssl_zoo.train(overrides(method, f"run_dir={tmp_path / 'whole'}"), silent=True)
    inner = StopWhenAsked.on_train_batch_end

    def interrupting(self: StopWhenAsked, trainer: Any, module: Any, *rest: Any) -> None:
        if module.batches_done == stop_after:
            self.request.note(2, None)
        inner(self, trainer, module, *rest)

    run = overrides(method, f"run_dir={tmp_path / 'parts'}")
    with monkeypatch.context() as patch:
        patch.setattr(StopWhenAsked, "on_train_batch_end", interrupting)
        with pytest.raises(Interrupted, match="resume=auto"):
            ssl_zoo.train(run, silent=True)
    assert state(tmp_path / "parts")["ssl_zoo"]["position"] == list(divmod(stop_after, 5))
    result = ssl_zoo.train([*run, "resume=auto"], silent=True)
    assert result.steps == 10
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")
    assert metrics(tmp_path / "whole") == metrics(tmp_path / "parts")


def test_resume_auto_without_a_checkpoint_begins(tmp_path: Path) -> None:
    result = ssl_zoo.train(
        overrides("simsiam", f"run_dir={tmp_path / 'run'}", "resume=auto", "epochs=1"), silent=True
    )
    assert result.steps == 5


def test_resuming_a_finished_run_trains_nothing_and_says_the_same(tmp_path: Path) -> None:
    run = overrides("simclr", f"run_dir={tmp_path / 'run'}", "epochs=1")
    first = ssl_zoo.train(run, silent=True)
    again = ssl_zoo.train([*run, "resume=auto"], silent=True)
    apart = {"train_seconds", "views_per_second", "peak_memory_mb"}
    assert {k: v for k, v in first.as_dict().items() if k not in apart} == {
        k: v for k, v in again.as_dict().items() if k not in apart
    }


def test_resume_refuses_what_is_not_this_run(tmp_path: Path) -> None:
    run = tmp_path / "run"
    ssl_zoo.train(overrides("simsiam", f"run_dir={run}", "epochs=1"), silent=True)
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*")}
    for changed, message in (
        (
            overrides("simclr", f"run_dir={run}", "resume=auto"),
            r"received method=simclr \(begun with simsiam\)",
        ),
        (overrides("simclr", f"resume={run}"), "is of method 'simsiam'.*set method=simsiam"),
        (
            overrides("simsiam", f"run_dir={run}", "resume=auto", "epochs=1", "optimizer.lr=0.9"),
            r"optimizer.lr=0.9 \(begun with ",
        ),
        (overrides("simsiam", f"run_dir={run}", "epochs=1"), "holds files already"),
        (overrides("simsiam", "resume=/no/such.ckpt"), "does not exist"),
    ):
        with pytest.raises(UserError, match=message):
            ssl_zoo.train(changed, silent=True)
    damaged = tmp_path / "damaged.ckpt"
    damaged.write_bytes((run / "checkpoints" / "last.ckpt").read_bytes()[:5000])
    with pytest.raises(UserError, match="cannot be read"):
        ssl_zoo.train(overrides("simsiam", f"resume={damaged}", f"run_dir={tmp_path / 'new'}"), silent=True)
    assert not (tmp_path / "new").exists()
    assert before == {file: file.stat().st_mtime_ns for file in run.rglob("*")}, "nothing was touched"


@pytest.mark.parametrize(
    "content", [torch.zeros(3), {"ssl_zoo": {"config": {}, "position": [0, 0]}}, {"a": 1}, "x"]
)
def test_a_file_that_is_no_checkpoint_is_refused(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(UserError, match="cannot be read as one"):
        ssl_zoo.train(
            overrides("simsiam", f"resume={tmp_path / 'foreign.ckpt'}", f"run_dir={tmp_path / 'run'}"),
            silent=True,
        )
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_one_run_does_not_go_into_the_folder_of_another(tmp_path: Path) -> None:
    for name in ("a", "b"):
        ssl_zoo.train(overrides("simsiam", f"run_dir={tmp_path / name}", "epochs=1"), silent=True)
    with pytest.raises(UserError, match="holds files already"):
        ssl_zoo.train(
            overrides("simsiam", f"run_dir={tmp_path / 'b'}", f"resume={tmp_path / 'a'}", "epochs=1"),
            silent=True,
        )
    ssl_zoo.train(
        overrides("simsiam", f"run_dir={tmp_path / 'a'}", f"resume={tmp_path / 'a'}", "epochs=1"), silent=True
    )


def test_global_random_state_follows_the_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that draws from torch's global state, as dropout does, resumes exactly too."""
    from ssl_zoo.methods.simsiam import SimSiam

    inner = SimSiam.loss

    def noisy(self: Any, views: Any, index: Any) -> Any:
        return inner(self, [torch.nn.functional.dropout(view, 0.1) for view in views], index)

    monkeypatch.setattr(SimSiam, "loss", noisy)
    run = overrides("simsiam", "epochs=1")
    ssl_zoo.train([*run, f"run_dir={tmp_path / 'whole'}"], silent=True)
    step = StopWhenAsked.on_train_batch_end

    def interrupting(self: StopWhenAsked, trainer: Any, module: Any, *rest: Any) -> None:
        self.request.asked = module.batches_done == 2
        step(self, trainer, module, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(StopWhenAsked, "on_train_batch_end", interrupting)
        with pytest.raises(Interrupted):
            ssl_zoo.train([*run, f"run_dir={tmp_path / 'parts'}"], silent=True)
    torch.randn(1000)  # whatever else the process draws
    ssl_zoo.train([*run, f"run_dir={tmp_path / 'parts'}", "resume=auto"], silent=True)
    assert_same_weights(tmp_path / "whole", tmp_path / "parts")


def test_protocols_say_what_was_done(tmp_path: Path) -> None:
    """100 digits are ten a class: all labels are drawn, so there is one draw."""
    run = overrides(
        "simsiam",
        f"run_dir={tmp_path / 'run'}",
        "data.limit=100",
        "epochs=1",
        "monitor.knn.k=null",
        "monitor.labelled_samples=80",
        "monitor.probe.labels_per_class=10",
    )
    result = ssl_zoo.train(run, silent=True)
    assert result.linear_protocol is not None
    assert "one draw" in result.linear_protocol
    assert result.knn_protocol is not None
    part = "labelled training set of 80 of 100 images, a fixed random part"
    assert result.knn_protocol.endswith(f"k=8, T=0.1, {part}")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["linear_top1_std"] is None


def test_compile_compiles_each_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_zoo.method import Encoder

    compiled: list[Encoder] = []

    def note(encoder: Encoder, **options: Any) -> None:
        torch.compile(encoder.forward, **options)  # compiles when it is called, and knows its options at once
        assert torch.backends.cudnn.deterministic
        compiled.append(encoder)

    monkeypatch.setattr(Encoder, "compile", note)
    ssl_zoo.train(overrides("byol", f"run_dir={tmp_path / 'run'}", "epochs=1", "compile=true"), silent=True)
    assert len(compiled) == 2
    assert not torch.backends.cudnn.deterministic, "put back"


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "boom",))

    torch.save({"ssl_zoo": Bomb()}, tmp_path / "bomb.ckpt")
    with pytest.raises(UserError, match="cannot be read"):
        ssl_zoo.train(
            overrides("simsiam", f"resume={tmp_path / 'bomb.ckpt'}", f"run_dir={tmp_path / 'run'}"),
            silent=True,
        )
    assert not (tmp_path / "boom").exists()


def test_accumulation_steps_method_once_per_optimizer_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ssl_zoo.methods.byol import BYOL

    steps: list[int] = []
    inner = BYOL.after_step
    monkeypatch.setattr(
        BYOL, "after_step", lambda self, progress: (steps.append(progress.step), inner(self, progress))[1]
    )
    result = ssl_zoo.train(
        overrides("byol", f"run_dir={tmp_path / 'r'}", "trainer.accumulate=2", "epochs=1"), silent=True
    )
    # Five batches, two to a step; the last is stepped alone.
    assert steps == [0, 1, 2]
    assert result.steps == 3


def test_a_divergent_run_ends_early_and_says_so(tmp_path: Path) -> None:
    run = overrides(
        "swav", f"run_dir={tmp_path / 'run'}", "optimizer.name=sgd", "optimizer.lr=1e30", "epochs=5"
    )
    result = ssl_zoo.train(run, silent=True)
    assert result.verdict == "diverged"
    assert result.epochs < 5
    saved = json.loads((tmp_path / "run" / "result.json").read_text())
    assert saved["loss"] is None, "JSON has no nan"


def pictures(folder: Path, labelled: bool, count: int = 40) -> Path:
    generator = torch.Generator().manual_seed(0)
    for i in range(count):
        side = 12 + i % 3
        pixels = torch.randint(0, 255, (side, side, 3), generator=generator, dtype=torch.uint8).numpy()
        target = folder / (f"class{i % 2}" if labelled else "") / f"{i}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
    return folder


@pytest.mark.parametrize("labelled", [True, False])
def test_a_folder_of_images_with_and_without_labels(
    labelled: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    curves: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = pictures(Path("images"), labelled)
    run = [override for override in overrides("simsiam", "run_dir=my run") if not override.startswith("data")]
    run += ["data=imagefolder", f"data.train={folder}", "data.workers=0", "batch_size=8", "epochs=1"]
    run += ["data.holdout=0.5"] if labelled else []
    result = ssl_zoo.train(run)
    shown = " ".join(capsys.readouterr().out.replace("│", "").split())
    if labelled:
        assert result.knn_top1 is not None
        assert "next: ssl-zoo eval 'my run' ssl-zoo report" in shown
    else:
        assert result.knn_top1 is result.linear_top1 is result.baselines.pixels_knn_top1 is None
        assert "without labels" in result.verdict_reason or result.verdict != "healthy"
        assert "ssl-zoo eval 'my run' protocol=label_free ssl-zoo report 'my run' ssl-zoo" in shown
        [record] = ssl_zoo.evaluate(["my run"], silent=True)  # as it does unless a protocol is named
        assert record["protocol"] == "label_free"
        with pytest.raises(UserError, match="compares predictions with labels"):
            ssl_zoo.evaluate(["my run", "protocol=knn"], silent=True)
    assert math.isfinite(result.metrics["output_std_ratio"])
    assert Path("my run/curves.png").stat().st_size > 0


def test_files_that_cannot_be_read_or_vanish_end_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sizes are mixed, so that images stay files: one is cut off from the beginning, two vanish later."""
    folder = pictures(tmp_path / "images", labelled=True)
    cut = folder / "class0" / "cut.jpg"
    Image.effect_noise((64, 64), 99).save(cut)
    cut.write_bytes(cut.read_bytes()[:-999])  # its header is whole
    (folder / "labels.csv").write_text("plainly no image")
    gone = [folder / "class1" / f"{number}.png" for number in (7, 9)]
    fit = training.fit  # type: ignore[attr-defined]

    def delete_first(*arguments: Any, **keys: Any) -> Any:
        for file in gone:
            file.unlink()
        return fit(*arguments, **keys)

    monkeypatch.setattr(training, "fit", delete_first)
    run = [
        override
        for override in overrides("simsiam", f"run_dir={tmp_path / 'run'}")
        if not override.startswith("data")
    ]
    run += ["data=imagefolder", f"data.train={folder}", "data.workers=0", "batch_size=8", "epochs=1"]
    result = ssl_zoo.train([*run, "data.on_error=skip", "data.holdout=0.3", "monitor.labelled_samples=200"])
    assert result.skipped == 3
    assert json.loads((tmp_path / "run" / "result.json").read_text())["skipped"] == 3
    assert result.knn_top1 is not None
    shown = " ".join("".join([*capsys.readouterr()][::-1]).split())
    assert "unreadable files left out: 1, such as" in shown
    assert "files passed over as no images: 1, such as" in shown
    assert "unreadable files left out: 3 " in shown


def test_build_method_is_the_method_that_train_trains() -> None:
    method = ssl_zoo.build_method(overrides("moco")).eval()
    z = method.encoder(torch.randn(3, 1, 8, 8))
    assert z.shape == (3, 16)
    again = ssl_zoo.build_method(overrides("moco"))
    for a, b in zip(method.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)
