"""Each cause on facts made by hand: named where it is, silent where it is not, and gone once its remedy is followed."""

from __future__ import annotations

import math
import shlex
from typing import Any, get_args

import pytest

from ssl_zoo.config.compose import compose
from ssl_zoo.config.schema import RunConfig
from ssl_zoo.monitors.remedy import CAUSES, UNKNOWN, Facts, Remedy, remedy
from ssl_zoo.monitors.remedy.objective import narrow_head
from ssl_zoo.monitors.verdict import VerdictName
from ssl_zoo.training.optim import peak_lr

METHODS = ("byol", "moco", "simclr", "simsiam", "swav")
ALIKE = {"center_ratio": 0.5, "alignment": 0.0}  # metrics of untrained encoder: both views in one place
APART = {"center_ratio": 0.5, "alignment": 0.5}


def peak(config: RunConfig) -> float:
    return peak_lr(config.optimizer, config.batch_size * config.trainer.accumulate)


def facts_of(
    overrides: list[str], verdict: VerdictName = "collapsed", **figures: Any
) -> tuple[RunConfig, Facts]:
    """Returns the configuration and facts of a run on digits, 1,437 images, trained to its end."""
    config = compose(overrides)
    reference = compose([word for word in overrides if word.partition("=")[0] == "method"])
    known: dict[str, Any] = {
        "verdict": verdict, "epochs": config.epochs, "images": 1437, "peak_lr": peak(config),
        "steps": config.epochs * (1437 // (config.batch_size * config.trainer.accumulate)),
        "losses": (1.0, 0.9), "classes": 10, "initial": APART, "pixel_spread": 0.8, "pixel_mean": 0.0,
        "single_pixels": 0.0, "reference": reference, "reference_peak_lr": peak(reference),
    }  # fmt: skip
    return config, Facts(**{**known, **figures})


def asked(overrides: list[str], verdict: VerdictName = "collapsed", **figures: Any) -> Remedy | None:
    return remedy(*facts_of(overrides, verdict, **figures))


COSINE_SIMCLR = ["method=simclr", "method.similarity=cosine", "method.negatives=none"]
UNIGRAD = ("method.predictor.kind=identity", "method.similarity=gradient", "method.negatives=correlation")
PARTS = ("method.similarity=dot", "method.extra_gradient.center=false")
DUMMY = ("method.extra_gradient.of=anchor", "method.extra_gradient.basic=false")
TRIPLET = ["method=simsiam", "method.predictor.kind=identity", "method.extra_gradient.of=negative"]
NEITHER = (*PARTS, "method.extra_gradient.residual=false")
WITHOUT_COPY = ("method.momentum_encoder.enabled=false",)
LINEAR = ("method.predictor.kind=linear",)
DIRECT = ("method.predictor.kind=direct",)
DECORRELATED = "method.decorrelation={weight: 1, alone: true}"
EXPECTATION = ("method.assignment=expectation", "method.expectation_views=2")
BN = ("projector.bn_hidden", "projector.bn_output", "predictor.bn_hidden")
SIMCLR_TINY = ["method=simclr", "augment.size=4", "backbone.stem=standard"]
LN = math.log(100)
FAULTS: list[tuple[str, list[str], dict[str, Any]]] = [
    ("no predictor", ["method=simsiam", "method.predictor.kind=identity"], {}),
    ("no predictor", ["method=byol", "method.predictor.kind=identity"], {}),
    ("no negatives", ["method=simclr", "method.similarity=cosine", "method.negatives=none"], {}),
    ("parts of the gradient left out", ["method=simsiam", *PARTS, "method.extra_gradient.of=predictor"], {}),
    ("parts of the gradient left out", [*TRIPLET, *PARTS], {}),
    ("predictor on the target", ["method=simsiam", "method.predictor.on=target"], {}),
    ("predictor on both sides", ["method=byol", "method.predictor.on=both"], {}),
    ("no predictor", ["method=simsiam", "method.predictor.kind=identity", *EXPECTATION], {}),
    ("symmetric predictor", ["method=simsiam", "method.predictor.symmetric=true"], {}),
    ("symmetric predictor", ["method=byol", *WITHOUT_COPY, *LINEAR, "method.predictor.symmetric=true"], {}),
    ("no negatives", ["method=simsiam", *UNIGRAD, "method.unified.weight=0"], {}),
    ("parts of the gradient left out", ["method=simsiam", *NEITHER, "method.extra_gradient.of=predictor"], {}),
    ("parts of the gradient left out", [*TRIPLET, *NEITHER], {}),
    ("decorrelation alone", ["method=simsiam", "method.predictor.kind=identity", DECORRELATED], {}),
    ("eigenvalues cut off", ["method=byol", *DIRECT, "method.predictor.direct={eps: 0, shift: 0.1}"], {}),
    ("predictor nearly the identity", ["method=simsiam", *DIRECT, "method.predictor.direct.eps=100"], {}),
    ("least-squares predictor", ["method=byol", "method.predictor.kind=optimal"], {}),
    ("dummy term", ["method=simsiam", *PARTS, *DUMMY], {}),
    ("stop-gradient off", [*COSINE_SIMCLR, "method.predictor.kind=mlp"], {}),
    ("no BN in the heads", ["method=simsiam", *(f"method.{key}=false" for key in BN)], {}),
    ("stop-gradient off", ["method=simsiam", "method.stop_gradient=false"], {}),
    ("stop-gradient off", ["method=swav", "method.stop_gradient=false"], {"verdict": "diverged"}),
    ("predictor fixed", ["method=simsiam", "method.predictor.trainable=false"], {}),
    ("predictor fixed", ["method=byol", "method.predictor.lr_multiplier=0"], {}),
    ("projector fixed", ["method=simclr", "method.projector.lr_multiplier=0"], {}),
    ("BN on the predictor's output", ["method=simsiam", "method.predictor.bn_output=true"], {}),
    ("momentum encoder frozen", ["method=byol", "method.momentum_encoder.decay=1"], {}),
    ("momentum encoder frozen", ["method=moco", "method.momentum_encoder.decay=0.99999"], {}),
    ("momentum encoder too fast", ["method=moco", "method.momentum_encoder.decay=0"], {}),
    ("momentum encoder too fast", ["method=moco", "method.momentum_encoder.enabled=false"], {}),
    ("head too narrow", ["method=simclr", "method.projector.output_dim=2"], {}),
    ("head too narrow", ["method=simsiam", "method.projector.hidden_dim=4"], {}),
    ("head too narrow", ["method=byol", "method.predictor.hidden_dim=1"], {"classes": None}),
    ("too few prototypes", ["method=swav", "method.prototypes.number=1"], {}),
    ("no centring", ["method=dino", "method.assignment=identity"], {}),
    ("no sharpening", ["method=dino", "method.sharpening.temperature=0.1"], {"losses": (math.log(256),)}),
    ("no sharpening", ["method=dino", "method.sharpening.temperature=null"], {"verdict": "not learning"}),
    ("no sharpening", ["method=dino", "method.temperature=0.03"], {}),
    ("temperature far off", ["method=simclr", "method.temperature=50"], {}),
    ("temperature far off", ["method=swav", "method.temperature=0.001"], {}),
    ("epsilon too large", ["method=swav", "method.sinkhorn.epsilon=1"], {"losses": (LN, LN)}),
    ("batch too small for the prototypes", ["method=swav", "method.prototypes.number=100"], {"losses": (LN,)}),
    ("uniform codes", ["method=swav", "method.prototypes.number=30"], {"losses": (math.log(30),)}),
    ("too few negatives", ["method=moco", "method.queue.size=1"], {}),
    ("too few negatives", ["method=moco", "method.queue.size=7"], {}),
    ("too few negatives", ["method=mocov3", "batch_size=8"], {}),
    ("queue never filled", ["method=moco", "method.queue.size=1000000"], {}),
    ("queue never filled", ["method=nnclr", "method.queue.size=1000000"], {}),
    ("BN over few images", ["method=simclr", "batch_size=2"], {}),
    ("BN over few images", ["method=moco", "batch_size=8", "trainer.devices=4"], {}),
    ("rate too high", ["method=simsiam", "optimizer.lr=100"], {"verdict": "diverged"}),
    ("rate too high", ["method=simclr", "optimizer.lr_scaling=none", "optimizer.lr=1.6"], {}),
    ("rate too high", ["method=simclr", "optimizer.momentum=0.999"], {}),
    ("rate too high", ["method=simclr", "method.loss_scale=1000"], {}),
    ("rate too high", ["method=simclr", "optimizer.name=adamw", "optimizer.lr=1"], {}),
    ("rate too low", ["method=moco", "optimizer.lr=0.000001"], {}),
    ("warmup too long", ["method=simclr", "optimizer.warmup_epochs=1000"], {}),
    ("gradients clipped away", ["method=simsiam", "optimizer.clip_grad_norm=0.00001"], {}),
    ("weight decay too high", ["method=simclr", "optimizer.weight_decay=1"], {}),
    ("too few epochs", ["method=simclr", "epochs=1"], {"verdict": "not learning"}),
    ("too few steps", ["method=simclr", "batch_size=1437"], {"verdict": "not learning"}),
    ("low precision", ["method=simclr", "precision=bf16"], {"verdict": "diverged", "precision": "bf16"}),
    ("images all alike", ["method=simsiam"], {"pixel_spread": 0.0}),
    ("unreadable images", ["method=simsiam", "data.on_error=skip"], {"unreadable": 0.9}),
    ("images badly normalised", ["method=simsiam", "data.std=[0.001]"], {"pixel_spread": 300.0}),
    ("images badly normalised", ["method=simsiam", "data.mean=[1]", "data.std=[0.02]"], {"pixel_mean": -40.0}),
    ("views identical", ["method=simclr", "augment.crop.scale=[1,1]", "augment.affine.p=0", "augment.jitter.p=0"], {}),
    ("crops too small", ["method=simclr", "augment.crop.scale=[0.01,0.02]"], {}),
    ("views too strong", ["method=simclr", "augment.noise.p=1", "augment.noise.std=1"], {}),
    ("views too strong", ["method=simclr", "augment.cutout.p=1", "augment.cutout.scale=[0.9,1]"], {}),
    ("views too strong", ["method=simclr", "augment.affine.translate=1"], {}),
    ("views too weak", ["method=simclr", "augment.crop.scale=[0.99,1]"], {"initial": ALIKE}),
    ("images too small for the stem", [*SIMCLR_TINY], {"single_pixels": 0.9}),
]  # fmt: skip
RELIEVED = {  # facts once the remedy is followed
    "losses": (1.0,), "precision": "fp32", "pixel_spread": 0.8, "pixel_mean": 0.0, "unreadable": 0.0,
    "initial": APART, "single_pixels": 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "overrides", "figures"), FAULTS, ids=[" ".join([name, *words]) for name, words, _ in FAULTS]
)
def test_a_cause_is_named_and_its_remedy_removes_it(
    name: str, overrides: list[str], figures: dict[str, Any]
) -> None:
    named = asked(overrides, **figures)
    assert named is not None
    assert named.name == name
    assert asked(overrides, **{**figures, "verdict": "healthy"}) is None
    if "data.train=FOLDER" in named.action:
        return
    after = asked([*overrides, *shlex.split(named.action)], **{**figures, **RELIEVED})
    assert after is not None
    assert after.name == UNKNOWN, f"{named.action} leads to: {after.cause}"


@pytest.mark.parametrize("verdict", get_args(VerdictName))
@pytest.mark.parametrize("method", METHODS)
def test_a_recipe_is_never_blamed(method: str, verdict: VerdictName) -> None:
    named = asked([f"method={method}"], verdict)
    assert named is None if verdict == "healthy" else named is not None and named.name == UNKNOWN


@pytest.mark.parametrize(
    "settings",
    [
        ("direct.eps=0", "direct.shift=0.02"),  # Tian et al., Table 7: half of the smallest shift there
        ("direct.shift=0.5",),  # raised by eps=0.1
        ("direct.eps=1",),
        ("direct.eps=100", "direct.power=1"),  # DirectCopy's eigenvalues have the scale of z
    ],
)
def test_a_predictor_whose_spectrum_proves_nothing_is_not_blamed(settings: tuple[str, ...]) -> None:
    named = asked(["method=simsiam", *DIRECT, *(f"method.predictor.{setting}" for setting in settings)])
    assert named is not None
    assert named.name == UNKNOWN


def test_every_cause_is_tested() -> None:
    named = set()
    for _, overrides, figures in FAULTS:
        config, facts = facts_of(overrides, **figures)
        named.add(next(cause for cause in CAUSES if cause(config, facts) is not None))
    assert named == set(CAUSES)


def test_what_the_configuration_proves_comes_before_what_figures_suggest() -> None:
    named = asked(["method=simsiam", "method.predictor.kind=identity", "optimizer.lr=100"])
    assert named is not None
    assert named.name == "no predictor"
    assert "method.predictor.kind=identity" in named.cause


def test_a_cause_is_asked_for_its_verdicts_alone() -> None:
    named = asked(["method=simsiam", "method.predictor.kind=identity"], "diverged")
    assert named is not None
    assert named.name == UNKNOWN
    assert "curves.png" in named.action


def test_without_a_reference_structure_and_proportions_still_speak() -> None:
    nothing = {"reference": None, "reference_peak_lr": None}
    named = asked(["method=byol", "method.predictor.kind=identity"], **nothing)
    assert named is not None
    assert named.name == "no predictor"
    high = asked(["method=simclr", "optimizer.lr=100"], **nothing)
    assert high is not None
    assert high.name == "rate too high"
    unknown = asked(["method=simclr", "optimizer.lr=1"], **nothing)
    assert unknown is not None
    assert unknown.name == UNKNOWN


def test_the_rate_is_that_of_the_linear_rule() -> None:
    alike = asked(["method=simclr", "batch_size=128"])  # twice the rate at twice the batch
    assert alike is not None
    assert alike.name == UNKNOWN
    recipe = compose(["method=simclr"])
    fixed = [
        "method=simclr",
        "batch_size=16",
        "optimizer.lr_scaling=none",
        f"optimizer.lr={4 * peak(recipe)}",
    ]
    named = asked(fixed)
    assert named is not None
    assert named.name == "rate too high"
    lr = 4 * peak(recipe)
    expected = peak(recipe) * 16 / recipe.batch_size
    assert f"{lr / expected:.3g} times" in named.cause
    assert named.action == f"optimizer.lr={expected:.2g}"


@pytest.mark.parametrize("method", METHODS)
def test_papers_heads_are_wide_enough_for_imagenet(method: str) -> None:
    config, facts = facts_of([f"method={method}", "recipe=none"], classes=1000, reference=None)
    assert narrow_head(config, facts) is None


def test_a_run_that_was_ended_early_is_not_called_short() -> None:
    for overrides in (["method=simclr"], ["method=moco", "method.queue.size=100000"]):
        named = asked(overrides, epochs=1, steps=11)
        assert named is not None
        assert named.name == UNKNOWN


def test_a_model_without_a_small_stem_is_given_larger_images() -> None:
    named = asked(SIMCLR_TINY, single_pixels=0.9, small_stem=False)
    assert named is not None
    assert named.action == "augment.size=16"
