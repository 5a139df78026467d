"""Records of wandb, mlflow and trackio: complete and without repetitions after a kill, a lost network, a continuation.

The clients are the real ones, offline, and what they have written is read back.
"""

from __future__ import annotations

import sqlite3
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from helpers.runs import overrides

import ssl_zoo
from ssl_zoo.cli import main as cli
from ssl_zoo.config.compose import compose
from ssl_zoo.errors import Unfinished, UserError
from ssl_zoo.files.locks import is_held
from ssl_zoo.registry import resolve
from ssl_zoo.suites.plan import Planner
from ssl_zoo.suites.read import read_suite
from ssl_zoo.training import attach, logger_checks
from ssl_zoo.training.callbacks import LogRows
from ssl_zoo.training.logger_checks import check_loggers, wandb_mode, without_login
from ssl_zoo.training.loggers import Record, build, mlflow_client
from ssl_zoo.training.loggers.client import Settings
from ssl_zoo.training.loggers.wandb_file import history

STEPS = 10  # of a tiny run: two epochs of five
KILLED_AFTER = 8


class Network:
    """A client whose server can be away.

    Attributes:
        stored_rows: what the server has.
    """

    name = "mlflow"

    def __init__(self, settings: Settings | None = None) -> None:
        self.away, self.begun, self.attached = False, 0, list[str]()
        self.stored_rows = list[tuple[int, dict[str, float]]]()
        self.ended: bool | None = None

    def _reach(self) -> None:
        if self.away:
            raise ConnectionError("no route to host\nand more")

    def open(self, known: dict[str, Any] | None) -> dict[str, Any]:
        self._reach()
        self.begun += known is None
        return known or {"run": 1}

    def stored(self) -> dict[str, int] | None:
        self._reach()
        return {name: step for step, row in self.stored_rows for name in row}

    def log(self, figures: Mapping[str, float], step: int) -> None:
        self._reach()
        self.stored_rows.append((step, dict(figures)))

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> None:
        self._reach()
        self.attached += [file.name for file in files]

    def close(self, failed: bool) -> None:
        self._reach()
        self.ended = failed


def test_a_lost_network_ends_no_training_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, lines, server = [0.0], list[str](), Network()
    monkeypatch.setattr("ssl_zoo.training.loggers.record.time.monotonic", lambda: clock[0])
    record = Record(server, tmp_path, lines.append)
    record.log_metrics({"loss": 1.0}, 1)
    server.away = True
    for step in (2, 3):
        record.log_metrics({"loss": float(step)}, step)
    assert len(lines) == 1, "reported once"
    assert "mlflow: ConnectionError: no route to host; figures are kept in" in lines[0]
    server.away = False
    record.log_metrics({"loss": 4.0}, 4)
    assert [step for step, _ in server.stored_rows] == [1], "the next attempt is not due"
    clock[0] = 61.0
    record.log_metrics({"loss": 5.0, "lr": 0.1}, 5)
    assert server.stored_rows == [(n, {"loss": float(n)}) for n in (1, 2, 3, 4)] + [
        (5, {"loss": 5.0, "lr": 0.1})
    ]
    assert lines[1:] == ["mlflow: what was kept has been sent"]


def test_what_was_kept_is_sent_by_a_continuation_also_begun_without_a_network(tmp_path: Path) -> None:
    server = Network()
    first = Record(server, tmp_path, lambda line: None)
    first.log_metrics({"loss": 1.0}, 1)
    server.away = True
    first.log_metrics({"loss": 2.0}, 2)
    first.log_metrics({"loss": float("nan")}, 3)
    with (tmp_path / "loggers" / "mlflow.jsonl").open("a") as file:
        file.write('[4, {"lo')  # killed
    second = Record(server, tmp_path, lambda line: None)
    for step in (2, 3, 4):  # the checkpoint was of step 1
        second.log_metrics({"loss": float(step)}, step)
    assert second.conclude({}, [], None, 4) == "ConnectionError: no route to host"
    server.away = False
    third = Record(server, tmp_path, lambda line: None)
    assert third.conclude({}, [tmp_path / "result.json"], None, 4) is None
    assert [step for step, _ in server.stored_rows] == [1, 2, 3, 4]
    assert (server.begun, server.attached, server.ended) == (1, ["result.json"], False)


def test_a_record_that_cannot_say_what_it_has_is_asked_again(tmp_path: Path) -> None:
    """The server is back for the first request of a continuation, and away again for the second."""
    server = Network()
    first = Record(server, tmp_path, lambda line: None)
    server.away = True
    for step in (1, 2):
        first.log_metrics({"loss": float(step)}, step)

    class Halfway(Network):
        def open(self, known: dict[str, Any] | None) -> dict[str, Any]:
            self.away = False
            identity = super().open(known)
            self.away = True
            return identity

    halfway = Halfway()
    second = Record(halfway, tmp_path, lambda line: None)
    halfway.away = False
    second.log_metrics({"loss": 3.0}, 3)
    assert second.conclude({}, [], None, 3) is None
    assert [step for step, _ in halfway.stored_rows] == [1, 2, 3]


def test_figures_whose_answer_was_lost_are_not_sent_twice(tmp_path: Path) -> None:
    class Mute(Network):
        mute = False

        def log(self, figures: Mapping[str, float], step: int) -> None:
            super().log(figures, step)
            if self.mute:
                raise TimeoutError

    server = Mute()
    record = Record(server, tmp_path, lambda line: None)
    record.log_metrics({"loss": 1.0}, 1)
    server.mute = True
    record.log_metrics({"loss": 2.0}, 2)
    server.mute = False
    record.log_metrics({"loss": 3.0}, 3)
    assert record.conclude({}, [], None, 3) is None
    assert [step for step, _ in server.stored_rows] == [1, 2, 3]


class MlflowLogger:
    """A double of Lightning's MLFlowLogger, whose first question for an experiment meets another process."""

    held: ClassVar[list[bool]] = []
    uris: ClassVar[list[str]] = []

    def __init__(self, tracking_uri: str, **settings: Any) -> None:
        self.asked, self.uri = 0, tracking_uri
        self.uris.append(tracking_uri)
        self._note()

    def _note(self) -> None:
        if self.uri.startswith("sqlite"):
            self.held.append(is_held(Path(f"{self.uri.removeprefix('sqlite:///')}.begins")))

    @property
    def run_id(self) -> str:
        self._note()
        self.asked += 1
        if self.asked == 1:
            error = RuntimeError("there is one already")
            error.error_code = "RESOURCE_ALREADY_EXISTS"  # type: ignore[attr-defined]
            raise error
        return "r1"

    experiment = property(lambda self: SimpleNamespace(update_run=lambda *args, **named: None))

    def log_hyperparams(self, values: Any) -> None:
        pass


def test_runs_that_begin_at_once_share_a_database_and_no_password_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = [f"sqlite:///{tmp_path / 'mlflow.db'}"]
    module = SimpleNamespace(get_tracking_uri=lambda: uri[0], MlflowException=RuntimeError)
    monkeypatch.setitem(sys.modules, "mlflow", module)
    monkeypatch.setattr("pytorch_lightning.loggers.MLFlowLogger", MlflowLogger)
    settings = Settings(compose(["method=simsiam", "data=digits"]), tmp_path)
    mlflow_client.Mlflow(settings).open(None)
    assert MlflowLogger.held == [True, True, True], (
        "one after another creates the database and the experiment"
    )
    assert not any(tmp_path.iterdir()), "nothing is left of that"
    uri[0] = "https://name:secret@example.org/mlflow"
    identity = mlflow_client.Mlflow(settings).open(None)
    assert identity == {"run_id": "r1", "uri": "https://example.org/mlflow"}
    mlflow_client.Mlflow(settings).open(identity)
    assert MlflowLogger.uris[-1] == uri[0], "it is taken from the environment again"
    assert (
        without_login(f"API request to {uri[0]}/api failed") == f"API request to {identity['uri']}/api failed"
    )


def test_a_record_that_cannot_be_ended_says_why(tmp_path: Path) -> None:
    class Stuck(Network):
        def close(self, failed: bool) -> None:
            raise TimeoutError("600 seconds are over")

    record = Record(Stuck(), tmp_path, lambda line: None)
    record.log_metrics({"loss": 1.0}, 1)
    assert record.conclude({}, [], None, 1) == "TimeoutError: 600 seconds are over"


def test_a_run_whose_record_is_not_complete_is_done_and_says_how_to_send_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Network()
    monkeypatch.setitem(build.CLIENTS, "mlflow", lambda settings: server)
    monkeypatch.setattr(logger_checks, "_is_installed", lambda name: True)
    logged = LogRows.on_train_epoch_end

    def lose(self: LogRows, *arguments: Any) -> None:
        logged(self, *arguments)
        server.away = True

    monkeypatch.setattr(LogRows, "on_train_epoch_end", lose)
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[mlflow]", "epochs=1")
    quick = ("monitor.baselines=false", "trainer.logging.report=false")
    with pytest.raises(
        Unfinished, match=r"result written; .* mlflow: ConnectionError.*; what is missing is sent by"
    ):
        ssl_zoo.train([*run, *quick], silent=True)
    assert (tmp_path / "run" / "result.json").is_file()
    server.away = False
    monkeypatch.undo()
    monkeypatch.setitem(build.CLIENTS, "mlflow", lambda settings: server)
    monkeypatch.setattr(logger_checks, "_is_installed", lambda name: True)
    ssl_zoo.train([f"run_dir={tmp_path / 'run'}", "resume=auto", "trainer.progress=false"], silent=True)
    assert Counter(name for _, row in server.stored_rows for name in row)["epoch/loss"] == 1
    assert server.attached == ["curves.png", "result.json", "config.yaml"]


def test_a_new_record_that_cannot_be_begun_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Network()
    server.away = True
    monkeypatch.setitem(build.CLIENTS, "mlflow", lambda settings: server)
    monkeypatch.setattr(logger_checks, "_is_installed", lambda name: True)
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=[mlflow]")
    with pytest.raises(UserError, match=r"trainer.loggers=\[mlflow\] cannot begin a record: ConnectionError"):
        ssl_zoo.train(run, silent=True)
    assert not (tmp_path / "run" / "config.yaml").exists()


def _wandb(run_dir: Path) -> Counter[tuple[str, int]]:
    files = run_dir.glob("wandb/offline-run-*/*.wandb")
    rows = (row for file in files for row in history(file, "trainer/global_step"))
    return Counter((name, step) for step, row in rows for name in row)


def _mlflow(uri: str) -> tuple[Counter[tuple[str, int]], Any, list[str]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    (run,) = client.search_runs([each.experiment_id for each in client.search_experiments()])
    points = (
        point for name in run.data.metrics for point in client.get_metric_history(run.info.run_id, name)
    )
    files = [file.path for file in client.list_artifacts(run.info.run_id)]
    return Counter((point.key, point.step) for point in points), run, files


def _trackio(database: Path) -> Counter[tuple[str, int]]:
    from trackio.sqlite_storage import SQLiteStorage

    with sqlite3.connect(database) as connection:
        ((name,),) = connection.execute("SELECT DISTINCT run_name FROM metrics")
    rows = SQLiteStorage.get_logs(database.stem, name)
    return Counter((name, row["step"]) for row in rows for name in row.keys() - {"step", "timestamp"})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what the clients are made of, when imported
@pytest.mark.usefixtures("curves")
def test_a_killed_run_goes_on_in_the_records_of_all_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kill is imitated: a start ends by an error, and then what the clients write late is cut off.

    wandb's process loses the end of its file when the run is killed, trackio's thread what it has queued.
    """
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    names = ["csv", "tensorboard", "wandb", "mlflow"]
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri := (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    try:
        import trackio  # noqa: F401

        names.append("trackio")
    except ImportError:
        pass
    run_dir = tmp_path / "run"
    run = overrides(
        "simsiam",
        f"run_dir={run_dir}",
        f"trainer.loggers=[{','.join(names)}]",
        "trainer.log_every_steps=1",
        "trainer.logging.group=mine",
        "trainer.logging.name='a row s0'",  # as a suite names it
        "trainer.logging.report=false",
        "monitor.baselines=false",
    )
    logged = LogRows.on_train_batch_end

    def fail(self: LogRows, trainer: Any, *rest: Any) -> None:
        logged(self, trainer, *rest)
        if trainer.global_step == KILLED_AFTER:
            raise MemoryError

    monkeypatch.setattr(LogRows, "on_train_batch_end", fail)
    with pytest.raises(MemoryError):
        ssl_zoo.train(run, silent=True)
    monkeypatch.setattr(LogRows, "on_train_batch_end", logged)
    (file,) = run_dir.glob("wandb/offline-run-*/*.wandb")
    whole, logged_before = file.read_bytes(), len(_wandb(run_dir))
    for length in range(len(whole), 0, -50):
        file.write_bytes(whole[:length])
        if len(_wandb(run_dir)) < logged_before - 2:
            break
    assert ("step/loss", 3) in _wandb(run_dir), "a part is left"
    if "trackio" in names:
        with sqlite3.connect(tmp_path / "trackio" / "ssl-zoo.db") as connection:
            connection.execute("DELETE FROM metrics WHERE step > 3")

    result = ssl_zoo.train([*run, "resume=auto"], silent=True)
    on_mlflow, of_mlflow, files = _mlflow(uri)
    records = {"wandb": _wandb(run_dir), "mlflow": on_mlflow}
    if "trackio" in names:
        records["trackio"] = _trackio(tmp_path / "trackio" / "ssl-zoo.db")
    expected = {("step/loss", step) for step in range(1, STEPS + 1)}
    expected |= {("epoch/loss", STEPS // 2), ("epoch/loss", STEPS), ("epoch/knn_top1", STEPS)}
    expected |= {("result/knn_top1", STEPS)}
    for name, counted in records.items():
        assert expected <= set(counted), name
        assert set(counted.values()) == {1}, f"{name}: {counted.most_common(3)}"
    assert of_mlflow.info.status == "FINISHED"
    assert of_mlflow.data.tags["group"] == "mine"
    assert of_mlflow.data.tags["result.verdict"] == result.verdict
    assert of_mlflow.data.params["method/name"] == "simsiam"
    assert files == ["config.yaml", "curves.png", "result.json"]
    ids = {folder.name.rpartition("-")[2] for folder in run_dir.glob("wandb/offline-run-*")}
    assert len(ids) == 1
    attached = {file.name for file in run_dir.glob("wandb/offline-run-*/files/*")}
    assert {"config.yaml", "curves.png", "result.json"} <= attached


def test_what_contradicts_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        monkeypatch.delenv(name, raising=False)
    installed = {"wandb", "mlflow", "trackio", "sqlalchemy"}
    monkeypatch.setattr(logger_checks, "_is_installed", lambda name: name in installed)

    def refused(*overrides: str) -> str:
        with pytest.raises(UserError) as error:
            check_loggers(compose(overrides))
        return str(error.value)

    assert wandb_mode("auto") == "offline", "nobody is logged in"
    assert "nobody is logged in" in refused("trainer.loggers=wandb", "trainer.logging.offline=false")
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password none\n")
    assert wandb_mode("auto") == "online"
    assert wandb_mode(True) == "offline"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert "WANDB_MODE=disabled" in refused("trainer.loggers=wandb")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://name:secret@example.org")
    message = refused("trainer.loggers=mlflow", "trainer.logging.offline=true")
    assert "MLFLOW_TRACKING_URI=https://example.org is a server" in message
    installed.remove("sqlalchemy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///runs.db")
    assert "needs the package sqlalchemy" in refused("trainer.loggers=mlflow")
    monkeypatch.setenv("TRACKIO_SPACE_ID", "user/space")
    assert "unset TRACKIO_SPACE_ID" in refused("trainer.loggers=trackio")
    assert "set trainer.loggers=[csv]" in refused("trainer.loggers=[csv,NeptuneLogger]")
    assert "trainer.logging is read by wandb, mlflow, trackio" in refused("trainer.logging.group=mine")
    installed.clear()
    run = overrides("simsiam", f"run_dir={tmp_path / 'run'}", "trainer.loggers=wandb")
    assert cli.main(["train", *run]) == 2
    assert "pip install 'ssl-zoo[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_suite_groups_its_runs_and_names_them_by_row_and_seed() -> None:
    suite = read_suite("simsiam_figure2")
    logged = Planner(suite, "quick", ["trainer.loggers=[csv,wandb]"], None, 1).rows()[1].trial(2)
    plain = Planner(suite, "quick", [], None, 1).rows()[1].trial(2)
    settings = compose(logged.overrides).trainer.logging
    assert (settings.group, settings.name) == ("simsiam_figure2", "without_stop_gradient s2")
    assert not settings.report
    assert logged.hash == plain.hash, "it is the same run"
    assert not any("logging" in override for override in plain.overrides)


def test_what_is_attached_is_made_by_the_layers_above() -> None:
    assert resolve(attach.REPORT) is ssl_zoo.report
    assert resolve(attach.EXPORT) is ssl_zoo.export


def test_a_suite_and_a_sweep_want_the_package_before_they_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logger_checks, "_is_installed", lambda name: False)
    sweep = ["train", "-m", "method=simsiam,byol", f"run_dir={tmp_path / 'out'}"]
    suite = ["bench", "suite=simsiam_figure2", f"out={tmp_path / 'out'}"]
    for command in (sweep, suite):
        assert cli.main([*command, "trainer.loggers=wandb"]) == 2
        assert "pip install 'ssl-zoo[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
