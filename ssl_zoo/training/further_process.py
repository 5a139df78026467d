"""`python -m ssl_zoo.training.further_process PID`: a further process of a training, started by that of rank zero."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time

from ssl_zoo.config.mapping import from_mapping
from ssl_zoo.errors import Interrupted, UserError
from ssl_zoo.terminal.signals import SCHEDULER
from ssl_zoo.training.launch import PREFIX
from ssl_zoo.training.run import run


def main() -> None:
    """Takes part in the run whose configuration comes through stdin."""
    config = from_mapping(json.load(sys.stdin))
    try:
        run(config, silent=True)
    except Interrupted:
        sys.exit(0)  # agreed upon by all
    except UserError as error:
        sys.stderr.write(f"{PREFIX}{error}\n")
        sys.exit(2)


def _end_with(parent: int) -> None:
    """Ends this process with that of rank zero, whose number is given as it may have ended before this one starts."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


if __name__ == "__main__":
    for number in SCHEDULER:  # SLURM may signal all processes; that of rank zero ends this one
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    main()
