"""Runs small enough for a test: a tiny backbone, 160 digits, two epochs of five steps."""

from __future__ import annotations

from ssl_zoo.config.registries import METHODS
from ssl_zoo.equation import Siamese

# To register a method is to have it tested; one off the grid brings tests of its own.
SIAMESE_METHODS = [name for name in METHODS.names() if issubclass(METHODS.get(name).load(), Siamese)]

TINY = (
    "data=digits",
    "data.limit=160",
    "backbone.name=test_resnet",
    "augment.size=8",
    "epochs=2",
    "batch_size=32",
    "precision=fp32",
    "method.projector.hidden_dim=32",
    "method.projector.output_dim=16",
    "monitor.every_epochs=1",
    "monitor.knn.k=5",
    "monitor.probe.draws=2",
    "trainer.progress=false",
    "trainer.memory_check=false",
    "trainer.checkpoint_every_epochs=1",
)
SIAMESE = (*TINY, "method.predictor.hidden_dim=16", "method.queue.size=64", "optimizer.warmup_epochs=0")


def overrides(method: str = "simsiam", *more: str) -> list[str]:
    prototypes = ("method.prototypes.number=12",) if method in ("swav", "dino") else ()
    return [f"method={method}", *SIAMESE, *prototypes, *more]
