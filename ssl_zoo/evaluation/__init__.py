"""Evaluation: protocols that turn a checkpoint into a figure, with the exact way it was measured.

    evaluate(["run=DIR", "protocol=knn"]) -> list of records, each an eval-*.json

A protocol is a YAML in `configs/protocol/` and a function in `evaluation/protocols/`: the YAML says which function
and with what settings. A `Task` holds the encoder, the data and the settings, an `Outcome` the figures.
"""
