"""Faults that `planted_faults` plants in runs on digits, and settings of healthy runs; in OUT are its images."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FAULTS", "HEALTHY", "HELD_OUT", "Fault"]


class Fault(NamedTuple):
    """A fault that is planted, and the cause that ought to be named."""

    cause: str
    overrides: str
    group: str = "faults"


FAULTS = (
    Fault("no predictor", "method=simsiam method.predictor.kind=identity"),
    Fault("stop-gradient off", "method=simsiam method.stop_gradient=false"),
    Fault("predictor fixed", "method=simsiam method.predictor.trainable=false"),
    Fault("rate too high", "method=simsiam optimizer.lr=160"),
    Fault("weight decay too high", "method=simsiam optimizer.weight_decay=0.5"),
    Fault("BN over few images", "method=simsiam batch_size=2 data.limit=200"),
    Fault("head too narrow", "method=simsiam method.projector.output_dim=1"),
    Fault("no predictor", "method=byol method.predictor.kind=identity method.momentum_encoder.enabled=false"),
    Fault("rate too high", "method=byol optimizer.lr=100"),
    Fault("crops too small", "method=byol 'augment.crop.scale=[0.01,0.02]'"),
    Fault("views too strong", "method=byol augment.affine.translate=1"),
    Fault("views identical", "method=simclr 'augment.crop.scale=[1,1]' augment.affine.p=0 augment.jitter.p=0"),
    Fault("rate too low", "method=simclr optimizer.lr=0.000001"),
    Fault("no negatives", "method=simclr method.similarity=cosine method.negatives=none"),
    Fault("too few steps", "method=simclr batch_size=1437 epochs=2"),
    Fault("momentum encoder too fast", "method=moco method.momentum_encoder.decay=0"),
    Fault("temperature far off", "method=moco method.temperature=0.001"),
    Fault("rate too high", "method=moco optimizer.lr=50"),
    Fault("queue never filled", "method=moco method.queue.size=100000"),
    Fault("epsilon too large", "method=swav method.sinkhorn.epsilon=1"),
    Fault("stop-gradient off", "method=swav method.stop_gradient=false"),
    Fault("too few prototypes", "method=swav method.prototypes.number=1"),
    Fault("rate too high", "method=swav optimizer.lr=100"),
    Fault("warmup too long", "method=swav optimizer.warmup_epochs=10000"),
    Fault("images all alike", "method=swav data=imagefolder data.train=OUT/gray data.channels=1 data.holdout=0.2 "
          "backbone.name=test_resnet batch_size=64 epochs=5 method.prototypes.number=30 "
          "method.projector.hidden_dim=64 method.projector.output_dim=32 optimizer.warmup_epochs=0"),
    # Variants of the theory papers. A symmetric predictor is not among them: digits are learned in spite of it.
    Fault("predictor on both sides", "method=simsiam method.predictor.on=both"),
    Fault("predictor on the target", "method=simsiam method.predictor.on=target"),
    Fault("no predictor", "method=simsiam method.predictor.kind=identity method.assignment=expectation "
          "method.expectation_views=2"),
    Fault("parts of the gradient left out", "method=simsiam method.similarity=dot method.extra_gradient.of=predictor "
          "method.extra_gradient.center=false method.extra_gradient.residual=false"),
    Fault("parts of the gradient left out", "method=simsiam method.predictor.kind=identity method.similarity=dot "
          "method.extra_gradient.of=negative method.extra_gradient.center=false"),
    Fault("dummy term", "method=simsiam method.predictor.kind=identity method.similarity=dot "
          "method.extra_gradient.of=anchor method.extra_gradient.basic=false method.extra_gradient.residual=false"),
    Fault("no negatives", "method=simsiam method.predictor.kind=identity method.similarity=gradient "
          "method.negatives=correlation method.unified.weight=0"),
    Fault("no centring", "method=dino method.assignment=identity"),
    Fault("no sharpening", "method=dino method.sharpening.temperature=0.1"),
    Fault("decorrelation alone", "method=simsiam method.predictor.kind=identity method.decorrelation.weight=1 "
          "method.decorrelation.standardized=true method.decorrelation.alone=true"),
    Fault("eigenvalues cut off", "method=simsiam method.predictor.kind=direct method.predictor.direct.eps=0 "
          "method.predictor.direct.shift=0.5"),
    Fault("predictor nearly the identity", "method=simsiam method.predictor.kind=direct "
          "method.predictor.direct.eps=100"),
    Fault("least-squares predictor", "method=simsiam method.predictor.kind=optimal"),
    # Digits were learned in spite of these while the causes were written.
    Fault("no predictor", "method=byol method.predictor.kind=identity"),
    Fault("momentum encoder frozen", "method=byol method.momentum_encoder.decay=1"),
    Fault("rate too high", "method=byol optimizer.momentum=0.999"),
    Fault("views too strong", "method=byol augment.noise.p=1 augment.noise.std=1"),
    Fault("temperature far off", "method=simclr method.temperature=100"),
    Fault("temperature far off", "method=simclr method.temperature=0.001"),
    Fault("too few steps", "method=simclr batch_size=1437"),
    Fault("images too small for the stem", "method=simclr augment.size=4 backbone.stem=standard"),
    Fault("images too small for the stem", "method=simclr augment.size=2 backbone.stem=standard"),
    Fault("momentum encoder frozen", "method=moco method.momentum_encoder.decay=1"),
    Fault("too few negatives", "method=moco method.queue.size=1"),
    Fault("too few epochs", "method=simsiam epochs=1"),
)  # fmt: skip
HELD_OUT = (  # written down before any of them was run
    Fault("stop-gradient off", "method=byol method.momentum_encoder.enabled=false method.stop_gradient=false",
          "held-out"),
    Fault("predictor fixed", "method=byol method.predictor.lr_multiplier=0", "held-out"),
    Fault("views too strong", "method=simsiam augment.cutout.p=1 'augment.cutout.scale=[0.9,1]'", "held-out"),
    Fault("images badly normalised", "method=simsiam 'data.std=[1000]'", "held-out"),
    Fault("BN over few images", "method=byol batch_size=2 data.limit=200", "held-out"),
    Fault("weight decay too high", "method=simclr optimizer.weight_decay=1", "held-out"),
    Fault("head too narrow", "method=simclr method.projector.hidden_dim=1", "held-out"),
    Fault("gradients clipped away", "method=simclr optimizer.clip_grad_norm=0.000001", "held-out"),
    Fault("head too narrow", "method=moco method.projector.output_dim=2", "held-out"),
    Fault("rate too low", "method=moco optimizer.lr=0.0000001", "held-out"),
    Fault("crops too small", "method=moco 'augment.crop.scale=[0.01,0.02]'", "held-out"),
    Fault("temperature far off", "method=swav method.temperature=50", "held-out"),
    Fault("too few epochs", "method=swav epochs=1", "held-out"),
    Fault("epsilon too large", "method=swav method.sinkhorn.epsilon=0.5", "held-out"),
)  # fmt: skip
METHODS = ("byol", "moco", "simclr", "simsiam", "swav")
SETTINGS = ("seed=0", "seed=1", "seed=2 'augment.crop.scale=[0.5,1]'", "seed=3 data.holdout=0.2")
HEALTHY = tuple(
    Fault("healthy", f"method={method} {setting}", "healthy") for method in METHODS for setting in SETTINGS
)
