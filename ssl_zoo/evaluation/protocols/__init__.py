"""What is done with an encoder, one protocol per file: `check(task)` before anything costs time, then `run(task)`."""
