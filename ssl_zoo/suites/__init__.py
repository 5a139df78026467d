"""Suites: a table or a figure of a paper, as rows of a config with claims that the program checks (`ssl-zoo bench`).

Each row and seed is one training run in its own process and its own folder, named by the hash of its configuration;
suites share them.
"""
