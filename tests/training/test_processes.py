"""Whole runs in two processes, and gradient accumulation: the same training as in one process, in one batch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
import torch
from helpers import stopping as held
from helpers.runs import overrides
from PIL import Image
from ssl_zoo.methods.simsiam import SimSiam
from training.test_train import metrics, state

import ssl_zoo
from ssl_zoo.config.compose import compose
from ssl_zoo.data.rng import permutation
from ssl_zoo.errors import UserError
from ssl_zoo.training import launch as processes
from ssl_zoo.training.callbacks import EpochRows
from ssl_zoo.training.process import this_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.processes,
    pytest.mark.usefixtures("forked"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two processes need two cores"),
]
TWO = ("trainer.devices=2", "trainer.accelerator=cpu", "trainer.threads=1")
# No batch normalisation, and no randomness in the views.
PLAIN = (
    "data.limit=128", "backbone.name=test_vit", "backbone.stem=standard", "augment.size=16", "augment.crop.scale=[1,1]",
    "augment.crop.ratio=[1,1]", "augment.affine.p=0", "augment.jitter.p=0", "method.projector.bn_hidden=false",
    "method.projector.bn_output=false", "method.predictor.bn_hidden=false", "monitor.baselines=false",
)  # fmt: skip


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = state(run_dir)["state_dict"]
    return saved


@pytest.mark.parametrize("method", ["simsiam", "byol", "moco", "swav"])
def test_accumulating_two_batches_is_one_of_twice_the_size(method: str, tmp_path: Path) -> None:
    """Where each image has its own term: SimSiam, BYOL, MoCo's queue. Sinkhorn looks at the batch: it differs."""
    run = overrides(method, *PLAIN)
    ssl_zoo.train([*run, f"run_dir={tmp_path / 'one'}", "batch_size=64"], silent=True)
    two = [*run, f"run_dir={tmp_path / 'two'}", "batch_size=32", "trainer.accumulate=2"]
    assert ssl_zoo.train(two, silent=True).steps == 4
    one, two_ = weights(tmp_path / "one"), weights(tmp_path / "two")
    same = all(torch.allclose(one[name], two_[name], rtol=1e-4, atol=1e-5) for name in one)
    assert same is (method != "swav")


def test_a_run_in_two_processes_is_the_run_in_one(tmp_path: Path) -> None:
    """The same images, views, statistics and negatives; what is left is rounding."""
    run = overrides(
        "moco", "epochs=1", "optimizer.lr=1e-3", "method.batch_norm=sync", "monitor.baselines=false"
    )
    one = ssl_zoo.train([*run, f"run_dir={tmp_path / 'one'}", "trainer.threads=1"], silent=True)
    environment = dict(os.environ)
    two = ssl_zoo.train([*run, *TWO, f"run_dir={tmp_path / 'two'}"], silent=True)
    assert environment == dict(os.environ), "what the processes were told is taken back"
    assert not torch.distributed.is_initialized()
    assert two.loss == pytest.approx(one.loss, abs=1e-4)
    assert (two.steps, two.epochs) == (one.steps, one.epochs)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert a.keys() == b.keys()
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=1e-3, atol=1e-4, msg=name)
    assert [row["step"] for row in metrics(tmp_path / "two")] == ["0", "5"]
    files = {file.relative_to(tmp_path / "two").as_posix() for file in (tmp_path / "two").rglob("*.*")}
    assert {file for file in files if "tfevents" not in file} == {
        "config.yaml", "environment.json", "metrics.csv", "result.json", "curves.png", "checkpoints/last.ckpt",
    }, "written once, by the first"  # fmt: skip
    assert len([file for file in files if "tfevents" in file]) == 2, (
        "of the training, and of what was measured then"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_two_processes_stop_together_and_go_on(tmp_path: Path) -> None:
    """SIGTERM to the first: both stop after the same step, and nothing is left behind."""
    run = [*overrides("byol", *TWO, "epochs=3", "monitor.every_epochs=100"), f"run_dir={tmp_path / 'run'}"]
    process = held.start(tmp_path / "hold", 7, "train", *run)
    held.halted(tmp_path / "hold", 1, process)
    others = held.children(process.pid)
    assert others
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=held.GUARD)
    assert process.returncode == 1, errors
    assert "stopped and saved" in errors
    assert state(tmp_path / "run")["ssl_zoo"]["position"] == [2, 0], "the end of the epoch of step 7"
    held.wait_for(lambda: all(map(held.is_gone, others)))
    short = [override for override in run if not override.startswith("epochs")]
    with pytest.raises(UserError, match="trained already, 2 in"):
        ssl_zoo.train([*short, "epochs=1", "resume=auto"], silent=True)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["trainer.devices=100000"], "at most what this machine has"),
        ([*TWO, "batch_size=33"], "multiple of their number, 2; received 33"),
        ([*TWO, "batch_size=2"], "2 images or more"),
    ],
)
def test_impossible_divisions_are_refused(more: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        ssl_zoo.train(overrides("simsiam", f"run_dir={tmp_path / 'run'}", *more), silent=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("environment", "more", "message"),
    [
        (
            {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"},
            [],
            "torchrun started, 2; received 1 . 1",
        ),
        (
            {"TORCHELASTIC_RUN_ID": "x", "RANK": "1", "WORLD_SIZE": "2"},
            ["trainer.devices=4"],
            "torchrun started, 2; received 4 . 1",
        ),
        ({}, ["trainer.num_nodes=2"], "missing: NODE_RANK, MASTER_ADDR, MASTER_PORT"),
        ({"NODE_RANK": "1", "MASTER_ADDR": "a"}, ["trainer.num_nodes=2"], "missing: MASTER_PORT"),
    ],
)
def test_processes_that_do_not_add_up_are_refused(
    environment: dict[str, str],
    more: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=message):
        ssl_zoo.train(overrides("simsiam", f"run_dir={tmp_path / 'run'}", *more), silent=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({"TORCHELASTIC_RUN_ID": "x", "RANK": "3", "WORLD_SIZE": "4"}, 3),
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "2"}, 2),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, 0),  # a batch script, not srun: the run starts its own
        ({"NODE_RANK": "1", "LOCAL_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "1"}, 3),
    ],
)
def test_each_process_knows_its_rank(
    environment: dict[str, str], rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    for name, value in {"MASTER_ADDR": "a", "MASTER_PORT": "1", "NODE_RANK": "0", **environment}.items():
        monkeypatch.setenv(name, value)
    config = compose(
        overrides("simsiam", "trainer.devices=2", "trainer.num_nodes=2", "trainer.accelerator=cpu")
    )
    assert this_process(config) == (rank, 4)


def test_a_batch_script_of_slurm_starts_its_own_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning alone would take each of them for a job of one."""
    for name, value in {
        "NTASKS": "1",
        "PROCID": "0",
        "LOCALID": "0",
        "NODEID": "0",
        "JOB_NAME": "mine",
    }.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    threads = torch.get_num_threads()
    run = overrides("byol", *TWO, f"run_dir={tmp_path / 'run'}", "epochs=1", "monitor.baselines=false")
    assert ssl_zoo.train(run, silent=True).steps == 5
    assert torch.get_num_threads() == threads
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["0", "1"]
    assert metrics(tmp_path / "run")[0]["output_std_ratio"], "row 0 is the first process's"


def on_files(tmp_path: Path) -> tuple[list[str], Path]:
    """A run on 32 files, and the one of the first batch's second half that no measurement reads: the second process
    alone does."""
    folder = tmp_path / "images"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    for number in range(32):
        pixels = torch.randint(0, 255, (12, 12, 3), generator=generator, dtype=torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    run = [
        override
        for override in overrides("simsiam", f"run_dir={tmp_path / 'run'}")
        if not override.startswith("data")
    ]
    run += [
        "data=imagefolder",
        f"data.train={folder}",
        "data.cache_mb=0",
        "data.workers=0",
        "batch_size=8",
        *TWO,
    ]
    run += ["monitor.samples=2", "monitor.every_epochs=50"]
    # An image of the second half of the first batch, which the second process reads. Lightning tries the loader once
    # before it trains, so that the first epoch has the order of number 1.
    broken = permutation(32, 0, "order", 1)[6].item()
    seen = torch.randperm(32, generator=torch.Generator().manual_seed(0))[:2]
    assert broken not in seen.tolist(), "the measurement before would read it"
    return run, folder / f"{broken:02}.png"


def test_a_mistake_that_only_another_process_meets(tmp_path: Path) -> None:
    """One message and status 2, as with one process."""
    run, path = on_files(tmp_path)
    path.write_bytes(path.read_bytes()[:80])
    command = [sys.executable, "-m", "ssl_zoo", "train", *run]
    done = subprocess.run(command, capture_output=True, text=True, timeout=held.GUARD, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("ssl-zoo:") == 1
    assert path.name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_only_another_process_skips_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = on_files(tmp_path)
    start = EpochRows.on_train_start

    def vanishing(self: EpochRows, *rest: Any) -> None:
        path.unlink()  # the second process has looked at the folder, and waits for this one
        start(self, *rest)

    monkeypatch.setattr(EpochRows, "on_train_start", vanishing)
    result = ssl_zoo.train([*run, "data.on_error=skip", "epochs=1"], silent=True)
    assert result.skipped == 1


def test_the_last_step_of_an_epoch_counts_its_batches_in_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three batches, two to a step: the second step's gradient is that of its one batch, not half of it."""
    seen: list[tuple[Any, Any]] = []
    inner = SimSiam.loss

    def loss(self: SimSiam, views: Any, index: Any) -> Any:
        seen.append((views, index))
        return inner(self, views, index)

    def after_backward(self: SimSiam, progress: Any) -> None:
        if progress.step != 1:
            return
        parameters = [p for p in self.parameters() if p.requires_grad]
        expected = torch.autograd.grad(inner(self, *seen[2]).loss, parameters)
        for parameter, gradient in zip(parameters, expected, strict=True):
            torch.testing.assert_close(parameter.grad, gradient)
        checked.append(progress.step)

    checked: list[int] = []
    monkeypatch.setattr(SimSiam, "loss", loss)
    monkeypatch.setattr(SimSiam, "after_backward", after_backward)
    run = overrides("simsiam", "data.limit=96", "trainer.accumulate=2", "epochs=1", "monitor.baselines=false")
    assert ssl_zoo.train([*run, f"run_dir={tmp_path / 'run'}"], silent=True).steps == 2
    assert checked == [1]


def test_a_process_that_fails_ends_the_run(tmp_path: Path) -> None:
    """The second process cannot read its images: the first does not wait for ever."""
    script = tmp_path / "fails.py"
    script.write_text(
        "import subprocess, sys\n"
        "import ssl_zoo.training.launch as processes\n"
        "real = subprocess.Popen\n"
        "class Broken(real):\n"
        "    def __init__(self, command, **more):\n"
        "        code = 'import sys; sys.stdin.read(); print(\"because of this\"); sys.exit(3)'\n"
        "        super().__init__([sys.executable, '-c', code], **more)\n"
        "processes.subprocess.Popen, processes.PATIENCE = Broken, 0.1\n"
        "import ssl_zoo\n"
        f"ssl_zoo.train({overrides('byol', *TWO, f'run_dir={tmp_path / chr(114)}')!r}, silent=True)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=held.GUARD, check=False
    )
    assert done.returncode == 1
    assert "process 1 of the training ended with status 3" in done.stderr
    assert "because of this" in done.stderr


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError()])
def test_the_first_process_ends_the_others_at_once_where_the_fault_is_its_own(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for it, and would not end by themselves."""
    with subprocess.Popen(["sleep", "1000"], text=True) as process, TemporaryFile("w+") as errors:
        monkeypatch.setattr(processes, "_start", lambda config: [processes._Other(1, process, errors)])
        monkeypatch.setattr(processes, "_failure", None)
        with pytest.raises(type(error)), processes.launched(compose(overrides("byol", *TWO))):
            raise error
        assert process.returncode == -signal.SIGKILL
