"""The data room: where images come from, what is held out, and the order in which they are trained on.

    load_data(config) -> Data(train, labelled, test): each a Split, in memory or as files
    split.train_loader(...) -> Batch(images, index), uint8      split.plain_batches(...) -> uint8 images

Everything is uint8 until it reaches the device; the augmentation is not here but for the random resized
crop of files, whose images have no common size to batch them by.
"""

from ssl_zoo.data.file_split import FileSplit
from ssl_zoo.data.load import load_data
from ssl_zoo.data.memory_split import MemorySplit
from ssl_zoo.data.reader_split import ReaderSplit
from ssl_zoo.data.skipping_split import SkippingSplit, skipping
from ssl_zoo.data.split import Data, Split
from ssl_zoo.data.train_loader import Batch, TrainLoader

__all__ = [
    "Batch",
    "Data",
    "FileSplit",
    "MemorySplit",
    "ReaderSplit",
    "SkippingSplit",
    "Split",
    "TrainLoader",
    "load_data",
    "skipping",
]
