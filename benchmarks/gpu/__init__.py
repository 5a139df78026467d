"""Checks on a machine with one GPU, in minutes: does everything run, how fast, and how well does it learn."""
