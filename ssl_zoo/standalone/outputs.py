"""Calls of modules in training steps, recorded by forward hooks, and how they make an encoder.

A script hands out no embeddings. Its first batch shows which module's output is the input of the projection head, and
so what function of an image the encoder is: `head(join(backbone(x)))`, where `join` flattens or averages a map; so on
back to the images, where there are more modules on the way. With that and the images of the first batches, the encoder
can be measured in evaluation mode whenever one likes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ssl_zoo.errors import UserError

__all__ = ["Call", "Encoder", "Recorder", "find_encoder", "rows"]

AT_ONCE = 64  # images per forward pass of a measurement, within what a training step of usual size needs


class Call(NamedTuple):
    """What a module was given, and what it returned."""

    x: Any
    y: Any


class Recorder:
    """Records the calls of modules while it is active, and has hooks on them no longer.

    So what a script does between two steps, copying or pickling a module, meets none.

    Args:
        modules: by key.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.modules = dict(modules)
        self.calls: dict[str, list[Call]] = {key: [] for key in modules}
        self._hooks: list[RemovableHandle] = []

    @property
    def active(self) -> bool:
        """Whether calls are recorded."""
        return bool(self._hooks)

    def begin(self) -> None:
        """Begins a batch."""
        self.end()
        self._hooks = [module.register_forward_hook(self._hook(key)) for key, module in self.modules.items()]

    def pause(self) -> None:
        """Takes the hooks off."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def end(self) -> None:
        """Takes the hooks off and forgets the calls, and with them the graph and the memory that they hold."""
        self.pause()
        for calls in self.calls.values():
            calls.clear()

    def outputs(self, key: str) -> list[Tensor]:
        """Returns what a module has returned, call by call, with graph."""
        return [call.y for call in self.calls.get(key, ()) if isinstance(call.y, Tensor)]

    def _hook(self, key: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.is_inference_mode_enabled():  # a measurement's call is no step's
                self.calls[key].append(Call(inputs[0] if inputs else None, output))

        return hook


Join = Callable[[Tensor], Tensor]


class Encoder(NamedTuple):
    """An encoder, put together from a script's modules: each is given what the one before returned, joined."""

    entry: str  # key of the module that takes the images
    chain: tuple[tuple[nn.Module, Join], ...]  # from the images to the embeddings
    predictor: nn.Module | None

    @property
    def parts(self) -> nn.ModuleList:
        """All modules that are called."""
        predictor = [] if self.predictor is None else [self.predictor]
        return nn.ModuleList([*(module for module, _ in self.chain), *predictor])

    @property
    def device(self) -> torch.device:
        """Where the modules are."""
        return next(self.parts.parameters()).device

    def embed(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns embeddings (N, D) of images (N, C, H, W) and their predictions, both on the CPU.

        The modules must be in evaluation mode. None: there is no predictor.
        """
        device = self.device
        embedded, predicted = [], []
        for batch in torch.split(images, AT_ONCE):
            x = batch.to(device)
            for module, join in self.chain:
                x = join(module(x))
            embedded.append(rows("outputs", x).float().cpu())
            if self.predictor is not None:
                predicted.append(self.predictor(x).float().cpu())
        return torch.cat(embedded), torch.cat(predicted) if predicted else None


def find_encoder(
    recorder: Recorder, modules: Mapping[str, nn.Module], candidates: list[str]
) -> Encoder | None:
    """Puts the encoder together from the calls of one batch, from the head back to the images.

    Images are a batch (N, C, H, W) without a gradient. None where something else is done on the way from them.

    Args:
        recorder: with the calls of embeddings, predictions and candidates.
        modules: by the recorder's keys.
        candidates: keys of modules that may stand before the head.
    """
    calls = recorder.calls["embeddings"]
    predictions = recorder.calls.get("predictions", [])
    follows = len(predictions) == len(calls) > 0 and all(map(_same, predictions, calls))
    entry = "embeddings"
    chain: list[tuple[nn.Module, Join]] = [(modules[entry], _as_it_is)]
    left = list(candidates)
    while not all(_is_images(call.x) for call in calls):
        before = _before(recorder, calls, left)
        if before is None:
            return None
        entry, join = before
        left.remove(entry)
        calls = recorder.calls[entry]
        chain.insert(0, (modules[entry], join))
    if not any(True for module, _ in chain for _ in module.parameters()):
        return None
    return Encoder(entry, tuple(chain), modules["predictions"] if follows else None)


def _before(recorder: Recorder, calls: list[Call], candidates: list[str]) -> tuple[str, Join] | None:
    """Returns the module whose outputs, joined, are what was given in some calls."""
    for key in candidates:
        earlier = recorder.calls[key]
        if earlier is calls or len(earlier) != len(calls):
            continue
        for join in JOINS:
            if all(_joins(join, a.y, b.x) for a, b in zip(earlier, calls, strict=True)):
                return key, join
    return None


def rows(name: str, output: Any) -> Tensor:
    """Returns a module's output without graph, (N, D)."""
    if isinstance(output, Tensor) and output.is_floating_point() and output.ndim >= 2:
        flat = output.detach()
        if flat.shape[1:].numel() == flat.shape[1]:  # (N, D), or a pooled map (N, D, 1, 1)
            return flat.reshape(len(flat), -1)
    got = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
    raise UserError(
        f"CollapseMonitor needs a module that returns one tensor (N, D), a vector per image; received {got} from "
        f"'{name}'; name the projection head, or a pooling layer: outputs='NAME'"
    )


def _same(later: Call, earlier: Call) -> bool:
    return isinstance(later.x, Tensor) and isinstance(earlier.y, Tensor) and _equal(later.x, earlier.y)


def _joins(join: Callable[[Tensor], Tensor], y: Any, x: Any) -> bool:
    return isinstance(y, Tensor) and isinstance(x, Tensor) and y.ndim >= 2 and _equal(join(y), x)


def _equal(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a.detach(), b.detach().to(a.dtype)))


def _is_images(x: Any) -> bool:
    return isinstance(x, Tensor) and x.ndim == 4 and x.is_floating_point() and not x.requires_grad


def _as_it_is(y: Tensor) -> Tensor:
    return y


def _flat(y: Tensor) -> Tensor:
    return y.flatten(start_dim=1)


def _averaged(y: Tensor) -> Tensor:
    return y.mean(dim=(2, 3)) if y.ndim == 4 else y


JOINS = (_as_it_is, _flat, _averaged)
