"""The papers' settings and results, one entry per experiment, typed from the papers and the official code.

Keys are those of the configuration, and `test_experiments.setting` explains the rest: rates at the batch size
(`first` of the warmup, `peak`, `last`), and lists with an entry per view.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566; [1] BYOL, 2020, https://arxiv.org/abs/2006.07733;
  [2] SimCLR, 2020, https://arxiv.org/abs/2002.05709; [3] MoCo v2, 2020, https://arxiv.org/abs/2003.04297;
  [4] SwAV, 2020, https://arxiv.org/abs/2006.09882; [5] DINO, 2021, https://arxiv.org/abs/2104.14294
- [6] solo-learn, https://github.com/vturrisi/solo-learn (scripts/pretrain/cifar, solo/utils/lars.py)
"""

from __future__ import annotations

from typing import Any

__all__ = ["HEADERS", "TABLE"]

IMAGENET = {
    "backbone.name": "resnet50", "backbone.stem": "standard", "backbone.pretrained": False,
    "data.name": "imagenet", "data.source": "imagefolder", "data.mean": [0.485, 0.456, 0.406],
    "sizes": [224, 224], "augment.crop.ratio": [3 / 4, 4 / 3], "augment.flip": 0.5, "augment.grayscale": 0.2,
    "augment.blur.sigma": [0.1, 2.0], "solarize": [0, 0], "optimizer.momentum": 0.9, "optimizer.schedule": "cosine",
    "augment.affine.p": 0, "recipe": None, "operations": {"torchvision"}, "padding": {"reflect"},
}  # fmt: skip
# Colours as torchvision's ColorJitter takes them: brightness, contrast, saturation, hue; with probability 0.8.
MILD, STRONG = [0.4, 0.4, 0.4, 0.1], [0.8, 0.8, 0.8, 0.2]
SIMSIAM = IMAGENET | {
    "method.name": "simsiam", "batch_size": 256, "epochs": 100, "peak": 0.05, "optimizer.name": "sgd",
    "optimizer.weight_decay": 1e-4, "optimizer.exclude_norm_and_bias": False, "optimizer.schedule_interval": "epoch",
    "optimizer.warmup_epochs": 10, "optimizer.warmup_from_batch": 1024, "optimizer.warmup_lr_fraction": 0.1,
    "optimizer.final_lr_fraction": 0,
    "head": [3, 2048, 2048], "method.projector.bn_hidden": True, "method.projector.bn_output": True,
    "method.projector.bn_output_affine": True, "method.predictor.kind": "mlp", "method.predictor.hidden_dim": None,
    "method.predictor.lr": "constant", "method.predictor.bn_output": False, "method.batch_norm": "sync",
    "backbone.zero_init_last": True, "jitter": MILD, "blur": [0.5, 0.5], "scales": [[0.2, 1]] * 2,
    "augment.crop.interpolation": "bilinear", "method.symmetric": True, "method.loss_scale": 1,
}  # fmt: skip
BYOL = IMAGENET | {
    "method.name": "byol", "batch_size": 4096, "epochs": 100, "peak": 7.2, "optimizer.name": "lars",
    "optimizer.weight_decay": 1e-6, "optimizer.exclude_norm_and_bias": True, "optimizer.schedule_interval": "step",
    "optimizer.warmup_epochs": 10, "optimizer.warmup_from_batch": None, "optimizer.warmup_lr_fraction": 0,
    "optimizer.final_lr_fraction": 0, "head": [2, 4096, 256], "method.projector.bn_hidden": True,
    "method.projector.bn_output": False, "method.projector.bias_output": False, "method.predictor.kind": "mlp",
    "method.predictor.hidden_dim": 4096, "method.predictor.bias_output": False, "method.predictor.lr": "decay",
    "method.momentum_encoder.enabled": True, "method.momentum_encoder.decay": 0.99,
    "method.momentum_encoder.schedule": "cosine", "method.loss_scale": 4, "method.batch_norm": "sync",
    "backbone.zero_init_last": False, "jitter": [0.4, 0.4, 0.2, 0.1], "blur": [1, 0.1], "solarize": [0, 0.2],
    "scales": [[0.08, 1]] * 2, "augment.crop.interpolation": "bicubic", "method.symmetric": True,
    "operations": {"byol"}, "padding": {"zeros"},
}  # fmt: skip
SIMCLR = IMAGENET | {
    "method.name": "simclr", "batch_size": 4096, "epochs": 100, "peak": 4.8, "optimizer.name": "lars",
    "optimizer.weight_decay": 1e-6, "optimizer.exclude_norm_and_bias": True, "optimizer.schedule_interval": "step",
    "optimizer.warmup_epochs": 10, "optimizer.warmup_from_batch": None, "optimizer.warmup_lr_fraction": 0,
    "optimizer.final_lr_fraction": 0, "head": [2, 2048, 128], "method.projector.bn_hidden": True,
    "method.projector.bn_output": True, "method.projector.bn_output_affine": True,
    "method.projector.bn_output_center": False, "method.temperature": 0.1, "method.negatives": "batch",
    "method.stop_gradient": False, "method.batch_norm": "sync", "backbone.zero_init_last": True, "jitter": STRONG,
    "blur": [0.5, 0.5], "scales": [[0.08, 1]] * 2, "augment.crop.interpolation": "bicubic",
    "method.symmetric": True, "method.loss_scale": 2, "operations": {"simclr"}, "padding": {"zeros"},
}  # fmt: skip
MOCO = IMAGENET | {
    "method.name": "moco", "batch_size": 256, "epochs": 200, "peak": 0.03, "optimizer.name": "sgd",
    "optimizer.weight_decay": 1e-4, "optimizer.exclude_norm_and_bias": False, "optimizer.schedule_interval": "epoch",
    "optimizer.warmup_epochs": 0, "optimizer.final_lr_fraction": 0,
    "head": [2, 2048, 128], "method.projector.bn_hidden": False,
    "method.projector.bn_output": False, "method.projector.bias_output": True, "method.temperature": 0.2,
    "method.negatives": "queue", "method.queue.size": 65536, "method.momentum_encoder.enabled": True,
    "method.momentum_encoder.decay": 0.999, "method.momentum_encoder.schedule": "constant",
    "method.momentum_encoder.shuffle_bn": True, "method.batch_norm": "local", "method.symmetric": False,
    "backbone.zero_init_last": False, "jitter": MILD, "blur": [0.5, 0.5], "scales": [[0.2, 1]] * 2,
    "augment.crop.interpolation": "bilinear", "method.loss_scale": 1,
}  # fmt: skip
SWAV = IMAGENET | {
    "method.name": "swav", "batch_size": 4096, "epochs": 400, "peak": 4.8, "last": 0.0048, "first": 0.3,
    "optimizer.name": "lars", "optimizer.weight_decay": 1e-6, "optimizer.exclude_norm_and_bias": False,
    "optimizer.schedule_interval": "step", "optimizer.warmup_epochs": 10, "optimizer.warmup_from_batch": None,
    "head": [2, 2048, 128], "method.projector.bn_hidden": True, "method.projector.bn_output": False,
    "method.temperature": 0.1, "method.prototypes.number": 3000, "method.prototypes.frozen_epochs": 1,
    "method.prototypes.normalization": "outside", "method.sinkhorn.epsilon": 0.05,
    "method.sinkhorn.iterations": 3, "method.sinkhorn.queue_size": 0, "method.target_views": 2,
    "method.batch_norm": "sync", "backbone.zero_init_last": False, "jitter": STRONG, "blur": [0.5, 0.5],
    "scales": [[0.08, 1]] * 2, "augment.crop.interpolation": "bilinear", "method.symmetric": True,
    "method.loss_scale": 1,
}  # fmt: skip
MULTICROP = SWAV | {
    "epochs": 100, "sizes": [224] * 2 + [96] * 6, "scales": [[0.14, 1]] * 2 + [[0.05, 0.14]] * 6,
    "blur": [0.5] * 8, "solarize": [0] * 8,
}  # fmt: skip
DINO = IMAGENET | {
    "method.name": "dino", "backbone.name": "vit_small_patch16_224", "batch_size": 512, "epochs": 100, "peak": 1e-3,
    "last": 1e-6, "optimizer.name": "adamw", "optimizer.weight_decay": 0.04, "optimizer.final_weight_decay": 0.4,
    "optimizer.exclude_norm_and_bias": True, "optimizer.schedule_interval": "step", "optimizer.warmup_epochs": 10,
    "optimizer.warmup_from_batch": None, "optimizer.warmup_lr_fraction": 0, "optimizer.clip_grad_norm": 3.0,
    "head": [3, 2048, 256], "method.projector.activation": "gelu", "method.projector.bn_hidden": False,
    "method.projector.bn_output": False, "method.projector.bias_output": True, "method.temperature": 0.1,
    "method.sharpening.temperature": 0.04, "method.sharpening.warmup_epochs": 0, "method.centering.decay": 0.9,
    "method.prototypes.number": 65536, "method.prototypes.normalization": "gradient",
    "method.prototypes.frozen_epochs": 1, "method.momentum_encoder.decay": 0.996,
    "method.momentum_encoder.schedule": "cosine", "method.momentum_encoder.prototypes": True,
    "method.target_views": 2, "method.symmetric": True, "method.loss_scale": 1, "method.batch_norm": "sync",
    "jitter": [0.4, 0.4, 0.2, 0.1], "blur": [1, 0.1] + [0.5] * 8, "solarize": [0, 0.2] + [0] * 8,
    "sizes": [224] * 2 + [96] * 8, "scales": [[0.4, 1]] * 2 + [[0.05, 0.4]] * 8,
    "augment.crop.interpolation": "bicubic",
}  # fmt: skip
MOCO3_VIT = IMAGENET | {
    "backbone.name": "vit_base_patch16_224", "backbone.freeze_patch_embedding": True,
    "method.name": "mocov3", "batch_size": 4096, "epochs": 300, "peak": 2.4e-3, "optimizer.name": "adamw",
    "optimizer.weight_decay": 0.1, "optimizer.exclude_norm_and_bias": False, "optimizer.schedule_interval": "step",
    "optimizer.warmup_epochs": 40, "optimizer.warmup_from_batch": None, "optimizer.warmup_lr_fraction": 0,
    "optimizer.final_lr_fraction": 0, "head": [3, 4096, 256], "method.projector.bn_hidden": True,
    "method.projector.bn_output": True, "method.projector.bn_output_affine": False, "method.predictor.kind": "mlp",
    "method.predictor.hidden_dim": 4096, "method.predictor.bn_output": True, "method.predictor.bn_output_affine": False,
    "method.momentum_encoder.enabled": True, "method.momentum_encoder.decay": 0.99,
    "method.momentum_encoder.schedule": "cosine", "method.temperature": 0.2, "method.loss_scale": 0.8,
    "method.negatives": "keys", "method.batch_norm": "sync", "jitter": [0.4, 0.4, 0.2, 0.1], "blur": [1, 0.1],
    "solarize": [0, 0.2], "scales": [[0.08, 1]] * 2, "augment.crop.interpolation": "bilinear",
    "method.symmetric": True,
}  # fmt: skip
BYOL_300 = BYOL | {"epochs": 300, "peak": 4.8}
BYOL_1000 = BYOL | {
    "epochs": 1000, "peak": 3.2, "optimizer.weight_decay": 1.5e-6, "method.momentum_encoder.decay": 0.996
}  # fmt: skip
CIFAR = {
    "data.name": "cifar10", "backbone.name": "resnet18", "backbone.stem": "small", "backbone.zero_init_last": True,
    "batch_size": 512, "epochs": 800, "peak": 0.06, "last": 0, "optimizer.name": "sgd", "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 5e-4, "optimizer.exclude_norm_and_bias": False, "optimizer.schedule": "cosine",
    "optimizer.schedule_interval": "epoch", "optimizer.warmup_epochs": 0, "optimizer.warmup_lr_fraction": 0,
    "sizes": [32, 32], "scales": [[0.2, 1]] * 2,
    "augment.crop.interpolation": "bilinear", "augment.flip": 0.5, "augment.grayscale": 0.2, "jitter": MILD,
    "blur": [0, 0], "solarize": [0, 0], "monitor.labelled_samples": 50000, "augment.affine.p": 0,
    "recipe": None, "operations": {"torchvision"},
}  # fmt: skip
SOLO = CIFAR | {
    "backbone.zero_init_last": False, "batch_size": 256, "epochs": 1000, "optimizer.name": "lars", "first": 3e-5,
    "optimizer.exclude_norm_and_bias": True, "optimizer.schedule_interval": "step", "optimizer.warmup_epochs": 10,
    "optimizer.trust_coefficient": 0.02, "optimizer.trust_clip": True,
    "scales": [[0.08, 1]] * 2, "augment.crop.interpolation": "bicubic", "jitter": [0.4, 0.4, 0.2, 0.1],
    "solarize": [0, 0.2], "method.symmetric": True, "method.predictor.kind": "mlp", "method.predictor.lr": "decay",
    "method.projector.bn_hidden": True,
}  # fmt: skip
TABLE: dict[str, dict[str, Any]] = {
    "imagenet/simsiam": SIMSIAM,
    "imagenet/byol": BYOL,
    "imagenet/byol_200": BYOL_300 | {"epochs": 200},
    "imagenet/byol_300": BYOL_300,
    "imagenet/byol_400": BYOL_300 | {"epochs": 400},
    "imagenet/byol_800": BYOL_1000 | {"epochs": 800},
    "imagenet/byol_1000": BYOL_1000,
    "imagenet/simclr": SIMCLR,
    "imagenet/simclr_plus": SIMCLR | {"head": [3, 2048, 128]},
    "imagenet/moco": MOCO,
    "imagenet/moco_plus": MOCO | {"method.symmetric": True, "method.loss_scale": 2, "epochs": 100},
    "imagenet/swav": SWAV,
    "imagenet/swav_plus": SWAV | {"head": [3, 2048, 128], "epochs": 100},
    "imagenet/swav_multicrop": MULTICROP,
    "imagenet/swav_small_batch": MULTICROP
    | {
        "batch_size": 256, "epochs": 200, "peak": 0.6, "last": 0.0006, "first": None, "optimizer.warmup_epochs": 0,
        "method.sinkhorn.queue_size": 3840, "method.sinkhorn.queue_from_epoch": 15,
    },
    "imagenet/dino": DINO,
    "imagenet/mocov3_vit": MOCO3_VIT,
    "cifar10/simsiam": CIFAR
    | {
        "method.name": "simsiam", "head": [2, 2048, 2048], "method.projector.bn_output": True,
        "method.predictor.kind": "mlp", "method.predictor.hidden_dim": None, "method.predictor.lr": "constant",
    },
    "cifar10/byol": CIFAR
    | {
        "method.name": "byol", "head": [2, 4096, 256], "method.predictor.hidden_dim": 4096,
        "method.momentum_encoder.decay": 0.99, "method.momentum_encoder.schedule": "cosine", "method.loss_scale": 4,
    },
    "cifar10/simclr": CIFAR
    | {
        "method.name": "simclr", "head": [2, 2048, 128], "method.temperature": 0.5, "method.negatives": "batch",
        "method.loss_scale": 1,
    },
    "cifar10/moco": CIFAR
    | {
        "method.name": "moco", "head": [2, 2048, 128], "method.projector.bn_hidden": False,
        "method.temperature": 0.1, "method.queue.size": 4096, "method.momentum_encoder.decay": 0.99,
        "method.symmetric": False, "method.loss_scale": 1,
    },
    "cifar10/swav": CIFAR
    | {"method.name": "swav", "head": [2, 2048, 128], "method.prototypes.number": 100, "method.temperature": 0.1},
    "cifar10/dino": CIFAR
    | {
        "method.name": "dino", "head": [3, 2048, 256], "method.prototypes.number": 1024, "method.temperature": 0.1,
        "method.sharpening.temperature": 0.04, "method.momentum_encoder.decay": 0.996, "optimizer.clip_grad_norm": 3.0,
    },
    "cifar10/ressl": CIFAR
    | {
        "method.name": "ressl", "head": [2, 2048, 512], "method.queue.size": 4096,
        "method.momentum_encoder.decay": 0.99, "method.temperature": 0.1, "method.sharpening.temperature": 0.04,
    },
    "cifar10/nnclr": SOLO
    | {
        "method.name": "nnclr", "head": [3, 2048, 256], "method.projector.bn_output": True, "method.queue.size": 65536,
        "method.projector.bn_output_affine": True, "method.predictor.hidden_dim": 4096, "method.temperature": 0.2,
        "method.negatives": "predictions", "method.loss_scale": 1, "peak": 0.4, "optimizer.weight_decay": 1e-5,
        "optimizer.warmup_lr_fraction": 7.5e-5,
    },
    "cifar10/mocov3": SOLO
    | {
        "method.name": "mocov3", "head": [2, 4096, 256], "method.projector.bn_output": True,
        "method.projector.bn_output_affine": False, "method.predictor.hidden_dim": 4096,
        "method.predictor.bn_output": False, "method.temperature": 0.2, "method.negatives": "keys",
        "method.loss_scale": 0.8, "method.momentum_encoder.decay": 0.99, "method.momentum_encoder.schedule": "cosine",
        "peak": 0.3, "optimizer.weight_decay": 1e-6, "optimizer.warmup_lr_fraction": 1e-4,
    },
}  # fmt: skip
# Linear top-1 as the papers' tables have it, in the overrides of the files' headers.
HEADERS = {
    "imagenet/simsiam": "100 epochs 68.1, 200 70.0, 400 70.8, 800 71.3",
    "imagenet/byol": "66.5 (SimSiam paper, Table 4)",
    "imagenet/byol_200": "70.6 (SimSiam paper, Table 4)",
    "imagenet/byol_300": "72.5 (BYOL paper, Table 16, 3 seeds), 72.4 (SimSiam paper, Table C.1)",
    "imagenet/byol_400": "73.2 (SimSiam paper, Table 4)",
    "imagenet/byol_800": "74.3 (SimSiam paper, Table 4)",
    "imagenet/byol_1000": "74.3 (BYOL paper), 74.0 to 74.5 (the code's README)",
    "imagenet/simclr": "100 epochs 64.6, 200 66.5, 400 68.2, 800 68.9; 1000 epochs 69.3",
    "imagenet/simclr_plus": "100 epochs 66.5, 200 68.3, 400 69.8, 800 70.4",
    "imagenet/moco": "200 epochs 67.5 ± 0.1 (5 trials), 800 71.1",
    "imagenet/moco_plus": "100 epochs 67.4, 200 69.9, 400 71.0, 800 72.2",
    "imagenet/swav": "400 epochs 70.1",
    "imagenet/swav_plus": "100 epochs 66.5, 200 69.1, 400 70.7, 800 71.8",
    "imagenet/swav_multicrop": "100 epochs 72.1, 200 73.9, 400 74.6, 800 75.3",
    "imagenet/swav_small_batch": "200 epochs 72.7, 400 74.3",
    "imagenet/dino": "74.0; by kNN 69.3",
    "imagenet/mocov3_vit": "by linear evaluation: 76.7",
    "cifar10/simsiam": "91.8 by linear evaluation (Figure D.1)",
    "cifar10/byol": "no paper has a figure",
    "cifar10/simclr": "91.1 by linear evaluation (SimSiam paper, Figure D.1)",
    "cifar10/moco": "no paper has a figure",
    "cifar10/swav": "no paper has a figure",
    "cifar10/dino": "no paper has a figure",
    "cifar10/ressl": "no paper has a figure",
    "cifar10/nnclr": "91.88, by a linear classifier",
    "cifar10/mocov3": "93.10, by a linear classifier",
}
