"""What a page supposes: images, runs, shards and checkpoints, put into the working directory where it names them."""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image

from helpers.saved_runs import train_tiny
from ssl_zoo.sharding.run import write_shards


class Supplies:
    """Puts there what pages suppose.

    Args:
        store: folder of what is made once, and shared by all pages.
    """

    def __init__(self, store: Path) -> None:
        self.store = store

    def provide(self, arguments: Sequence[str]) -> None:
        """Puts there what a command reads."""
        verb, values = (
            arguments[0] if arguments else "",
            [a.partition("=")[::2] for a in arguments if "=" in a],
        )
        source = dict(values).get("data", "imagefolder")
        for key, value in values:
            if (
                key.endswith((".train", ".test"))
                and "://" not in value
                and not value.startswith(("pipe:", "'"))
            ):
                if source == "webdataset":
                    self.shards(Path(value))
                elif source in ("imagefolder", "imagenet") or verb == "shards":
                    self.images(Path(value))
            elif key in ("run", "start_from", "reference"):
                self.run(Path(value))
        if verb in ("eval", "report", "export", "embed"):
            for path in (word for word in arguments[1:] if "=" not in word and not word.startswith("-")):
                self.run(Path(path))
        elif verb == "import":
            Path(arguments[1]).touch()
        elif (
            verb == "train"
            and "resume=auto" in arguments
            and not {"method", "data", "experiment"} & {*dict(values)}
        ):
            self.run(Path(dict(values)["run_dir"]))
        elif verb == "runs":
            for path in ("runs/simsiam-s0", "runs/no-stop", "runs/bench/one"):
                self.run(Path(path))

    def images(self, folder: Path) -> None:
        if not folder.exists() or not [*folder.rglob("*.png")]:
            draw_images(folder)

    def run(self, path: Path) -> None:
        folder = path.parent.parent if path.suffix == ".ckpt" else path
        if not folder.exists():
            shutil.copytree(self.made("run", train_tiny), folder)
            last = folder / "checkpoints" / "last.ckpt"
            if path.suffix == ".ckpt" and not path.exists():
                shutil.copy(last, path)

    def shards(self, path: Path) -> None:
        folder = path.parent if "{" in path.name or "*" in path.name else path
        if not folder.exists():
            images = self.made("images", draw_images)
            write_shards(
                [f"data.train={images}", f"out={folder}", "images_per_shard=8", "data.workers=0"], silent=True
            )

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        folder = self.store / name
        if not folder.exists():
            make(folder)
        return folder


def draw_images(folder: Path) -> None:
    """Two classes of twenty pictures, of 12 to 19 pixels, so that each is a file of its own."""
    generator = torch.Generator().manual_seed(zlib.crc32(str(folder).encode()))  # a test set is another
    for number in range(40):
        pixels = torch.randint(0, 255, (12 + number % 8, 12, 3), generator=generator, dtype=torch.uint8)
        file = folder / ("cat", "dog")[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.numpy()).save(file)
