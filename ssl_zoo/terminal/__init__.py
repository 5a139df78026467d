"""The terminal: console, progress, the process's streams and its signals."""
