"""Writes shards from images in files; `write_shards` is `ssl-zoo shards` in Python."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data import FileSplit, load_data
from ssl_zoo.data.raster import ARRAY
from ssl_zoo.data.shards.beside import ABOUT
from ssl_zoo.errors import DiskError, Interrupted, UserError
from ssl_zoo.files.folders import check_writable
from ssl_zoo.files.json_files import load_json, write_json
from ssl_zoo.files.locks import LOCK, hold
from ssl_zoo.files.writing import is_temporary, naming_errors
from ssl_zoo.sharding.plan import ShardPlan, plan_shards, shard_name
from ssl_zoo.sharding.schema import read_shards
from ssl_zoo.sharding.write import is_written, write_shard
from ssl_zoo.terminal.counting import showing_counts
from ssl_zoo.terminal.image_progress import ImageProgress
from ssl_zoo.terminal.signals import StopRequest

__all__ = ["write_shards"]

BEGUN = "begun.json"  # what is written, while some of it is missing


def write_shards(overrides: Sequence[str], silent: bool = False) -> Path:
    """Writes shards: `write_shards(["data.train=FOLDER", "out=DIR"])`, as `ssl-zoo shards` does.

    Args:
        overrides: the same as on the command line; see `ShardsConfig`, and `data.*` as in training.
        silent: print nothing.

    Returns:
        The folder: shard-000000.tar and more, a table beside each, and index.json.

    Raises:
        UserError: the overrides, or what they name, are wrong.
        Interrupted: Ctrl-C or SIGTERM; the same overrides continue.
    """
    options, about_data = read_shards(overrides)
    out = Path(options.out).expanduser()
    check_writable(out, "out must be a folder that can be written to", "choose another")
    named = [] if any(override.startswith("data=") for override in about_data) else ["data=imagefolder"]
    # Of the images as files, which is how they are written.
    config = dataclasses.replace(compose([*named, *about_data]).data, cache_mb=0.0)
    _check_outside(out, config)
    with showing_counts(options.progress and not silent):
        data = load_data(config)
        if not isinstance(data.train, FileSplit):
            raise UserError(
                f"shards are written from images in files, as of data=imagefolder; received data={config.name}, whose "
                "images are in none; leave data= out"
            )
        if data.train.names[0].lower().endswith(ARRAY):
            raise UserError(
                f"shards are written from image files; received data.train='{config.train}' with arrays, such as "
                f"'{data.train.names[0]}', which data=webdataset does not read; train on the folder, or save them as "
                "TIFF or PNG"
            )
        plan = plan_shards(data.train, data.classes, options)
    with hold(out):
        for path in filter(is_temporary, out.iterdir()):  # what a killed process was writing
            path.unlink()
        return _write_all(out, plan, data.skipped, overrides, silent=silent, bar=options.progress)


def _write_all(
    out: Path, plan: ShardPlan, skipped: Sequence[str], overrides: Sequence[str], *, silent: bool, bar: bool
) -> Path:
    record, shards = plan.record, len(plan.ends)
    finished = _check(out, record)
    done = {number for number in range(shards) if is_written(out, number)}
    images = sum(len(plan.shard(number)) for number in done)
    progress = ImageProgress(record["images"], images, silent=silent, bar=bar)
    if finished and len(done) == shards:
        progress.stop()
        progress.show(f"{out}: {shards} shards, finished before of files of the same names and sizes")
        return out
    if skipped:
        progress.log(f"left out: {len(skipped)} files that are no readable images, such as '{skipped[0]}'")
    if done:
        progress.log(f"continuing after {len(done)} of {shards} shards that are done")
    try:
        with StopRequest() as request, naming_errors(out):

            def count() -> None:
                progress.advance(1)
                if request.asked:
                    raise Interrupted

            write_json(out / BEGUN, record)
            for number in range(shards):
                if number not in done:
                    write_shard(out, plan, number, count)
                    done.add(number)
            write_json(out / ABOUT, _about(out, plan, record))
            (out / BEGUN).unlink()
    except (KeyboardInterrupt, Interrupted):
        raise Interrupted(
            f"stopped after {len(done)} of {shards} shards, which are kept in '{out}'; continue with the same "
            f"overrides: ssl-zoo shards {shlex.join(overrides)}"
        ) from None
    except OSError as error:
        kept = f"{len(done)} of {shards} shards are done; to continue: ssl-zoo shards {shlex.join(overrides)}"
        raise DiskError(error, kept) from error
    finally:
        progress.stop()
    last = f"{shards - 1:06d}"
    pattern = f"{out}/shard-{{000000..{last}}}.tar" if shards > 1 else f"{out}/{shard_name(0)}"
    size = sum((out / shard_name(number)).stat().st_size for number in range(shards))
    written = (
        f"{record['images']} images in {shards} shard{'s' if shards > 1 else ''}, {size / 2**20:.0f} MiB"
    )
    speed = f"{progress.seconds:.0f} s, {progress.rate:.0f} images/s"
    progress.show(f"{out}: {written} · {speed} · data=webdataset data.train='{pattern}'")
    return out


def _check_outside(out: Path, config: DataConfig) -> None:
    """Refuses shards among the images, which would be part of the folder at the next start."""
    if config.train is not None and out.resolve().is_relative_to(Path(config.train).expanduser().resolve()):
        raise UserError(
            f"out must be outside of data.train, whose folders are classes; received out='{out}' with "
            f"data.train='{config.train}'; choose another"
        )


def _check(out: Path, record: dict[str, Any]) -> bool:
    """Returns whether the shards are finished; refuses a folder of other things, or of other shards."""
    for file in (ABOUT, BEGUN):
        if (out / file).is_file():
            try:
                saved = load_json(out / file)
                saved = saved["ssl_zoo"] if file == ABOUT else saved
            except (OSError, ValueError, KeyError, TypeError):
                saved = None
            if saved != record:
                raise UserError(
                    f"out must be a new folder, or shards of the same images, order and sizes; '{out}' holds others "
                    f"({file}); choose another, or delete it"
                )
            return file == ABOUT
    others = [path.name for path in out.iterdir() if path.name != LOCK and not is_temporary(path)]
    if others:
        raise UserError(
            f"out must be an empty or new folder; '{out}' holds '{sorted(others)[0]}'; choose another"
        )
    return False


def _about(out: Path, plan: ShardPlan, record: dict[str, Any]) -> dict[str, Any]:
    """Returns index.json: a list of shards in the format of `wids`, and what `data=webdataset` reads."""
    shards = [
        {
            "url": shard_name(number),
            "nsamples": len(plan.shard(number)),
            "filesize": (out / shard_name(number)).stat().st_size,
        }
        for number in range(len(plan.ends))
    ]
    classes = None if plan.classes is None else list(plan.classes)
    return {"wids_version": 1, "shardlist": shards, "classes": classes, "ssl_zoo": record}
