"""What is refused of `trainer.loggers` and `trainer.logging` before anything starts; no logger is imported."""

from __future__ import annotations

import netrc
import os
import re
from importlib.util import find_spec
from urllib.parse import urlparse

from ssl_zoo.config.schema import FORMER, RECORDS, LoggingConfig, RunConfig
from ssl_zoo.errors import UserError

__all__ = ["check_loggers", "wandb_mode", "without_login"]


def without_login(text: str) -> str:
    """Leaves name and password out of the addresses in a text."""
    return re.sub(r"(?<=://)[^/@\s]+@", "", text)


def check_loggers(config: RunConfig) -> None:
    """Refuses a logger whose package is missing, or that contradicts what it was asked for; nothing is imported.

    Raises:
        UserError: see above; a key of `trainer.logging` that no logger reads.
    """
    named, logging = config.trainer.loggers, config.trainer.logging
    if former := [name for name in named if name in FORMER]:
        raise UserError(
            f"trainer.loggers takes csv, tensorboard, {', '.join(RECORDS)}; received {former[0]}, which earlier "
            f"versions had; set trainer.loggers=[{','.join(name for name in named if name not in FORMER)}]"
        )
    for name in (name for name in named if name in RECORDS):
        if not _is_installed(name):
            raise UserError(
                f"trainer.loggers=[{name}] needs the package {name}, which is missing; install it with "
                f"pip install 'ssl-zoo[{name}]', or leave it out"
            )
    if "wandb" in named and config.resume is None:
        wandb_mode(logging.offline)
    if "mlflow" in named:
        _check_mlflow(logging.offline)
    if "trackio" in named:
        _check_trackio(logging.offline)
    if not set(named) & set(RECORDS) and logging != LoggingConfig() and config.resume is None:
        raise UserError(
            f"trainer.logging is read by {', '.join(RECORDS)}; received trainer.loggers=[{','.join(named)}]; name one "
            "of them there, or leave trainer.logging out"
        )


def _is_installed(name: str) -> bool:
    """Whether a package is there; a folder `wandb` of the working directory is none."""
    spec = find_spec(name)
    return spec is not None and spec.origin is not None


def wandb_mode(offline: bool | str) -> str:
    """Returns online or offline: never a question for a key, which nobody would answer in a job.

    Args:
        offline: `trainer.logging.offline`.

    Raises:
        UserError: WANDB_MODE is none of these, or online is asked for and nobody is logged in.
    """
    if offline is True:
        return "offline"
    mode = os.environ.get("WANDB_MODE") or ("online" if _is_logged_in() else "offline")
    if offline is False:
        mode = "online"
    if mode not in ("online", "offline"):
        raise UserError(
            f"trainer.loggers=[wandb] takes WANDB_MODE=online or offline; received WANDB_MODE={mode}; leave wandb out "
            "of trainer.loggers, or unset it"
        )
    if mode == "online" and not _is_logged_in():
        raise UserError(
            "wandb is to be online and nobody is logged in; run 'wandb login', set WANDB_API_KEY, or set "
            "trainer.logging.offline=true and send the run later by 'wandb sync'"
        )
    return mode


def _is_logged_in() -> bool:
    """Whether there is a key where wandb looks for one; it is not read."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    named = os.environ.get("NETRC")
    for file in [named] if named else ["~/.netrc", "~/_netrc"]:
        try:
            if host in netrc.netrc(os.path.expanduser(file)).hosts:
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _check_mlflow(offline: bool | str) -> None:
    """Refuses what contradicts `trainer.logging.offline`, and a database without the package that reads it.

    Raises:
        UserError: see above.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    if offline is True and uri.startswith(("http:", "https:", "databricks")):
        raise UserError(
            f"trainer.logging.offline=true sends nothing; MLFLOW_TRACKING_URI={without_login(uri)} is a server; set "
            "it to a database such as sqlite:///mlflow.db, unset it, or leave offline out"
        )
    if (not uri or uri.startswith("sqlite:")) and not _is_installed("sqlalchemy"):
        raise UserError(
            f"mlflow keeps its records in a database, {uri or 'mlflow.db'}, which needs the package sqlalchemy; it is "
            "missing; install it with pip install 'ssl-zoo[mlflow]', or set MLFLOW_TRACKING_URI to a server"
        )


def _check_trackio(offline: bool | str) -> None:
    """Refuses a record on a server, where it could not be asked what is stored.

    Raises:
        UserError: a variable names one, or `trainer.logging.offline=false` asks for it.
    """
    named = next((name for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL") if os.environ.get(name)), None)
    if named is not None or offline is False:
        received = f"{named}={os.environ[named]}" if named else "trainer.logging.offline=false"
        raise UserError(
            f"trainer.loggers=[trackio] writes to the local database, which 'trackio sync' sends; received {received}; "
            f"{f'unset {named}' if named else 'leave it out'}"
        )
