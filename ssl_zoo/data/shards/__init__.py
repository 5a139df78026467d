"""Shards: tar files of many images, named by a pattern, on disk or elsewhere, read image by image in any order.

    patterns.list_shards    which there are, with sizes and times of change
    tables.open_index       where each image begins: a ShardIndex, mapped into memory, kept on disk
    spool.Spool             copies of what is elsewhere or compressed, of bounded size
    split.ShardSplit        a `ReaderSplit`; its order is that of `data/order.py`

Images are at known places in their shards, so that an epoch is a permutation like any other: no image comes twice,
however many processes and workers there are, and a resumed run goes on in the middle of an epoch to the bit. Libraries
that read shards as streams (webdataset, torchdata) can promise neither.
"""
