"""Lightning takes the loader as it is, moves its batches, and resumes in the middle of an epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from ssl_zoo.config.schema import CropConfig, ViewConfig
from ssl_zoo.data import Batch, MemorySplit, load_data

# From Python 3.12 on; the worker processes start no threads.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

VIEWS = [ViewConfig(size=8), ViewConfig(size=8, crop=CropConfig(scale=(0.5, 1.0)))]


class Recorder(pl.LightningModule):
    """Keeps what it was given; one weight, so that there is something to optimise."""

    def __init__(self, folder: Any) -> None:
        super().__init__()
        self.folder = folder
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[Any] = []

    def training_step(self, batch: Any, _: Any) -> Any:
        assert isinstance(batch, Batch)
        images = batch.images if isinstance(batch.images, tuple) else (batch.images,)
        self.seen.append((self.current_epoch, batch.index.tolist(), [int(view.sum()) for view in images]))
        return self.weight.sum()

    def on_train_batch_end(self, *_: Any) -> None:
        if self.folder is not None:
            self.trainer.save_checkpoint(self.folder / f"{self.global_step}.ckpt")

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def _fit(split: Any, save: Any = None, resume: Any = None) -> Any:
    module = Recorder(save)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=3,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, split.train_loader(4, VIEWS, seed=1), ckpt_path=resume)
    return module.seen


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["memory", "files"])
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning, of torch
def test_a_resumed_run_sees_the_batches_that_it_would_have_seen(
    storage: str, tmp_path: Path, tree: Any, folder_config: Any
) -> None:
    if storage == "memory":
        split: Any = MemorySplit(torch.arange(13, dtype=torch.uint8).reshape(13, 1, 1, 1).expand(-1, 1, 8, 8))
    else:
        split = load_data(folder_config(tree(cat=7, dog=6), cache_mb=0.0, workers=1)).train
    whole = _fit(split, save=tmp_path)
    assert [epoch for epoch, _, _ in whole] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    for step in (2, 3, 5):
        assert _fit(split, resume=tmp_path / f"{step}.ckpt") == whole[step:]
