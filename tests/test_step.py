"""Four optimizer steps of each method, through the real training module, against the paper's pseudo-code.

Two epochs of two steps, so that what changes with the epoch (SimSiam's rate, SwAV's frozen prototypes) and
with the step (warmup, BYOL's momentum) changes on the way. The references are in float64, ours in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import pytorch_lightning as pl
import torch
from helpers.methods import build, index, make_views
from reference import naive_contrast
from reference import naive_steps as naive
from reference.naive_steps import Step, Weights
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ssl_zoo.config.compose import compose
from ssl_zoo.equation import Siamese
from ssl_zoo.training.module import TrainingModule

IMAGES, STEPS = 8, 4
SETTING = ("epochs=2", f"batch_size={IMAGES}")
HALF = (1 + math.cos(math.pi / 2)) / 2  # cosine by epoch: the second of two
BY_EPOCH = (1.0, 1.0, HALF, HALF)
COSINE = tuple((1 + math.cos(math.pi * done / 3)) / 2 for done in range(3))  # by step, after one of warmup

# Our modules by the names of the reference, whose batch norms have gamma and beta.
BACKBONE = {"encoder.backbone.linear": "backbone"}
NAMES = {
    "simsiam": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.1": "bn1",
        "encoder.projector.layers.3": "projector2",
        "encoder.projector.layers.4": "bn2",
        "encoder.projector.layers.6": "projector3",
        "encoder.projector.layers.7": "bn3",
        "predictor.layers.0": "predictor1",
        "predictor.layers.1": "predictor_bn",
        "predictor.layers.3": "predictor2",
    },
    "mocov3": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.1": "bn1",
        "encoder.projector.layers.3": "projector2",
        "predictor.layers.0": "predictor1",
        "predictor.layers.1": "predictor_bn",
        "predictor.layers.3": "predictor2",
    },
    "byol": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.1": "projector_bn",
        "encoder.projector.layers.3": "projector2",
        "predictor.layers.0": "predictor1",
        "predictor.layers.1": "predictor_bn",
        "predictor.layers.3": "predictor2",
    },
    "simclr": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.1": "bn1",
        "encoder.projector.layers.3": "projector2",
        "encoder.projector.layers.4": "bn2",
    },
    "moco": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.2": "projector2",
    },
    "swav": BACKBONE
    | {
        "encoder.projector.layers.0": "projector1",
        "encoder.projector.layers.1": "bn1",
        "encoder.projector.layers.3": "projector2",
        "prototypes": "prototypes",
    },
}

NAMES["nnclr"] = NAMES["simsiam"]


class Before(NamedTuple):
    """What a step starts from, and its number."""

    weights: Weights
    buffers: Weights
    target: Weights
    queue: Tensor
    pointer: int
    step: int


Reference = Callable[[Before, list[Tensor]], Step]


class Case(NamedTuple):
    """A method, what is set besides its paper's settings, and its step with the same settings by hand."""

    method: str
    overrides: tuple[str, ...]
    reference: Reference
    views: int = 2
    constant: float = 0.0  # what the paper's loss has more than ours


def lr(base: float, factors: tuple[float, ...], step: int) -> float:
    return base * IMAGES / 256 * factors[step]


WARM = (0.0, *COSINE)
WARM_SWAV = (0.0625, *[0.001 + 0.999 * share for share in COSINE])
LARS = ("optimizer.warmup_epochs=0.5",)  # one step
JOINT = ("method.joint_batch=true",)
DECAY = ("optimizer.weight_decay=0.1",)  # against 1e-6, which no test would notice


def simclr(joint: bool, summed: bool = False) -> Reference:
    return lambda at, views: naive.simclr_step(
        at.weights, at.buffers, views, lr(20, WARM, at.step), 0.1, joint_statistics=joint, weight_decay=0.1,
        summed=summed,
    )  # fmt: skip


def swav(weight_decay: float, frozen_steps: int, joint: bool = True) -> Reference:
    return lambda at, views: naive.swav_step(
        at.weights, at.buffers, views, lr(200, WARM_SWAV, at.step), 0.1, 0.05, 3,
        freeze_prototypes=at.step < frozen_steps, joint_statistics=joint, weight_decay=weight_decay,
    )  # fmt: skip


def mocov3(base: float, temperature: float) -> Reference:
    return lambda at, views: naive_contrast.mocov3_step(
        at.weights, at.target, at.buffers, views, lr(base, WARM, at.step), temperature, at.step, STEPS, m_base=0.99,
        weight_decay=0.1,
    )  # fmt: skip


CASES = {
    "simsiam": Case(
        "simsiam",
        ("optimizer.lr=10", "optimizer.weight_decay=0.01"),
        lambda at, views: naive.simsiam_step(
            at.weights, at.buffers, views, lr(10, BY_EPOCH, at.step), lr(10, (1,) * STEPS, at.step),
            weight_decay=0.01,
        ),
    ),
    "byol": Case(
        "byol",
        # A wider predictor: it has no bias, and of 6 units all may be off, which leaves no direction.
        ("optimizer.lr=200", "method.predictor.hidden_dim=12", *LARS, *DECAY),
        lambda at, views: naive.byol_step(
            at.weights, at.target, at.buffers, views, lr(200, WARM, at.step), at.step, STEPS, tau_base=0.99,
            weight_decay=0.1,
        ),
        constant=4.0,  # the grid has - cos for 2 - 2 cos
    ),
    "simclr": Case("simclr", ("optimizer.lr=20", *JOINT, *LARS, *DECAY), simclr(joint=True)),
    "simclr, each view by itself": Case(
        "simclr", ("optimizer.lr=20", *LARS, *DECAY), simclr(joint=False)
    ),
    "simclr, the official code's sum": Case(
        "simclr", ("optimizer.lr=20", "method.loss_scale=2", *JOINT, *LARS, *DECAY), simclr(True, summed=True)
    ),
    "moco": Case(
        "moco",
        ("optimizer.lr=5", "optimizer.weight_decay=0.01"),
        lambda at, views: naive.moco_step(
            at.weights, at.target, at.buffers, at.queue, at.pointer, views, lr(5, BY_EPOCH, at.step), 0.2,
            m=0.999, weight_decay=0.01,
        ),
    ),
    # Wider predictors, as of BYOL.
    "mocov3": Case("mocov3", ("optimizer.lr=200", "method.predictor.hidden_dim=12", *LARS, *DECAY), mocov3(200, 1.0)),
    "mocov3, at its transformers' temperature": Case(
        "mocov3",
        (
            "optimizer.lr=50", "method.predictor.hidden_dim=12", "method.temperature=0.2", "method.loss_scale=0.8",
            *LARS, *DECAY,
        ),
        mocov3(50, 0.2),
    ),
    "nnclr": Case(
        "nnclr",
        ("optimizer.lr=200", "method.predictor.hidden_dim=12", *LARS, *DECAY),
        lambda at, views: naive_contrast.nnclr_step(
            at.weights, at.buffers, at.queue, at.pointer, views, lr(200, WARM, at.step), 0.1, weight_decay=0.1,
        ),
    ),
    # Ours decays frozen prototypes, whose length is put back, and SwAV's code does not: 1e-6 hides that.
    "swav, frozen for an epoch, and a crop that is no target": Case(
        "swav", ("optimizer.lr=200", *JOINT, *LARS), swav(1e-6, frozen_steps=2), views=3
    ),
    "swav, never frozen": Case(
        "swav", ("optimizer.lr=200", "method.prototypes.frozen_epochs=0", *JOINT, *LARS, *DECAY), swav(0.1, 0)
    ),
    "swav, each view by itself": Case(
        "swav",
        ("optimizer.lr=200", "method.prototypes.frozen_epochs=0", *LARS, *DECAY),
        swav(0.1, 0, joint=False),
    ),
}  # fmt: skip


def named(method: Siamese, name: str) -> dict[str, nn.Parameter]:
    """The trained parameters by the names of the reference; one that it lacks fails."""
    found = {}
    for path, parameter in method.named_parameters():
        if not parameter.requires_grad:
            continue
        module, kind = path.rsplit(".", 1)
        name_there = NAMES[name][module]
        if "bn" in name_there:
            kind = {"weight": "gamma", "bias": "beta"}[kind]
        found[name_there if name_there == "prototypes" else f"{name_there}.{kind}"] = parameter
    return found


def target_weights(method: Siamese, name: str) -> dict[str, Tensor]:
    """The momentum encoder's parameters by the names of their twins; empty where there is none."""
    target = getattr(method, "target_encoder", None)
    if target is None:
        return {}
    twins = {id(parameter): key for key, parameter in named(method, name).items()}
    pairs = zip(method.encoder.named_parameters(), target.named_parameters(), strict=True)
    return {twins[id(online)]: xi for (a, online), (b, xi) in pairs if a == b}


def queue(method: Siamese) -> tuple[Tensor, int]:
    """Its vectors (K, D), copied, and the row that is replaced next; empty where there is none."""
    parts = {**method.negatives.state_dict(), **method.assign.state_dict()}
    state = {path.rsplit(".", 1)[-1]: value for path, value in parts.items()}
    return state.get("vectors", torch.empty(0)).double().clone(), int(state.get("pointer", 0))


def exact(tensors: Any) -> Weights:
    return {key: tensor.detach().double().clone() for key, tensor in tensors.items()}


def assert_same(ours: Any, expected: Any, what: str) -> None:
    """To 1e-5 of 1, or of the tensor's largest entry: float32 rounds by the terms of a sum, not by the sum."""
    if isinstance(expected, dict):
        assert ours.keys() == expected.keys(), what
        for key, value in expected.items():
            assert_same(ours[key], value, f"{what}, {key}")
    elif isinstance(expected, int):
        assert ours == expected, what
    else:
        scale = max(1.0, float(expected.abs().amax())) if expected.numel() else 1.0
        close = torch.testing.assert_close
        close(ours, expected.double(), rtol=0, atol=1e-5 * scale, msg=lambda text: f"{what}: {text}")


class Watch(pl.Callback):
    """Copies what a step did. Lightning calls it before the module drops gradients, and after the step."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gradients: list[Weights] = []
        self.steps: list[Step] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, module: Any, optimizer: Any) -> None:
        parameters = named(module.method, self.name)
        self.gradients.append(exact({key: parameter.grad for key, parameter in parameters.items()}))

    def on_train_batch_end(self, trainer: pl.Trainer, module: Any, *_: Any) -> None:
        parameters = named(module.method, self.name)
        state = module.optimizers().optimizer.state
        buffers = {key: state[parameter]["momentum_buffer"] for key, parameter in parameters.items()}
        vectors, pointer = queue(module.method)
        self.steps.append(
            Step(
                module.losses[-1].double(),
                self.gradients[-1],
                exact(parameters),
                exact(buffers),
                exact(target_weights(module.method, self.name)),
                vectors,
                pointer,
            )
        )


def train(case: Case, method: Siamese, batches: list[list[Tensor]]) -> list[Step]:
    """Ours: Lightning's loop and the real training module, with these views in place of augmented images."""
    config = compose([f"method={case.method}", "data=cifar10", "recipe=null", *SETTING, *case.overrides])
    coming = iter(batches)
    module = TrainingModule(config, method, lambda *_, **__: next(coming), images=2 * IMAGES, batches=2)
    watch = Watch(case.method)
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=config.epochs,
        callbacks=[watch],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    loader: Any = DataLoader([(torch.empty(IMAGES), index(IMAGES))] * 2, batch_size=None)
    trainer.fit(module, loader)
    return watch.steps


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # Lightning, of torch
@pytest.mark.filterwarnings("ignore:.*num_workers")
def test_steps_are_the_papers(case: Case) -> None:
    prototypes = ("method.prototypes.number=5",) if case.method == "swav" else ()
    method = build(case.method, *SETTING, *prototypes, *case.overrides)
    with torch.no_grad():
        # Batch norm takes this bias off again: its gradient is rounding, which LARS would scale up to full
        # size, were it not for the rule that a zero weight is not adapted.
        method.encoder.backbone.linear.bias.zero_()
        for xi in target_weights(method, case.method).values():
            xi.add_(0.3 * torch.randn_like(xi))  # at the start both encoders are one, and a mix-up unseen
    vectors, pointer = queue(method)
    weights = exact(named(method, case.method))
    at = Before(
        weights,
        {key: torch.zeros_like(w) for key, w in weights.items()},
        exact(target_weights(method, case.method)),
        vectors,
        pointer,
        step=0,
    )
    batches = [make_views(case.views, IMAGES, seed=10 + step) for step in range(STEPS)]
    ours = train(case, method, batches)
    assert len(ours) == STEPS
    for step, got in enumerate(ours):
        expected = case.reference(at, [view.double() for view in batches[step]])
        expected = expected._replace(loss=expected.loss - case.constant)
        for field, value in expected._asdict().items():
            assert_same(getattr(got, field), value, f"{field} of step {step}")
        at = Before(
            expected.weights, expected.buffers, expected.target, expected.queue, expected.pointer, step + 1
        )
    for key, gradient in expected.gradients.items():
        moved = (expected.weights[key] - weights[key]).abs().max()
        assert moved > 1e-4 or gradient.abs().max() < 1e-9, f"{key} hardly moved: {moved}"
