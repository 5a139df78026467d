"""Where the figures of a run are logged besides metrics.csv: `trainer.loggers`.

csv and tensorboard are files of the run directory. wandb, mlflow and trackio keep records of their own: `record.py` has
what holds for all of them, and a file for each has how its client does it.
"""

from ssl_zoo.training.loggers.build import LoggedRow, build_loggers, ending, log_epoch
from ssl_zoo.training.loggers.csv_file import CsvFile
from ssl_zoo.training.loggers.record import Record
from ssl_zoo.training.loggers.tensorboard import TensorBoard, quiet_event_writer

__all__ = [
    "CsvFile",
    "LoggedRow",
    "Record",
    "TensorBoard",
    "build_loggers",
    "ending",
    "log_epoch",
    "quiet_event_writer",
]
