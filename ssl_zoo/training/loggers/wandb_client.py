"""Weights & Biases, through Lightning's WandbLogger.

- A step is the figure `trainer/global_step`, the horizontal axis of all others, as Lightning logs it: wandb's own step
  would refuse to go back.
- Offline, each start writes a folder `wandb/offline-run-*` of the run directory, all with one id, which `wandb sync`
  joins.
- wandb's own process writes there every 15 seconds, and loses the rest when the run is killed. So the files are read
  back when a record goes on.
- Online, that process sends the same, and goes on trying while there is no network.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import loggers as lightning

from ssl_zoo.training.logger_checks import wandb_mode
from ssl_zoo.training.loggers.client import Identity, Settings
from ssl_zoo.training.loggers.journal import last_steps
from ssl_zoo.training.loggers.wandb_file import history

__all__ = ["Wandb"]

STEP = "trainer/global_step"  # Lightning's name for it
WAIT = 30  # seconds for the server to begin a record
ENDING = {
    "finish_timeout": 600.0,
    "finish_timeout_raises": True,
}  # seconds to send the rest, and no job that hangs


class Wandb:
    """A run of wandb. See `client.Client`."""

    name = "wandb"

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.run: Any = None
        self.logger: lightning.WandbLogger | None = None
        self._logged = False  # since the record was opened

    def open(self, known: Identity | None) -> Identity:
        """Begins or goes on, with the id of the first start; also offline or online as that, unless a key says so."""
        import wandb

        logging = self.settings.logging
        kept = known["mode"] if known and logging.offline == "auto" else None
        identity: Identity = {"id": known["id"] if known else uuid.uuid4().hex[:8]}
        identity["mode"] = kept or wandb_mode(logging.offline)
        limits = {
            k: v for k, v in ENDING.items() if k in wandb.Settings.model_fields
        }  # earlier versions lack them
        self.run = wandb.init(
            id=identity["id"],
            mode=identity["mode"],
            resume="allow",
            reinit="create_new",  # whatever else the process logs to
            project=self.settings.logging.project,
            name=self.settings.name,
            group=logging.group,
            config=self.settings.values,
            dir=str(self.settings.run_dir),
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, init_timeout=WAIT, **limits
            ),
        )
        self.run.define_metric(STEP, hidden=True)
        self.run.define_metric("*", step_metric=STEP, step_sync=True)
        self.logger = lightning.WandbLogger(experiment=self.run)
        return identity

    def stored(self) -> dict[str, int] | None:
        """Returns the last step of each figure in the files of earlier starts; None where these are gone."""
        if self._logged:
            return None
        files = sorted(self.settings.run_dir.glob(f"wandb/*run-*/run-{self.run.id}.wandb"))
        here = Path(self.run.dir).parent
        if not (earlier := [file for file in files if file.parent != here]):
            return None
        return last_steps(row for file in earlier for row in history(file, STEP))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Passes figures to wandb's own process, which writes them."""
        assert self.logger is not None
        self._logged = True
        self.logger.log_metrics(figures, step)

    def conclude(
        self, texts: Mapping[str, str], files: Sequence[Path], weights: Path | None, step: int
    ) -> None:
        """Sets the summary, shows page and picture, and attaches all files."""
        import wandb

        self.run.summary.update(dict(texts))
        media: dict[str, Any] = {}
        for file in files:
            self.run.save(str(file), base_path=str(file.parent), policy="now")
            if file.suffix == ".html":
                media[file.stem] = wandb.Html(str(file), inject=False)
            elif file.suffix == ".png":
                media[file.stem] = wandb.Image(str(file))
        self.run.log({**media, STEP: step})
        if weights is not None:
            artifact = wandb.Artifact(f"weights-{self.run.id}", type="model")
            (artifact.add_dir if weights.is_dir() else artifact.add_file)(str(weights))
            self.run.log_artifact(artifact)

    def close(self, failed: bool) -> None:
        """Ends the run; online, what is left is sent first."""
        self.run.finish(exit_code=int(failed))
