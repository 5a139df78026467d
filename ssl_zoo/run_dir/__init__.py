"""The run directory: its configuration, checkpoints, result and records, written and read here."""
