"""Strategy `fsdp`: the backbones' weights, gradients and optimizer state divided among the processes.

torch's `fully_shard` divides each tensor of a backbone and gathers it block by block, for the time in which the block
is computed. A momentum encoder is divided alike. What stands behind the backbone (projector, predictor, prototypes,
queue) is whole in each process, so that methods may read and set it as they like; its gradients are averaged here.

A checkpoint is whole: the tensors are gathered one after another, and rank zero writes the file that DDP would write.

- [0] Zhao et al., 2023, https://arxiv.org/abs/2304.11277
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import DDPStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from ssl_zoo.errors import UserError
from ssl_zoo.method import Encoder, Method
from ssl_zoo.training.blocks import blocks_of

__all__ = ["ShardedWeights", "divided_weights_explained"]


DIVIDED = "trainer.strategy=fsdp divides the backbones' weights among the processes"


@contextmanager
def divided_weights_explained() -> Iterator[None]:
    """Turns torch's error about a divided tensor that meets a whole one into the user's.

    Raises:
        UserError: with torch's message.
    """
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if "DTensor" not in str(error) and "sharding strategy" not in str(error):
            raise
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{DIVIDED}, and the method computes with one outside its forward pass ({reason}); set "
            "trainer.strategy=zero1 or ddp"
        ) from error


class ShardedWeights(DDPStrategy):
    """Divides a method's backbones among all processes; the rest is as in DDP."""

    def configure_ddp(self) -> None:
        """Divides the method, before its optimizer is built."""
        assert self.lightning_module is not None
        method = self.lightning_module.method
        assert isinstance(method, Method)
        for parameter in method.parameters():
            parameter.data = parameter.data.contiguous()  # `fully_shard` takes no other layout
        for tensor in (*method.parameters(), *method.buffers()):
            dist.broadcast(tensor.detach(), src=0)
        self._without_weights = _without_weights(method) if self.is_global_zero else None
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for module in list(method.modules()):
            if isinstance(module, Encoder):
                _shard(module.backbone, mesh)
        self._method = method
        self._storage = self._storage_now()

    def post_backward(self, closure_loss: Tensor) -> None:
        """Averages the gradients that `fully_shard` doesn't.

        Raises:
            UserError: the method has put other tensors in the place of weights.
        """
        super().post_backward(closure_loss)
        if self._storage_now() != self._storage:
            raise UserError(
                f"{DIVIDED}, which may change in place alone; the method has put another tensor in the place of one, "
                "such as by weight.data = …, that no forward pass would read; set trainer.strategy=zero1 or ddp"
            )
        whole = [
            p.grad for p in self._method.parameters() if not isinstance(p, DTensor) and p.grad is not None
        ]
        if whole:
            flat = torch.cat([gradient.flatten() for gradient in whole])
            dist.all_reduce(flat)
            parts = torch.split(flat / self.world_size, [gradient.numel() for gradient in whole])
            for gradient, part in zip(whole, parts, strict=True):
                gradient.copy_(part.view_as(gradient))

    def whole_method(self) -> Method:
        """Returns in rank zero a copy with whole weights, to be measured; all processes must call it."""
        state = _gathered(self._method.state_dict(), keep=self.is_global_zero)
        if self._without_weights is None:
            return self._method
        method = copy.deepcopy(self._without_weights)
        method.load_state_dict(state, assign=True)
        return method

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """Returns the whole state in rank zero, nothing in the others; all must call it."""
        assert self.lightning_module is not None
        return _gathered(self.lightning_module.state_dict(), keep=self.is_global_zero, device="cpu")

    def optimizer_state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Returns the whole state in rank zero, nothing in the others; all must call it."""
        state = super().optimizer_state(optimizer)
        values: Mapping[int, Mapping[str, Any]] = state["state"]  # type: ignore[assignment]
        whole = {
            number: _gathered(kept, keep=self.is_global_zero, device="cpu") for number, kept in values.items()
        }
        return {**state, "state": whole} if self.is_global_zero else {}

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Takes this process's part of the whole state, which each process has read."""
        for optimizer, saved in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            state = {
                number: {key: _part(value, parameters[number]) for key, value in values.items()}
                for number, values in saved["state"].items()
            }
            optimizer.load_state_dict({**saved, "state": state})

    def _storage_now(self) -> dict[str, tuple[int, int]]:
        """Returns which tensors are divided, and the addresses of what they hold; `weight.data = …` changes these."""
        return {
            name: (id(p), p.untyped_storage()._cdata)
            for name, p in self._method.named_parameters()
            if isinstance(p, DTensor)
        }


def _shard(backbone: nn.Module, mesh: Any) -> None:
    """Divides a backbone in place, block by block."""
    scalars = {parameter for parameter in backbone.parameters() if parameter.ndim == 0}
    backbone.register_forward_hook(_not_a_view)
    for part in (*blocks_of(backbone), backbone):
        # Gathered anew for each pass: a momentum encoder has no backward pass that would give the weights back.
        fully_shard(part, mesh=mesh, reshard_after_forward=True, ignored_params=scalars)


def _not_a_view(module: nn.Module, inputs: Any, features: Tensor) -> Tensor:
    """Copies the features: `fully_shard` would lose its hook if something changed a view in place."""
    return features.clone()


def _without_weights(method: Method) -> Method:
    """Returns a copy of a method without values, but for the buffers that aren't saved."""
    empty: dict[int, Any] = {
        id(p): nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=p.requires_grad)
        for p in method.parameters()
    }
    for value in method.state_dict(keep_vars=True).values():
        if id(value) not in empty:  # such as a memory of all images
            empty[id(value)] = torch.empty_like(value, device="meta")
    return copy.deepcopy(method, empty)


@torch.no_grad()
def _gathered(values: Mapping[str, Any], *, keep: bool, device: str | None = None) -> dict[str, Any]:
    """Gathers what is divided, tensor by tensor; returns nothing where it is not to be kept."""
    whole = {}
    for name, value in values.items():
        tensor = value.full_tensor() if isinstance(value, DTensor) else value
        if keep:
            whole[name] = tensor.to(device) if device is not None and isinstance(tensor, Tensor) else tensor
    return whole


def _part(value: Any, parameter: Tensor) -> Any:
    """Returns this process's part of a value that an optimizer keeps for a parameter."""
    if not (isinstance(value, Tensor) and isinstance(parameter, DTensor) and value.shape == parameter.shape):
        return value
    local = value.to(parameter.device)
    return distribute_tensor(local, parameter.device_mesh, parameter.placements, src_data_rank=None)
