"""Two gloo processes train on halves of a batch; test_distributed.py compares them with one process on all of it.

    cd tests && python -m helpers.two_processes OUT

starts them. Each takes three optimizer steps of each case with and without a partner, and writes what it found.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from helpers.methods import Flat, build, build_joint_embedding, build_supervised, composed, make_views
from ssl_zoo.config.schema import CRITERIA, ProjectorConfig
from ssl_zoo.distributed import gather
from ssl_zoo.equation import Siamese
from ssl_zoo.method import Method
from ssl_zoo.metrics import Embeddings
from ssl_zoo.parts.batchnorm import synchronize
from ssl_zoo.standalone.measure import Losses, measure
from ssl_zoo.testing.train_steps import Batch, state_of, train_steps

IMAGES = 8
EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "ssl-zoo-example"
SWAV = "method.prototypes.number=5"
CASES: dict[str, tuple[str, ...]] = {
    "simsiam": ("simsiam",),
    "simsiam, no stop-gradient": ("simsiam", "method.stop_gradient=false"),
    "simsiam, two pairs": ("simsiam", "method.symmetric=false", "method.pairs_per_image=2"),
    "simsiam, alternation": ("simsiam", "method.alternation_steps=2"),
    "simsiam, moving average": (
        "simsiam", "method.predictor.kind=identity", "method.assignment=moving_average",
    ),
    "simsiam, centre of the extra gradient": (
        "simsiam", "method.similarity=dot", "method.extra_gradient.of=predictor",
        "method.extra_gradient.residual=false",
    ),
    "triplet, residual of the negatives": (
        "simsiam", "method.predictor.kind=identity", "method.similarity=dot", "method.extra_gradient.of=negative",
        "method.extra_gradient.center=false",
    ),
    "simsiam, mirror": ("simsiam", "method.predictor.on=target"),
    "simsiam, predictor on both sides": ("simsiam", "method.predictor.on=both"),
    "simsiam, inverse predictor": ("simsiam", "method.predictor.on=both", "method.predictor.inverse=true"),
    "simsiam, decorrelation": ("simsiam", "method.decorrelation.weight=0.5"),
    "standardized decorrelation alone": (
        "simsiam", "method.predictor.kind=identity",
        "method.decorrelation={weight: 1, standardized: true, alone: true}",
    ),
    "simsiam, expectation": (
        "simsiam", "method.predictor.kind=identity", "method.assignment=expectation", "method.expectation_views=3",
    ),
    "byol": ("byol",),
    "byol, DirectPred every 2 steps": (
        "byol", "method.predictor.kind=direct", "method.predictor.direct.every=2", "method.predictor.direct.eps=0.5",
    ),
    "byol, optimal predictor": ("byol", "method.predictor.kind=optimal", "method.predictor.optimal.ridge=0.1"),
    "simsiam, symmetric predictor": ("simsiam", "method.predictor.symmetric=true"),
    "byol, UniGrad": (
        "byol", "method.predictor.kind=identity", "method.similarity=gradient", "method.negatives=correlation",
    ),
    "simclr": ("simclr",),
    "simclr, joint": ("simclr", "method.joint_batch=true"),
    "simclr, predictor and stop-gradient": (
        "simclr", "method.predictor.kind=mlp", "method.stop_gradient=true",
    ),
    "simclr, momentum encoder": (
        "simclr", "method.stop_gradient=true", "method.momentum_encoder.enabled=true",
    ),
    "moco": ("moco", "method.batch_norm=sync"),
    "moco, symmetric": ("moco", "method.symmetric=true"),
    "moco, shuffled, with BN": ("moco", "method.projector.bn_hidden=true", "method.batch_norm=sync"),
    "moco, memory bank": (
        "moco", "method.negatives=memory_bank", "method.assignment=memory", "method.momentum_encoder.enabled=false",
        "method.memory.negatives=9",
    ),
    "mocov3": ("mocov3", "method.loss_scale=1"),
    "nnclr": ("nnclr",),
    "nnclr, the batch's keys": ("nnclr", "method.negatives=keys", "method.temperature=1"),
    "swav": ("swav", SWAV, "method.prototypes.frozen_epochs=0"),
    "swav, no stop-gradient": ("swav", SWAV, "method.prototypes.frozen_epochs=0", "method.stop_gradient=false"),
    "swav, queue": ("swav", SWAV, "method.prototypes.frozen_epochs=0", "method.sinkhorn.queue_size=12"),
    "dino": ("dino", SWAV, "method.prototypes.frozen_epochs=0"),
    "dino, shared prototypes, Sinkhorn": (
        "dino", SWAV, "method.prototypes.frozen_epochs=0", "method.momentum_encoder.prototypes=false",
        "method.assignment=sinkhorn", "method.sharpening.temperature=null",
    ),
    "ressl": ("ressl", "method.batch_norm=sync"),
    "barlow twins, the example plugin": ("barlowtwins",),
    "supervised": ("supervised",),
    **{f"lightly's {name}": ("joint_embedding", f"method.criterion.name={name}") for name in CRITERIA},
}  # fmt: skip


def train(overrides: tuple[str, ...], rank: int, world: int) -> dict[str, Any]:
    """Losses, gradients and state after three steps on this process's part of each batch."""
    method = OFF_GRID[overrides[0]](*overrides[1:]) if overrides[0] in OFF_GRID else build(*overrides)
    method.allocate(20)
    if method.needs_labels:
        method.take_labels(torch.arange(20) % 3, 3)
    if world > 1:
        synchronize(method, torch.device("cpu"))
    pairs, further = (
        (method.config.pairs_per_image, method.config.expectation_views)
        if isinstance(method, Siamese)
        else (1, 0)
    )
    orders = [torch.randperm(20, generator=torch.Generator().manual_seed(step)) for step in range(3)]
    batches = [
        Batch(make_views(2 * pairs + further, IMAGES, seed=step), order[:IMAGES])
        for step, order in enumerate(orders)
    ]
    return train_steps(method, batches, lr=0.1, part=(rank, world))._asdict()


def barlow_twins() -> Method:
    """The example plugin on the tests' backbone, with BN in its projector as its YAML has it."""
    sys.path.insert(0, str(EXAMPLE))
    from ssl_zoo_example.barlowtwins import BarlowTwins, BarlowTwinsConfig

    projector = ProjectorConfig(layers=3, hidden_dim=16, output_dim=8, bias_output=False)
    torch.manual_seed(0)
    return BarlowTwins(BarlowTwinsConfig(name="barlowtwins", projector=projector), Flat(), 12)


OFF_GRID: dict[str, Callable[..., Method]] = {
    "barlowtwins": barlow_twins,
    "joint_embedding": build_joint_embedding,
    "supervised": build_supervised,
}


def shuffled_keys(rank: int, shuffle: bool) -> dict[str, torch.Tensor]:
    """The keys of MoCo with BN of each process, of all images, and the weights that made them."""
    overrides = ("method.projector.bn_hidden=true", f"method.momentum_encoder.shuffle_bn={shuffle}")
    method, view = build("moco", *overrides), make_views(1, IMAGES)[0]
    weights = state_of(method)
    torch.manual_seed(7)
    half = slice(rank * IMAGES // 2, (rank + 1) * IMAGES // 2)
    return {"keys": gather(method._encode_target(view[half])), **weights}


def coupled(rank: int) -> dict[str, torch.Tensor]:
    """A loss over all of a float64 batch, from gathered tensors, and the gradient of a weight as DDP averages it."""
    views, weight = coupled_batch()
    half = slice(rank * IMAGES // 2, (rank + 1) * IMAGES // 2)
    z1, z2 = (gather(view[half] @ weight) for view in views)  # (IMAGES, 3)
    z1, z2 = ((z - z.mean(0)) / z.std(0, correction=0) for z in (z1, z2))
    c = z1.T @ z2 / IMAGES
    loss = (c - torch.eye(3, dtype=torch.float64)).square().sum()
    loss.backward()
    assert weight.grad is not None
    return {"loss": loss.detach(), "gradient": gather(weight.grad[None]).mean(dim=0)}


def coupled_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two views (2, IMAGES, 4) and a weight (4, 3), in float64."""
    generator = torch.Generator().manual_seed(3)
    views = torch.randn(2, IMAGES, 4, generator=generator, dtype=torch.float64)
    weight = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    return views, weight.requires_grad_()


class Seen:
    """What a monitor's watch has seen in one process: embeddings that differ between the processes."""

    def __init__(self, rank: int) -> None:
        generator = torch.Generator().manual_seed(rank)
        self.views = torch.randn(2, IMAGES * (1 + rank), 4, generator=generator)

    def groups(self) -> list[list[Embeddings]]:
        return [[Embeddings(view) for view in self.views]]


def monitored(rank: int) -> dict[str, Any]:
    """The monitor's figures of this process's embeddings, as a mean over the processes."""
    losses = Losses()
    losses.add(torch.tensor(float(rank)))
    measured = measure(Seen(rank), losses, torch.nn.Linear(2, 2))
    assert measured is not None
    return {"metrics": measured.metrics, "loss": measured.loss, "images": measured.images}


def work(rank: int, out: str) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    alone = {name: train(overrides, 0, 1) for name, overrides in CASES.items()} if rank == 0 else {}
    store = f"file://{out}/store"
    dist.init_process_group(
        "gloo", init_method=store, rank=rank, world_size=2, timeout=datetime.timedelta(seconds=600)
    )
    both = {name: train(overrides, rank, 2) for name, overrides in CASES.items()}
    keys = [shuffled_keys(rank, shuffle) for shuffle in (False, True)]
    found = {
        "alone": alone,
        "both": both,
        "keys": keys,
        "coupled": coupled(rank),
        "monitored": monitored(rank),
    }
    torch.save(found, Path(out) / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    for overrides in CASES.values():
        if overrides[0] not in OFF_GRID:
            composed(*overrides)
    # Nothing is computed before: forks have imported and composed everything already.
    start = "fork" if "fork" in mp.get_all_start_methods() else "spawn"
    mp.start_processes(work, args=(sys.argv[1],), nprocs=2, start_method=start)  # type: ignore[attr-defined]
