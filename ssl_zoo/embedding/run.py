"""An embedding, from its overrides to its file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from ssl_zoo.data.given import passing
from ssl_zoo.embedding.encoding import encode_images
from ssl_zoo.embedding.outputs import check_out, finish, metadata_of, parts_of, remove_parts
from ssl_zoo.embedding.plan import EmbeddingPlan, plan_embedding
from ssl_zoo.embedding.schema import read_embed
from ssl_zoo.embedding.store import Store, differing
from ssl_zoo.errors import DiskError, Interrupted, UserError
from ssl_zoo.files.writing import naming_errors
from ssl_zoo.terminal.counting import showing_counts
from ssl_zoo.terminal.image_progress import ImageProgress
from ssl_zoo.terminal.signals import StopRequest

__all__ = ["embed"]

SHOWN = 5  # unreadable files named in messages


def embed(overrides: Sequence[str], silent: bool = False, *, data: Any = None, test: Any = None) -> Path:
    """Writes the features of images to a file: `embed(["run=DIR", "out=features.parquet"])`, as `ssl-zoo embed` does.

    Args:
        overrides: the same overrides as on the command line; see `EmbedConfig`, and `data=` as in training.
        silent: print nothing.
        data: a map-style Dataset of images in place of those that `data=` names; see `train`.
        test: likewise, of test images.

    Returns:
        Path of the file, parquet with the columns `file`, `label` and `features` (and `split`, of two), or .npy (N, F).

    Raises:
        UserError: the overrides, or what they name, are wrong; nothing has been created, but that an image which is
            found to be unreadable halfway leaves what is done before it.
        Interrupted: Ctrl-C or SIGTERM; the same overrides continue it.
    """
    threads = torch.get_num_threads()
    try:
        with passing(overrides, data, test) as overrides:
            return _embed(overrides, silent)
    finally:
        torch.set_num_threads(threads)


def _embed(overrides: Sequence[str], silent: bool) -> Path:
    options, about_data = read_embed(overrides)
    out = Path(options.out).expanduser()
    finished = metadata_of(out)
    if finished is None:
        check_out(out)
    with showing_counts(options.progress and not silent):
        plan = plan_embedding(options, about_data)
    if finished is not None:
        if differing(finished, plan.record):
            check_out(out)  # refuses it
        remove_parts(out)
        line = f"{out}: {finished['rows']} rows, finished before with the same settings, weights and images"
        ImageProgress(0, 0, silent=silent, bar=False).show(line)
        return out
    store = Store(parts_of(out), plan.record, plan.width, options.dtype)
    progress = ImageProgress(len(plan.images), store.committed.images, silent=silent, bar=options.progress)
    try:
        progress.log(plan.title)
        if plan.skipped:
            progress.log(
                f"left out: {len(plan.skipped)} files that are no readable images, such as '{plan.skipped[0]}'"
            )
        if store.committed.images:
            progress.log(f"continuing after {store.committed.images} images that are done")
        with naming_errors(out):
            _fill(store, plan, progress)
        left_out = len(store.committed.left_out)
        metadata = {**store.record, "rows": store.committed.rows, "left_out": left_out + len(plan.skipped)}
        with naming_errors(out):
            finish(out, store, plan.images, metadata)
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"stopped after {store.committed.images} of {len(plan.images)} images, which are kept in '{store.folder}'; "
            f"continue with the same overrides: ssl-zoo embed {shlex.join(overrides)}"
        ) from None
    except OSError as error:
        if not store.committed.images:
            store.remove()
            raise
        store.cut_off()
        raise DiskError(
            error,
            f"the {store.committed.images} of {len(plan.images)} images that are done are kept in '{store.folder}'; to "
            f"continue: ssl-zoo embed {shlex.join(overrides)}",
        ) from error
    except UserError as error:
        if not store.committed.images:
            store.remove()
            raise
        raise UserError(
            f"{error}; the {store.committed.images} of {len(plan.images)} images that are done are kept in "
            f"'{store.folder}', and an embedding with the same overrides goes on there"
        ) from error
    finally:
        progress.stop()
        store.close()
    late = f" · {left_out} more left out that turned out to be unreadable" if left_out else ""
    speed = f"{progress.seconds:.0f} s, {progress.rate:.0f} images/s"
    progress.show(f"{out}: {store.committed.rows} x {plan.width} {options.dtype}{late} · {speed}")
    return out


def _fill(store: Store, plan: EmbeddingPlan, progress: ImageProgress) -> None:
    """Computes and stores the features that are missing."""
    batches = encode_images(plan.encoder, plan.images, store.committed.images, plan.settings, plan.hardware)
    with StopRequest() as request:
        try:
            for batch in batches:
                for number, reason in islice(batch.left_out.items(), max(0, SHOWN - store.left_out)):
                    progress.log(f"left out: '{plan.images.file(number)}' ({reason})")
                store.append(batch)
                progress.advance(batch.images)
                if request.asked:
                    raise Interrupted
        finally:
            batches.close()
            store.commit()
