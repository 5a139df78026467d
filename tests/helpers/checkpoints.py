"""Checkpoints as other programs write them: names and shapes written down from their model definitions.

Each function returns what the program would `torch.save`, around the weights of the network that is passed. The sources
are listed in `ssl_zoo/importers/formats.py`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

State = dict[str, Tensor]
WIDTH = 512  # of a ResNet-18's features


def resnet18() -> torchvision.models.ResNet:
    """A ResNet-18 of torchvision in evaluation mode, no two of its values alike."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = torchvision.models.resnet18()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values, low in (
                    (module.running_mean, -0.2),
                    (module.running_var, 0.8),
                    (module.weight, 0.6),
                ):
                    assert values is not None
                    values.data.copy_(low + 0.4 * torch.rand(values.shape))
    return model.eval()


def encoder(model: nn.Module, prefix: str = "") -> State:
    """The weights of a ResNet without its classifier."""
    return {f"{prefix}{k}": v for k, v in model.state_dict().items() if not k.startswith("fc.")}


def children(model: nn.Module, prefix: str) -> State:
    """The same, as `nn.Sequential(*list(model.children())[:-1])` names them."""
    return named(nn.Sequential(*list(model.children())[:-1]), prefix)


def named(module: nn.Module, prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in module.state_dict().items()}


def blank(value: Tensor) -> Tensor:
    """Zeros of a shape, of which a file holds one."""
    return torch.zeros((), dtype=value.dtype).expand(value.shape)


def mlp(*widths: int, bias: bool = False, last_bn: bool = False, affine: bool = True) -> nn.Sequential:
    """Linear, BN and ReLU for each hidden layer, then Linear and perhaps BN."""
    layers: list[nn.Module] = []
    for number, (wide, narrow) in enumerate(itertools.pairwise(widths), 1):
        last = number == len(widths) - 1
        layers.append(nn.Linear(wide, narrow, bias=bias))
        if not last:
            layers += [nn.BatchNorm1d(narrow), nn.ReLU()]
        elif last_bn:
            layers.append(nn.BatchNorm1d(narrow, affine=affine))
    return nn.Sequential(*layers)


def wrapped(state: Mapping[str, Tensor]) -> State:
    """As DistributedDataParallel names weights."""
    return {f"module.{name}": value for name, value in state.items()}


def trained(state: Mapping[str, Tensor], key: str = "state_dict", **more: Any) -> dict[str, Any]:
    """With an epoch and the optimizer's state."""
    optimizer = {"state": {0: {"momentum_buffer": torch.zeros(1)}}, "param_groups": [{"lr": 0.05}]}
    return {"epoch": 100, key: dict(state), "optimizer": optimizer, **more}


def simsiam(model: nn.Module) -> Any:
    projector = mlp(WIDTH, WIDTH, WIDTH, 64, last_bn=True, affine=False)
    projector[6] = nn.Linear(WIDTH, 64)  # whose bias is kept, untrained
    predictor = mlp(64, 16, 64)
    predictor[3] = nn.Linear(16, 64)
    state = encoder(model, "encoder.") | named(projector, "encoder.fc.") | named(predictor, "predictor.")
    return trained(wrapped(state), arch="resnet18")


def _moco(model: nn.Module, head: nn.Module) -> Any:
    state = encoder(model, "encoder_q.") | named(head, "encoder_q.fc.")
    state |= {name.replace("encoder_q", "encoder_k"): blank(value) for name, value in state.items()}
    state |= {"queue": torch.zeros(32, 64), "queue_ptr": torch.zeros(1, dtype=torch.long)}
    return trained(wrapped(state), arch="resnet18")


def moco_v1(model: nn.Module) -> Any:
    return _moco(model, nn.Linear(WIDTH, 32))


def moco_v2(model: nn.Module) -> Any:
    return _moco(model, nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 32)))


def moco_v3(model: nn.Module) -> Any:
    head = mlp(WIDTH, 64, 32, last_bn=True, affine=False)
    state = encoder(model, "base_encoder.") | named(head, "base_encoder.fc.")
    state |= {n.replace("base_", "momentum_"): blank(value) for n, value in state.items()}
    state |= named(mlp(32, 64, 32), "predictor.")
    return trained(wrapped(state), arch="resnet18", scaler={"scale": 65536.0, "_growth_tracker": 3})


def moco_v3_vit(vit: Mapping[str, Tensor], width: int) -> Any:
    """main_moco.py's checkpoint of a transformer: its builder.py gives the projector three layers."""
    head = mlp(width, 64, 64, 32, last_bn=True, affine=False)
    state = {f"base_encoder.{name}": value for name, value in vit.items()} | named(head, "base_encoder.head.")
    state |= {n.replace("base_", "momentum_"): blank(value) for n, value in state.items()}
    state |= named(mlp(32, 64, 32, last_bn=True, affine=False), "predictor.")
    return trained(wrapped(state), arch="vit_small", scaler={"scale": 65536.0, "_growth_tracker": 3})


def swav(model: nn.Module) -> Any:
    """The released file: the state dict alone."""
    head = named(mlp(WIDTH, 64, 32, bias=True), "projection_head.")
    return wrapped(encoder(model) | head | {"prototypes.weight": torch.zeros(30, 32)})


def deepcluster(model: nn.Module) -> Any:
    head = named(mlp(WIDTH, 64, 32, bias=True), "projection_head.")
    prototypes = {f"prototypes.prototypes{number}.weight": torch.zeros(30, 32) for number in range(3)}
    return trained(wrapped(encoder(model) | head | prototypes))


def dino(model: nn.Module) -> Any:
    head = {"head.mlp.0.weight": torch.zeros(16, WIDTH), "head.mlp.0.bias": torch.zeros(16)}
    head |= {"head.last_layer.weight_g": torch.ones(30, 1), "head.last_layer.weight_v": torch.zeros(30, 16)}
    state = encoder(model, "backbone.") | head
    student = wrapped({name: blank(value) for name, value in state.items()})
    return {
        "student": student,
        "teacher": state,
        "optimizer": {"state": {}, "param_groups": []},
        "epoch": 100,
        "args": argparse.Namespace(arch="resnet50", lr=0.03),
        "dino_loss": {"center": torch.zeros(1, 30)},
        "fp16_scaler": {"scale": 65536.0},
    }


def barlow_twins(model: nn.Module) -> Any:
    head = named(mlp(WIDTH, 64, 64, 64), "projector.") | named(nn.BatchNorm1d(64, affine=False), "bn.")
    return trained(wrapped(encoder(model, "backbone.") | head), "model")


def vicreg(model: nn.Module) -> Any:
    head = mlp(WIDTH, 64, 64, 64, bias=True)
    head[6] = nn.Linear(64, 64, bias=False)
    return trained(wrapped(encoder(model, "backbone.") | named(head, "projector.")), "model")


def bare(model: nn.Module) -> Any:
    """The last file of Barlow Twins, VICReg and DINO: the backbone alone."""
    return encoder(model)


def simclr(model: nn.Module) -> Any:
    return {"state_dict": model.state_dict()}


def byol(model: nn.Module) -> Any:
    def part(*widths: int) -> nn.Module:
        parts = {"l1": nn.Linear(*widths[:2]), "bn1": nn.BatchNorm1d(widths[1]), "l2": nn.Linear(*widths[1:])}
        return nn.ModuleDict(parts)

    state = children(model, "online_network.encoder.") | named(
        part(WIDTH, 64, 32), "online_network.projetion."
    )
    state |= {n.replace("online_", "target_"): blank(value) for n, value in state.items()}
    return trained(
        wrapped(state | named(part(32, 64, 32), "predictor.predictor.")), "model", steps=5, config={"a": [1]}
    )


def _lightning(state: State) -> Any:
    return {
        "epoch": 99,
        "global_step": 1000,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {
            "ModelCheckpoint{}": {"best_model_score": torch.tensor(0.5), "best_model_path": "a.ckpt"}
        },
        "optimizer_states": [{"state": {}, "param_groups": []}],
        "lr_schedulers": [{"last_epoch": 99}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"batch_size_per_device": 128, "num_classes": 1000},
    }


def _lightly_head(name: str) -> State:
    return {
        f"{name}.layers.0.weight": torch.zeros(64, WIDTH),
        f"{name}.layers.1.running_mean": torch.zeros(64),
    }


def lightly_example(model: nn.Module) -> Any:
    """examples/pytorch_lightning/byol.py: the ResNet's children, and a momentum encoder."""
    state = children(model, "backbone.") | _lightly_head("projection_head") | _lightly_head("prediction_head")
    state |= {n.replace("backbone", "backbone_momentum"): blank(v) for n, v in state.items()}
    return _lightning(state | _lightly_head("projection_head_momentum"))


def lightly_dino_example(model: nn.Module) -> Any:
    state = (
        children(model, "teacher_backbone.") | _lightly_head("teacher_head") | _lightly_head("student_head")
    )
    state |= {n.replace("teacher_", "student_"): blank(v) for n, v in state.items()}
    return _lightning(state | {"criterion.center.center": torch.zeros(1, 8)})


def lightly_benchmark(model: nn.Module) -> Any:
    """benchmarks/imagenet/resnet50/mocov2.py"""
    state = (
        encoder(model, "backbone.") | _lightly_head("projection_head") | _lightly_head("key_projection_head")
    )
    state |= {f"key_{n}": blank(v) for n, v in state.items() if n.startswith("backbone.")}
    state |= {
        "criterion.memory_bank.bank": torch.zeros(32, 64),
        "criterion.memory_bank.bank_ptr": torch.zeros(1),
    }
    return _lightning(state | {"online_classifier.linear.weight": torch.zeros(10, WIDTH)})


def solo_learn(model: nn.Module) -> Any:
    """solo/methods/byol.py"""
    state = encoder(model, "backbone.") | named(mlp(WIDTH, 64, 32, bias=True), "projector.")
    state |= {"classifier.weight": torch.zeros(10, WIDTH), "classifier.bias": torch.zeros(10)}
    state |= {f"momentum_{name}": blank(value) for name, value in state.items()}
    return _lightning(state | named(mlp(32, 64, 32, bias=True), "predictor."))


def plain(model: nn.Module) -> Any:
    """The state dict of torchvision's and timm's model, which share the names."""
    return model.state_dict()


Write = Callable[[nn.Module], Any]

# Writer -> the format that is recognised, or all that it may be; and what is left out of its keys.
RECOGNISED: Mapping[str, tuple[Write, str, set[str]]] = {
    "simsiam": (simsiam, "simsiam", {"projector", "predictor"}),
    "moco v1": (moco_v1, "moco", {"projector", "momentum encoder", "queue"}),
    "moco v2": (moco_v2, "moco", {"projector", "momentum encoder", "queue"}),
    "moco v3": (moco_v3, "mocov3", {"projector", "momentum encoder", "predictor"}),
    "swav": (swav, "swav", {"projector", "prototypes"}),
    "deepcluster": (deepcluster, "swav", {"projector", "prototypes"}),
    "dino": (dino, "dino", {"projector", "student", "state of the loss"}),
    "barlow twins": (barlow_twins, "barlowtwins", {"projector"}),
    "vicreg": (vicreg, "vicreg", {"projector"}),
    "byol": (byol, "byol", {"projector", "momentum encoder", "predictor"}),
    "lightly example": (lightly_example, "lightly", {"projector or predictor", "other encoder"}),
    "lightly dino": (lightly_dino_example, "lightly", {"projector or predictor", "other encoder", "state of the loss"}),
    "lightly benchmark": (
        lightly_benchmark,
        "lightly",
        {"projector or predictor", "other encoder", "state of the loss", "classifier"},
    ),
    "solo-learn": (solo_learn, "solo-learn", {"projector or predictor", "momentum encoder", "classifier"}),
}  # fmt: skip
AMBIGUOUS: Mapping[str, tuple[Write, tuple[str, ...]]] = {
    "backbone alone": (bare, ("dino", "barlowtwins", "vicreg", "torchvision", "timm")),
    "with classifier": (simclr, ("simclr", "torchvision", "timm")),
}
