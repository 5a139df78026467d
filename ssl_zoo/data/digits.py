"""scikit-learn's digits: 1,797 real scans of 8x8 pixels, which need no download.

- [0] Optical Recognition of Handwritten Digits, 1998, https://archive.ics.uci.edu/dataset/80
"""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from ssl_zoo.config.schema import DataConfig
from ssl_zoo.data.memory_split import MemorySplit, to_channels
from ssl_zoo.data.split import Data

__all__ = ["digits"]


def digits(config: DataConfig) -> Data:
    """Returns the digits: 1,437 to train on, 360 to test on, stratified and fixed; values 0..16 become 0..255."""
    scans, targets = load_digits(return_X_y=True)  # (1797, 64), (1797,)
    images = torch.from_numpy(np.rint(scans * (255 / 16)).astype(np.uint8)).reshape(-1, 1, 8, 8)
    split = MemorySplit(to_channels(images, config.channels), torch.from_numpy(targets.astype(np.int64)))
    positions = range(len(targets))
    training, testing = train_test_split(positions, test_size=360, stratify=targets, random_state=0)
    train = split.select(training)
    return Data(train, train, split.select(testing), tuple(map(str, range(10))), config.channels)
