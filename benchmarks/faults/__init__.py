"""Faults planted on purpose, and whether anything finished is lost: full disks, kills, power cuts, hangs, and others."""
