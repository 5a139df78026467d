"""CIFAR-10, CIFAR-100 and STL-10, read by torchvision from `data.root` and downloaded there on demand.

They are kept in memory whatever `data.cache_mb` says: 0.2 GB each, STL-10 2.9 GB (and twice that while it is
read).

- [0] Learning Multiple Layers of Features from Tiny Images, 2009, https://www.cs.toronto.edu/~kriz/cifar.html
- [1] An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011,
  https://cs.stanford.edu/~acoates/stl10/
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torchvision.datasets import CIFAR10, CIFAR100, STL10

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data.download import open_published
from ssl_zoo.data.memory_split import MemorySplit, to_channels
from ssl_zoo.data.partition import partition
from ssl_zoo.data.split import Data

__all__ = ["cifar10", "cifar100", "stl10"]


def cifar10(config: DataConfig) -> Data:
    """Returns CIFAR-10: 50,000 images of 32x32 pixels to train on, 10,000 to test on, 10 classes."""
    return _cifar(CIFAR10, config, classes=10)


def cifar100(config: DataConfig) -> Data:
    """Returns CIFAR-100: 50,000 images of 32x32 pixels to train on, 10,000 to test on, 100 classes."""
    return _cifar(CIFAR100, config, classes=100)


def stl10(config: DataConfig) -> Data:
    """Returns STL-10: 105,000 images of 96x96 pixels to train on, the first 5,000 of them labelled.

    Those are `labelled`; 8,000 images to test on, 10 classes.
    """
    _check_parts(config, count=105_000, labelled=5_000, classes=10)
    root = Path(config.root).expanduser()
    dataset = open_published(STL10, root, split="train+unlabeled")
    train = _split(dataset.data, None, config)  # data: (N, 3, 96, 96)
    labels = torch.as_tensor(dataset.labels, dtype=torch.int64)  # (N,), -1 without a label
    labelled = int((labels >= 0).sum())
    first = MemorySplit(train.images[:labelled], labels[:labelled])
    test = None
    if not config.holdout:
        held = open_published(STL10, root, split="test")
        test = _split(held.data, held.labels, config)
    return Data(train, first, test, tuple(dataset.classes), config.channels)


def _cifar(kind: Any, config: DataConfig, classes: int) -> Data:
    _check_parts(config, count=50_000, labelled=50_000, classes=classes)
    root = Path(config.root).expanduser()
    dataset = open_published(kind, root, train=True)
    train = _split(dataset.data.transpose(0, 3, 1, 2), dataset.targets, config)  # data: (N, 32, 32, 3)
    test = None
    if not config.holdout:
        held = open_published(kind, root, train=False)
        test = _split(held.data.transpose(0, 3, 1, 2), held.targets, config)
    return Data(train, train, test, tuple(dataset.classes), config.channels)


def _split(images: Any, labels: Any, config: DataConfig) -> MemorySplit:
    """Makes a split of a uint8 array (N, 3, H, W) and N labels or None."""
    targets = None if labels is None else torch.as_tensor(labels, dtype=torch.int64)
    return MemorySplit(to_channels(torch.from_numpy(images), config.channels), targets)


def _check_parts(config: DataConfig, count: int, labelled: int, classes: int) -> None:
    """Refuses a limit or a holdout that cannot be taken, before anything is downloaded for it."""
    names = tuple(map(str, range(classes)))
    partition(count, torch.arange(labelled) % classes, names, config.holdout, config.limit)
