"""Lengths of the gradients of encoder and predictor, as curves: a predictor without gradient learns nothing."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from ssl_zoo.method import Method
from ssl_zoo.training.callbacks import EpochRows
from ssl_zoo.training.clipping import gradient_norm

__all__ = ["GRADIENT_NORMS", "GradientNorms", "loss_scale"]

GRADIENT_NORMS = {
    "encoder_gradient_norm": "encoder",
    "predictor_gradient_norm": "predictor",
}  # child of a method


def scaler_of(trainer: pl.Trainer) -> torch.amp.GradScaler | None:
    """Returns fp16's scaler, which skips a step if any gradient overflows; None with another precision."""
    return getattr(trainer.precision_plugin, "scaler", None)


def loss_scale(trainer: pl.Trainer, optimizer: torch.optim.Optimizer) -> float:
    """Returns the factor that fp16's gradients still have: a fused optimizer undoes it within its step alone."""
    scaler = scaler_of(trainer)
    if scaler is None or not getattr(optimizer, "_step_supports_amp_scaling", False):
        return 1.0
    return float(scaler.get_scale())


class GradientNorms(pl.Callback):
    """Adds to each epoch's row the mean length of the gradients over its optimizer steps, before they are clipped.

    Steps that fp16's scaler skips are left out; an epoch that has no others gets no length. Lengths stay on the device
    until the epoch ends. With several processes each has the whole batch's gradient.

    Args:
        epochs: the rows of the run.
        method: whose encoder and, where it has one to train, predictor.
    """

    def __init__(self, epochs: EpochRows, method: Method) -> None:
        self.epochs, self.method = epochs, method
        self.norms: list[Tensor] = []  # (parts,) of each step of this epoch

    @property
    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters by the key of their gradients' length; a strategy may put others in their place."""
        children = dict(self.method.named_children())
        trained = {
            key: [p for p in children[child].parameters() if p.requires_grad]
            for key, child in GRADIENT_NORMS.items()
            if child in children
        }
        return {key: parameters for key, parameters in trained.items() if parameters}

    def state_dict(self) -> dict[str, Any]:
        return {"norms": [norms.tolist() for norms in self.norms]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.norms = [torch.tensor(norms) for norms in state_dict["norms"]]

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        norms = torch.stack([gradient_norm(part) for part in self.parts.values()])
        norms = norms / loss_scale(trainer, optimizer)
        if scaler_of(trainer) is not None:  # NaN where it will skip the step
            every = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            norms = torch.where(gradient_norm(every).isfinite(), norms, torch.nan)
        self.norms.append(norms)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        norms = torch.stack([norms.to(pl_module.device) for norms in self.norms])  # (steps, parts)
        self.norms.clear()
        if scaler_of(trainer) is not None:
            norms = norms[~norms.isnan().any(dim=1)]
        if len(norms):
            self.epochs.rows[-1].update(zip(self.parts, norms.mean(dim=0).tolist(), strict=True))
