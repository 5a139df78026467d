"""Checkpoints of other programs, read into run directories: the exporters' inverse.

    import_checkpoint(["file=checkpoint_0099.pth.tar", "run_dir=runs/simsiam"])

A format is an entry of the table in `formats.py`: by which keys a checkpoint is recognised, where in it the encoder
is, what is left out, and how its images are prepared. Names of weights that are not timm's are translated by
`names.py`, and the architecture follows from the shapes (`architectures.py`). Every key of a checkpoint is accounted
for, or the checkpoint is refused.
"""
