"""Shards: images in files, written to tar files as webdataset and `data=webdataset` read them.

    write_shards(["data.train=FOLDER", "out=DIR"]) -> Path

Each file is there whole or not at all, and its bytes follow from the images alone: a start that was killed at any
moment goes on with the same overrides, to the same bytes.
"""
