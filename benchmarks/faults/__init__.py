"""Faults planted on purpose, and whether anything finished is lost: full disks, kills, power cuts and others."""
