"""Parts for training scripts that are not ours, lightly's examples above all: diagnosis, callback, batched views.

Each stands alone. Nothing here knows of our runs, configurations or method classes.
"""

from __future__ import annotations

__all__: list[str] = []
