"""Runs killed with SIGKILL and continued equal those left alone, to the bit; also from damaged checkpoints."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import overrides
from helpers.saved_runs import Bomb
from ssl_zoo.benchmarks.compare_runs import compare_run_dirs, events
from ssl_zoo.benchmarks.kill_and_resume import folder_of, variants
from torch.utils.tensorboard import SummaryWriter

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.hardware.interpreter import module_command
from ssl_zoo.run_dir.checkpoints import Damaged, read_checkpoint
from ssl_zoo.testing.stopping import stopped_after
from ssl_zoo.training.saving import StopWhenAsked

pytestmark = [pytest.mark.slow, pytest.mark.processes, pytest.mark.usefixtures("forked")]

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, forked: None) -> Path:
    """The folder of all variants, each left alone and killed once."""
    out = tmp_path_factory.mktemp("kill")
    command = [sys.executable, "-m", "ssl_zoo.benchmarks.kill_and_resume", str(out), "--kills=1", "--quick"]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert (out / "results.json").is_file(), done.stderr[-3000:]
    return out


def found(out: Path) -> dict[str, Any]:
    return {outcome["name"]: outcome for outcome in json.loads((out / "results.json").read_text())}


@linux
@pytest.mark.parametrize("name", variants(quick=True))
def test_a_killed_run_continues_to_the_bit(name: str, killed: Path) -> None:
    outcome = found(killed)[name]
    assert outcome["problems"] == []
    tensors, _, points, _ = outcome["compared"]
    assert tensors > 100
    assert points >= outcome["steps"], "the loss of each step at least"
    for _, _, saved, continued in outcome["kills"]:
        assert 2 <= saved <= continued <= outcome["steps"], "else nothing was resumed"


@linux
def test_each_run_was_killed_once(killed: Path) -> None:
    """At the moment that was drawn, at which it waits."""
    assert [len(outcome["kills"]) for outcome in found(killed).values()] == [1] * len(variants(quick=True))


def alter_checkpoint(run: Path, alter: Callable[[dict[str, Any]], object]) -> None:
    file = run / "checkpoints" / "last.ckpt"
    contents = torch.load(file, weights_only=True)
    alter(contents)
    torch.save(contents, file)


def lowest_bit(tensor: torch.Tensor) -> None:
    tensor.view(torch.int32)[-1] ^= 1


def another_loss(run: Path) -> None:
    with SummaryWriter(str(run / "tensorboard"), purge_step=5) as writer:
        writer.add_scalar("step/loss", 1.0, 5)


def in_text(name: str, old: str, new: str) -> Callable[[Path], None]:
    def alter(run: Path) -> None:
        assert old in (run / name).read_text()
        (run / name).write_text((run / name).read_text().replace(old, new, 1))

    return alter


CHANGES: dict[str, Callable[[Path], object]] = {
    "state_dict/method.negatives.store.vectors": lambda run: alter_checkpoint(
        run, lambda saved: lowest_bit(saved["state_dict"]["method.negatives.store.vectors"])
    ),
    "optimizer_states/0/state/1/momentum_buffer": lambda run: alter_checkpoint(
        run, lambda saved: lowest_bit(saved["optimizer_states"][0]["state"][1]["momentum_buffer"])
    ),
    "lr_schedulers/0/last_epoch": lambda run: alter_checkpoint(
        run, lambda saved: saved["lr_schedulers"][0].update(last_epoch=7)
    ),
    "metrics.csv": in_text("metrics.csv", "\n1,4,", "\n1,3,"),
    "result.json: /steps": in_text("result.json", '"steps": 8', '"steps": 9'),
    "TensorBoard: ('step/loss', 5)": another_loss,
}


@linux
@pytest.mark.parametrize("what", CHANGES)
def test_a_difference_is_noticed(what: str, killed: Path, tmp_path: Path) -> None:
    runs = killed / folder_of("MoCo")
    shutil.copytree(runs / "parts", tmp_path / "parts")
    assert compare_run_dirs(runs / "whole", tmp_path / "parts").differences == []
    CHANGES[what](tmp_path / "parts")
    assert what in "\n".join(compare_run_dirs(runs / "whole", tmp_path / "parts").differences)


@linux
def test_tensorboard_has_one_point_per_optimizer_step(killed: Path) -> None:
    """Of two batches' mean loss under accumulation, so that the points' mean is the epoch's loss."""
    run = killed / folder_of("BYOL, two batches per step") / "parts"
    shown = {key: float(value) for key, value in events(run / "tensorboard").items()}
    assert [step for tag, step in shown if tag == "step/loss"] == [1, 2, 3, 4]
    for epoch in (1, 2):
        mean = (shown["step/loss", 2 * epoch - 1] + shown["step/loss", 2 * epoch]) / 2
        assert shown["epoch/loss", 2 * epoch] == pytest.approx(mean, rel=1e-6)


def test_log_every_counts_through_the_epochs(tmp_path: Path) -> None:
    run = overrides(
        "simsiam", f"run_dir={tmp_path / 'run'}", "trainer.log_every_steps=7", "monitor.baselines=false"
    )
    ssl_zoo.train(run, silent=True)
    shown = events(tmp_path / "run" / "tensorboard")
    assert [step for tag, step in shown if tag == "step/loss"] == [7]  # of two epochs of five


def test_a_further_process_whose_first_is_gone_ends() -> None:
    """The first may be killed before the others have asked who it is."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    follower = subprocess.Popen(
        module_command("ssl_zoo.training.further_process", str(gone.pid)), stdin=subprocess.PIPE
    )
    assert follower.wait(timeout=600) == 1
    assert follower.stdin is not None
    follower.stdin.close()


def test_a_run_that_was_killed_while_it_was_measured_is_measured_again(tmp_path: Path) -> None:
    """Its training has ended, and is saved."""
    run = [*overrides("simsiam", "monitor.baselines=false"), f"run_dir={tmp_path}", "resume=auto"]
    whole = ssl_zoo.train(run, silent=True)
    (tmp_path / "result.json").unlink()
    again = ssl_zoo.train(run, silent=True)
    assert (again.loss, again.knn_top1, again.verdict) == (whole.loss, whole.knn_top1, whole.verdict)


def test_a_diverged_run_that_is_taken_up_again_trains_no_further(tmp_path: Path) -> None:
    run = overrides("swav", "optimizer.name=sgd", "optimizer.lr=1e30", "monitor.baselines=false")
    for folder in ("whole", "again", "again"):  # as if killed before result.json
        (tmp_path / folder / "result.json").unlink(missing_ok=True)
        ssl_zoo.train([*run, f"run_dir={tmp_path / folder}", "resume=auto"], silent=True)
    assert compare_run_dirs(tmp_path / "whole", tmp_path / "again").differences == []


RUN = overrides(
    "moco", "trainer.checkpoint_every_steps=2", "trainer.log_every_steps=1", "monitor.baselines=false"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("whole") / "run"
    ssl_zoo.train([*RUN, f"run_dir={run}"], silent=True)
    return run


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped after eight of ten steps: last.ckpt is of step 8 and previous.ckpt of step 7."""
    run = tmp_path_factory.mktemp("stopped") / "run"
    with stopped_after(8), pytest.raises(Interrupted):
        ssl_zoo.train([*RUN, f"run_dir={run}"], silent=True)
    steps = [
        read_checkpoint(run / "checkpoints" / f"{name}.ckpt")["global_step"] for name in ("last", "previous")
    ]
    assert steps == [8, 7]
    return run


def flip(file: Path) -> None:
    """One bit of one number of the queue."""
    contents = bytearray(file.read_bytes())
    queue = read_checkpoint(file)["state_dict"]["method.negatives.store.vectors"]
    contents[contents.index(queue.numpy().tobytes()) + queue.nbytes // 2] ^= 1
    file.write_bytes(contents)


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


HARMS: dict[str, tuple[Callable[[Path], object], str | None]] = {
    "half of it": (truncate, "cannot be read as one (BadZipFile)"),
    "nothing in it": (lambda file: file.write_bytes(b""), "cannot be read as one (BadZipFile)"),
    "one bit flipped": (flip, "is not as it was written"),
    "code, by torch": (lambda file: torch.save({"ssl_zoo": Bomb()}, file), "it would run code"),
    "code, by pickle": (lambda file: file.write_bytes(pickle.dumps({"ssl_zoo": Bomb()})), "(BadZipFile)"),
    "no last one": (lambda file: file.unlink(), None),  # killed between the two renames
    "one half saved": (lambda file: (file.parent / "saving.ckpt").write_bytes(b"PK\3\4 and so on"), None),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_happens_to_the_last_checkpoint_is_no_harm(
    harm: str,
    whole: Path,
    stopped: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "1000")
    shutil.copytree(stopped, "run")
    act, reason = HARMS[harm]
    act(Path("run/checkpoints/last.ckpt"))
    ssl_zoo.train([*RUN, "run_dir=run", "resume=auto"])
    printed = capsys.readouterr().err
    if reason is None:
        assert "ckpt" not in printed
    else:
        assert "'run/checkpoints/last.ckpt' cannot be read as one" in printed
        assert reason in printed
        assert "continuing from the one before it, 'run/checkpoints/previous.ckpt'" in printed
    assert compare_run_dirs(whole, Path("run")).differences == []
    kept = (
        {"last.ckpt", "previous.ckpt"} if reason is None else {"last.ckpt", "previous.ckpt", "damaged.ckpt"}
    )
    assert {file.name for file in Path("run/checkpoints").iterdir()} == kept
    assert not Path("boom").exists()


def contents(folder: Path) -> dict[Path, tuple[int, bytes] | None]:
    return {
        file: (file.stat().st_mtime_ns, file.read_bytes()) if file.is_file() else None
        for file in (folder, *folder.rglob("*"))
    }


def test_with_both_checkpoints_damaged_nothing_is_done(
    stopped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    truncate(run / "checkpoints" / "last.ckpt")
    flip(run / "checkpoints" / "previous.ckpt")
    before = contents(tmp_path)
    assert cli.main(["train", *RUN, f"run_dir={run}", "resume=auto"]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("ssl-zoo: resume needs a checkpoint that ssl-zoo saved; ")
    assert error.count("\n") == 1
    assert contents(tmp_path) == before


def test_a_damaged_checkpoint_that_was_named_is_refused(stopped: Path, tmp_path: Path) -> None:
    """One that is named is meant: no other takes its place."""
    shutil.copytree(stopped / "checkpoints", tmp_path / "checkpoints")
    flip(tmp_path / "checkpoints" / "last.ckpt")
    before = contents(tmp_path)
    with pytest.raises(UserError, match="is not as it was written"):
        ssl_zoo.train(
            [*RUN, f"run_dir={tmp_path / 'new'}", f"resume={tmp_path / 'checkpoints/last.ckpt'}"], silent=True
        )
    assert contents(tmp_path) == before


def test_any_flipped_bit_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """Wherever it is: in the numbers, the pickle, the ZIP file's own tables or its padding."""
    saved = {"a": torch.randn(50, 3), "b": {"c": [1, 2.5, "text"]}, "d": torch.arange(20)}
    torch.save(saved, tmp_path / "whole.ckpt")
    whole, draw, damaged = (tmp_path / "whole.ckpt").read_bytes(), random.Random(0), 0
    for _ in range(300):
        flipped = bytearray(whole)
        flipped[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (tmp_path / "flipped.ckpt").write_bytes(flipped)
        try:
            found = read_checkpoint(tmp_path / "flipped.ckpt")
        except Damaged:
            damaged += 1
        else:
            assert found["b"] == saved["b"]
            assert torch.equal(found["a"], saved["a"])
            assert torch.equal(found["d"], saved["d"])
    assert damaged > 100


def test_a_damaged_checkpoint_is_set_aside_not_made_the_previous_one(tmp_path: Path) -> None:
    """Else a kill after the next save would leave no whole checkpoint but the newest."""
    run = overrides(
        "simclr",
        f"run_dir={tmp_path / 'run'}",
        "epochs=3",
        "monitor.baselines=false",
        "monitor.every_epochs=9",
    )
    stopped = StopWhenAsked.on_train_epoch_end

    def stop(self: StopWhenAsked, trainer: Any, module: Any) -> None:
        self.request.asked = trainer.current_epoch == 1
        stopped(self, trainer, module)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StopWhenAsked, "on_train_epoch_end", stop)
        with pytest.raises(Interrupted):
            ssl_zoo.train(run, silent=True)
    folder = tmp_path / "run" / "checkpoints"
    whole = read_checkpoint(folder / "previous.ckpt")["ssl_zoo"]["position"]
    damaged = (folder / "last.ckpt").read_bytes()[:-100]
    (folder / "last.ckpt").write_bytes(damaged)
    ssl_zoo.train([*run, "resume=auto"], silent=True)
    assert (folder / "damaged.ckpt").read_bytes() == damaged, "nothing is thrown away"
    positions = [
        read_checkpoint(folder / name)["ssl_zoo"]["position"] for name in ("previous.ckpt", "last.ckpt")
    ]
    assert whole == [1, 0]
    assert positions == [[2, 0], [3, 0]]
