"""Clause on devices: a method that is moved leaves nothing behind.

Looked for without a GPU: in torch's fake mode a tensor can be on "cuda" anywhere. It has no values, so of a loss that
reads one nothing can be told.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)

from ssl_zoo.testing.contract import Broken, NotApplicable
from ssl_zoo.testing.setting import BATCH, Setting
from ssl_zoo.testing.train_steps import progress

__all__ = ["one_device"]

MEND = "register what is kept by register_buffer, and make what is new with device=z.device"
VALUES = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException)


def one_device(setting: Setting) -> None:
    """A method that is moved to another device computes there alone: no tensor stays behind or is made elsewhere."""
    method = setting.build()
    mode = FakeTensorMode(allow_fallback_kernels=False)
    with warnings.catch_warnings(), mode:
        warnings.simplefilter("ignore")  # about a GPU that is not there
        # As method.to("cuda") does.
        method._apply(lambda tensor: mode.from_tensor(tensor).to("cuda"))  # type: ignore[no-untyped-call]
        sizes, channels = [view.size for view in setting.config.views], setting.config.data.channels
        views = [torch.zeros(BATCH, channels, size, size, device="cuda") for size in sizes]
        index = torch.arange(BATCH, device="cuda")
        try:
            method.before_step(progress(0))
            loss: Tensor = method.loss(views, index).loss
            for parameter in method.parameters():
                if parameter.requires_grad:  # a backward pass needs the device itself
                    parameter.grad = torch.zeros_like(parameter)
            method.after_backward(progress(0))
            method.after_step(progress(0))
        except VALUES as error:
            raise NotApplicable(
                f"it reads a tensor's values, for which each step would wait for the device: {type(error).__name__}"
            ) from error
        except Exception as error:  # of two devices, or of a real tensor among the fake ones
            behind = [
                f"{path}.{name}".lstrip(".")
                for path, module in method.named_modules()
                for name, value in vars(module).items()
                if isinstance(value, Tensor)
            ]
            listed = (
                f"{', '.join(behind)} left behind, neither parameter nor buffer" if behind else str(error)
            )
            raise Broken(
                "every tensor on the device to which the method was moved", listed.splitlines()[0], MEND
            ) from error
    if loss.device.type != "cuda":
        raise Broken("the loss on the device to which the method was moved", f"it on {loss.device}", MEND)
