"""An optimizer over weights of which some are divided among the processes and others whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.distributed.tensor import DTensor

__all__ = ["MixedOptimizer"]


class MixedOptimizer(torch.optim.Optimizer):
    """Steps divided and whole weights apart, since torch's fused kernels take no mixture.

    Its groups and the numbers of its state are those of the optimizer of whole weights, and so its checkpoints.

    Args:
        groups: the parameters with their settings.
        kind: builds an optimizer.
        options: the settings of all groups.
        sharded_options: those of them that divided weights have otherwise.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        kind: Callable[..., torch.optim.Optimizer],
        options: Mapping[str, Any],
        sharded_options: Mapping[str, Any],
    ) -> None:
        super().__init__(groups, dict(options))
        self.inner = [
            kind(list(self._groups_of(sharded)), **{**options, **(sharded_options if sharded else {})})
            for sharded in (False, True)
        ]
        for group, whole in zip(self.param_groups, self.inner[0].param_groups, strict=True):
            group.update({key: value for key, value in whole.items() if key not in group})
        self._share_state()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps both kinds of weights."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for optimizer in self.inner:
            for group, own in zip(self.param_groups, optimizer.param_groups, strict=True):
                own.update({key: group[key] for key in ("lr", "weight_decay")})
            optimizer.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes the state, divided where the weights are."""
        super().load_state_dict(state_dict)
        self._share_state()

    def _share_state(self) -> None:
        for optimizer in self.inner:
            optimizer.state = self.state

    def _groups_of(self, sharded: bool) -> Iterator[dict[str, Any]]:
        for group in self.param_groups:
            parameters = [p for p in group["params"] if isinstance(p, DTensor) is sharded]
            settings = {
                key: value for key, value in group.items() if key not in ("params", "fused", "foreach")
            }
            yield {"params": parameters, **settings}
