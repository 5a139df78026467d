"""What `load_data` returns: the splits of a data set."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_zoo.data.split import Split

__all__ = ["Data"]


@dataclass(frozen=True)
class Data:
    """The images of a run.

    The bank is `train` itself, or the labelled first part of it (STL-10, whose other training images have
    no labels).
    """

    train: Split  # what is trained on; its labels are never looked at
    bank: Split | None  # labelled training images, for kNN and probe; None without labels
    test: Split | None  # labelled, but for a holdout of unlabelled images; None where there is none
    classes: tuple[str, ...] | None  # names, in the order of the labels; None without labels
    channels: int
    skipped: tuple[str, ...] = ()  # paths of the files that `on_error=skip` left out
    passed_over: tuple[str, ...] = ()  # paths of files beside the images that are plainly none
    emptied: tuple[str, ...] = ()  # classes that `on_error=skip` left out, as they hold no images

    @property
    def lost(self) -> dict[str, str]:
        """Paths of the files that `on_error=skip` left out since the folders were read, with the reasons."""
        return {
            path: why
            for split in (self.train, self.test)
            for path, why in (getattr(split, "lost", None) or {}).items()
        }
