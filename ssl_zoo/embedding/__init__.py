"""Embeddings: features of a folder of images, written to one file as they are computed.

    embed(["run=DIR", "data=imagefolder", "data.train=FOLDER", "out=features.parquet"]) -> Path

Memory stays that of a batch. What is done is kept in `OUT.parts`, so that a start that was killed at any moment
goes on with the same overrides, to the same bits; see `store`.
"""
