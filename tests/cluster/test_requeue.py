"""When a run that was stopped requeues its job, and what it says where it does not; SLURM's answers are planted."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from ssl_zoo.cluster import requeue
from ssl_zoo.cluster.requeue import requeueing, this_job
from ssl_zoo.errors import Interrupted, Requeued, UserError
from ssl_zoo.terminal.signals import Stopped, StopRequest, signals_interrupt
from ssl_zoo.terminal.streams import exit_status

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs SIGUSR1")
USR1 = getattr(signal, "SIGUSR1", 0)


class Planted:
    """Stands in for scontrol.

    Args:
        state: of the job.
        status: of a request to requeue it.
    """

    def __init__(self, state: str = "RUNNING", status: int = 0, facts: str = "Requeue=1 BatchFlag=1") -> None:
        self.state, self.status, self.facts = state, status, facts
        self.requeued = list[str]()
        self.handler: object = None

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "requeue":
            self.requeued.append(arguments[1])
            self.handler = signal.getsignal(signal.SIGTERM)
            return subprocess.CompletedProcess(arguments, self.status, "", "disabled\nfor job 12\n")
        assert arguments[:3] == ("--oneliner", "show", "job")
        return subprocess.CompletedProcess(arguments, 0, f"JobId=12 JobState={self.state} {self.facts}", "")


@pytest.fixture
def scontrol(monkeypatch: pytest.MonkeyPatch) -> Planted:
    for name in [name for name in os.environ if name.startswith(("SLURM_", "TORCHELASTIC"))] + ["RANK"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    planted = Planted()
    monkeypatch.setattr(requeue, "_scontrol", planted)
    return planted


def stopped(run: Path, number: int, *, saves: bool = True, **options: object) -> BaseException:
    """What a run that SLURM stops ends with."""
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    arguments = {"wanted": "auto", "resumes": True, **options}
    try:
        with requeueing(run, **arguments):  # type: ignore[arg-type]
            if saves:
                (run / "checkpoints" / "last.ckpt").write_text("weights")
            raise Interrupted("stopped and saved", number)
    except BaseException as error:
        return error
    raise AssertionError("it goes on")


def test_a_saved_run_requeues_its_job(tmp_path: Path, scontrol: Planted) -> None:
    for number in (USR1, signal.SIGTERM):
        error = stopped(tmp_path / str(number), number)
        assert isinstance(error, Requeued)
        assert str(error) == "stopped and saved; job 12 is requeued"
        assert exit_status(error, "train") == 75
    assert scontrol.requeued == ["12", "12"]
    assert scontrol.handler is signal.SIG_IGN, "SLURM ends the job by the same signal"
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN


def test_a_job_of_an_array_is_named_by_its_array(
    tmp_path: Path, scontrol: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    stopped(tmp_path, USR1)
    assert scontrol.requeued == [this_job()] == ["7_3"]


@pytest.mark.parametrize(
    ("environment", "number", "options"),
    [
        ({"SLURM_JOB_ID": ""}, USR1, {}),  # no job
        ({}, 0, {}),  # Ctrl-C
        ({}, USR1, {"wanted": False}),
        ({}, USR1, {"resumes": False}),  # it would be refused: the run directory is not empty
        ({"SLURM_STEP_NUM_TASKS": "4"}, USR1, {}),  # three other runs beside it, which still save
    ],
)
def test_what_asks_for_no_requeueing_ends_as_ever(
    environment: dict[str, str],
    number: int,
    options: dict[str, object],
    tmp_path: Path,
    scontrol: Planted,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    error = stopped(tmp_path, number, **options)
    assert (type(error), str(error), exit_status(error, "train")) == (Interrupted, "stopped and saved", 1)
    assert scontrol.requeued == []


@pytest.mark.parametrize(
    ("state", "number", "saves", "status", "reason"),
    [
        ("CANCELLED", USR1, True, 0, "its state is CANCELLED"),
        (
            "COMPLETING",
            signal.SIGTERM,
            True,
            0,
            "its state is COMPLETING, so it was cancelled or its time is used",
        ),
        ("RUNNING", USR1, False, 0, "nothing was saved in its whole time, so it would come back for ever"),
        ("RUNNING", USR1, True, 1, "scontrol says 'disabled for job 12'; submit it again"),
    ],
)
def test_a_job_that_is_not_requeued(
    state: str, number: int, saves: bool, status: int, reason: str, tmp_path: Path, scontrol: Planted
) -> None:
    scontrol.state, scontrol.status = state, status
    error = stopped(tmp_path, number, saves=saves)
    assert type(error) is Interrupted
    assert str(error).startswith(f"stopped and saved; job 12 is not requeued: {reason}")
    assert exit_status(error, "train") == 1
    assert bool(scontrol.requeued) is (status == 1)


def test_a_job_preempted_before_its_first_step_comes_back(tmp_path: Path, scontrol: Planted) -> None:
    """That is nobody's mistake, unlike a time limit that is too short."""
    assert isinstance(stopped(tmp_path, signal.SIGTERM, saves=False), Requeued)


def test_a_suite_gets_on_by_its_runs(tmp_path: Path, scontrol: Planted) -> None:
    rows = tmp_path / "rows"
    (rows / "one" / "checkpoints").mkdir(parents=True)
    for name, reason in (("config.yaml", "nothing was saved"), ("result.json", "is requeued")):
        with (  # noqa: PT012 (what is written, and the stop after it)
            pytest.raises(Interrupted, match=reason),
            requeueing(rows, "auto", resumes=True),
        ):
            (rows / "one" / name).write_text("{}")
            raise Interrupted("stopped", USR1)


def test_without_scontrol(tmp_path: Path, scontrol: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: str) -> None:
        raise FileNotFoundError(2, "No such file or directory", "scontrol")

    monkeypatch.setattr(requeue, "_scontrol", missing)
    assert "scontrol cannot be run" in str(stopped(tmp_path, USR1))


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID"])
def test_rank_zero_alone_requeues(
    name: str,
    tmp_path: Path,
    scontrol: Planted,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "2")
    error = stopped(tmp_path, USR1, processes=2)
    assert isinstance(error, Requeued)
    assert exit_status(error, "train") == 0, (
        "srun would kill rank zero, which is still asking, for another status"
    )
    assert capsys.readouterr().err == ""
    assert scontrol.requeued == []


def test_what_trainer_requeue_true_needs(
    tmp_path: Path, scontrol: Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*, resumes: bool = True) -> str:
        with pytest.raises(UserError) as raised, requeueing(tmp_path, True, resumes=resumes):
            pass
        return str(raised.value)

    assert "needs run_dir=FOLDER and resume=auto" in refused(resumes=False)
    scontrol.facts = "Requeue=0 BatchFlag=1"
    assert "job 12 is none; submit it by sbatch with --requeue" in refused()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert "received none (SLURM_JOB_ID is not set)" in refused()


def test_signals_before_and_within_a_loop(tmp_path: Path, scontrol: Planted) -> None:
    """The first one counts; a second one while the run is saved does nothing."""
    with signals_interrupt():
        with (  # noqa: PT012 (the signal interrupts what is written)
            pytest.raises(Requeued, match="stopped; job 12 is requeued"),
            requeueing(tmp_path, "auto", resumes=True),
        ):
            (tmp_path / "result.json").write_text("{}")
            signal.raise_signal(USR1)
        with StopRequest() as request:
            for number in (USR1, signal.SIGTERM, USR1):
                signal.raise_signal(number)
            assert (request.asked, request.number) == (True, USR1)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGTERM)
