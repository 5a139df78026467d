"""Exports: a run's backbone, in formats that other programs load without ssl-zoo.

    export(["run=DIR", "format=[timm,onnx]"])        a folder per format, each with a card that says how to load it
    load_backbone("DIR")                             the model and the preprocessing, here and now

A format is a function `write(encoder, folder, config) -> ExportedFiles` in `to_NAME.py`, known by name in
`formats.py`: it returns what it has written, and the code that takes it up again with the other library alone, which
the card prints and the tests run.
"""
