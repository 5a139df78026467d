"""Finds the modules of a network that the monitor listens to: by the names of lightly's examples, or the user's.

- [0] lightly's examples, https://docs.lightly.ai/self-supervised-learning/examples/models.html
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn
from torch.nn.parameter import UninitializedParameter

from ssl_zoo.errors import UserError, suggest

__all__ = ["find_modules", "fingerprint", "untrained_parts"]

# Names of lightly's examples and benchmarks, the first that is there is taken. DINO's heads end in prototypes, and
# what stands before them is the embedding.
DEFAULTS = {
    "embeddings": (
        "projection_head", "student_projection_head.layers", "student_head.layers", "student_projection_head",
        "student_head", "projector", "projection", "head", "backbone",
    ),
    "predictions": ("prediction_head", "student_prediction_head", "predictor", "prediction"),
    "targets": (
        "projection_head_momentum", "teacher_projection_head", "teacher_head.layers", "teacher_head",
        "momentum_projector", "target_projector",
    ),
}  # fmt: skip
ARGUMENTS = {"embeddings": "outputs", "predictions": "predictions", "targets": "targets"}


def find_modules(network: nn.Module, names: dict[str, str | None]) -> dict[str, tuple[str, nn.Module]]:
    """Returns the module of each role with its name, without those that are not there.

    Args:
        network: the user's.
        names: of the modules by role; None: by the names of lightly's examples.

    Raises:
        UserError: there is no module of that name, or none for the embeddings.
    """
    known = dict(network.named_modules(remove_duplicate=False))  # a module may have two names
    del known[""]
    found = {}
    for role, defaults in DEFAULTS.items():
        name = names.get(role)
        if name is None:
            name = next((default for default in defaults if default in known), None)
            if name is None and role == "embeddings":
                raise UserError(
                    f"CollapseMonitor found no module {', '.join(defaults)}; {_listing(known)}; name the one whose "
                    "outputs the loss compares: outputs='NAME'"
                )
        elif name not in known:
            raise UserError(
                f"{ARGUMENTS[role]}='{name}' is no module of {type(network).__name__}; {_listing(known)}"
                f"{suggest(name, known)}"
            )
        if name is not None:
            found[role] = (name, known[name])
    return found


def untrained_parts(
    network: nn.Module, modules: dict[str, tuple[str, nn.Module]], trained: Iterable[nn.Parameter]
) -> tuple[str, ...]:
    """Returns the names of the modules that have parameters, none of which an optimizer has and can change."""
    ids = {id(parameter) for parameter in trained if parameter.requires_grad}
    listening = [modules[role] for role in ("embeddings", "predictions") if role in modules]
    backbones = [
        (name, child) for name, child in network.named_children() if name in ("backbone", "student_backbone")
    ]
    return tuple(
        name
        for name, module in (*backbones, *listening)
        if (parameters := list(module.parameters())) and not any(id(each) in ids for each in parameters)
    )


def fingerprint(module: nn.Module) -> float:
    """Returns a number that changes with the weights."""
    known = [p.detach() for p in module.parameters() if not isinstance(p, UninitializedParameter)]
    return sum(float(p.cpu().double().abs().sum()) for p in known)  # MPS has no float64


def _listing(known: Iterable[str]) -> str:
    """Lists modules to a depth at which people name them."""
    shallow = [name for name in known if name.count(".") <= 1 and not name.rpartition(".")[2].isdigit()]
    return f"there are {', '.join(shallow) or 'no modules'}"
