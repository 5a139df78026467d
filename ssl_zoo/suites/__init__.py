"""Suites: a table or a figure of a paper, as rows of overrides with claims that the program checks (`ssl-zoo bench`).

A row and a seed are a trial. It is trained by a worker, a process of its own, in a run directory that is named by the
hash of its configuration; suites share them. A launcher starts the workers, on this machine or on a cluster.
"""
