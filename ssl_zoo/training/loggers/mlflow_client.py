"""MLflow, through Lightning's MLFlowLogger: a server, a database file or a folder, as MLFLOW_TRACKING_URI says.

Figures are sent one request after another, and MLflow adds a second point where a step is sent twice. A continued
record is therefore asked which steps it has. What MLflow calls a parameter cannot change: those of the first start
stay.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import loggers as lightning

from ssl_zoo.files.locks import hold
from ssl_zoo.training.logger_checks import without_login
from ssl_zoo.training.loggers.client import Identity, Settings

__all__ = ["Mlflow"]

SQLITE = "sqlite:///"
DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",  # seconds, for which a training waits
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # its import would report to its makers, also offline
}


class Mlflow:
    """A run of MLflow. See `client.Client`."""

    name = "mlflow"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.logger: lightning.MLFlowLogger | None = None
        self.run_id = ""

    def open(self, known: Identity | None) -> Identity:
        """Begins a run with its configuration as parameters, or goes on with a known one."""
        for name, value in DEFAULTS.items():
            os.environ.setdefault(name, value)
        import mlflow

        logging = self.settings.logging
        uri = _absolute(mlflow.get_tracking_uri())
        if known and without_login(known["uri"]) != without_login(uri):
            uri = known["uri"]
        tags = {"group": logging.group} if logging.group else {}
        with _alone(uri):  # the client creates the database, and its first question the experiment
            self.logger = logger = lightning.MLFlowLogger(
                experiment_name=logging.project,
                run_name=self.settings.name,
                tracking_uri=uri,
                tags=tags,
                run_id=known["run_id"] if known else None,
            )
            try:
                self.run_id = str(logger.run_id)
            except mlflow.MlflowException as error:  # another process has begun the experiment meanwhile
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                self.run_id = str(logger.run_id)
        if known:
            self._client.update_run(self.run_id, status="RUNNING")
        else:
            logger.log_hyperparams(self.settings.values)
        return {"run_id": self.run_id, "uri": without_login(uri)}

    @property
    def _client(self) -> Any:
        assert self.logger is not None
        return self.logger.experiment

    def stored(self) -> dict[str, int] | None:
        """Returns the last step of each figure, as the store has it."""
        names = self._client.get_run(self.run_id).data.metrics
        return {
            name: max(point.step for point in self._client.get_metric_history(self.run_id, name))
            for name in names
        }

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Sends figures."""
        assert self.logger is not None
        self.logger.log_metrics(figures, step)

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> None:
        """Sets tags and attaches all files."""
        for name, text in texts.items():
            self._client.set_tag(self.run_id, name.replace("/", "."), text)
        for file in files:
            self._client.log_artifact(self.run_id, str(file))
        if weights is not None and weights.is_dir():
            self._client.log_artifacts(self.run_id, str(weights), weights.name)
        elif weights is not None:
            self._client.log_artifact(self.run_id, str(weights))

    def close(self, failed: bool) -> None:
        """Marks the run as finished or killed."""
        self._client.set_terminated(self.run_id, "KILLED" if failed else "FINISHED")


@contextlib.contextmanager
def _alone(uri: str) -> Iterator[None]:
    """Lets one process after another create a database and its tables: MLflow fails where two runs begin at once."""
    if not uri.startswith(SQLITE):
        yield
        return
    with hold(Path(f"{uri.removeprefix(SQLITE)}.begins"), wait=True):
        yield


def _absolute(uri: str) -> str:
    """Returns a URI that means the same from another working directory, where a run may be continued."""
    if uri.startswith(SQLITE):
        return SQLITE + str(Path(uri.removeprefix(SQLITE)).absolute())
    if "://" not in uri and not uri.startswith(("file:/", "databricks", "uc")):
        return Path(uri.removeprefix("file:")).absolute().as_uri()
    return uri
