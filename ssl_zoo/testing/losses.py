"""Clauses on a single loss: finite in every precision, of views of any size, with gradients where they belong."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ssl_zoo.method import Method
from ssl_zoo.testing.contract import Broken, NotApplicable
from ssl_zoo.testing.setting import Setting, make_views
from ssl_zoo.testing.train_steps import progress

__all__ = ["finite", "finite_in_bf16", "gradients", "several_sizes"]


def finite(setting: Setting) -> None:
    """The loss is one finite number in float32, and its gradient is finite."""
    _finite_losses(setting, bf16=False)


def finite_in_bf16(setting: Setting) -> None:
    """The loss is one finite float32 number under bf16 autocast, and its gradient is finite."""
    _finite_losses(setting, bf16=True)


def several_sizes(setting: Setting) -> None:
    """The loss is finite where the last view is smaller, as in multi-crop, of a method that takes such views."""
    size = setting.config.augment.size
    sizes = [view.size for view in setting.config.views]
    try:
        setting.build().encoder.backbone(make_views([size // 2], setting.config.data.channels, 0)[0])
    except Exception as error:  # whatever the backbone raises
        raise NotApplicable(f"its backbone takes views of one size: {error}") from error
    takes_more = _problem(setting, [*sizes, size]) is None
    mixed = [*sizes, size // 2] if takes_more else [*sizes[:-1], size // 2]
    problem = _problem(setting, mixed)
    if problem is not None and not takes_more:
        raise NotApplicable(f"it takes {len(sizes)} views of one size: {problem}")
    if problem is not None:
        raise Broken(
            f"a finite loss of {len(mixed)} views of which the last has {size // 2} pixels, as it takes {len(mixed)} "
            f"of {size}",
            problem,
            "pass the views to the encoder one by one, or as a list, of which it makes one batch of embeddings",
        )


def gradients(setting: Setting) -> None:
    """Gradients reach every parameter that is trained, and nothing that is not trained by them."""
    method = setting.build()
    batch = setting.batches(1)[0]
    method.before_step(progress(0))
    method.loss(*batch).loss.backward()  # type: ignore[no-untyped-call]
    for part, module in _parts(method):
        trained = {name: p.grad for name, p in module.named_parameters() if p.requires_grad}
        missed = [name for name, gradient in trained.items() if gradient is None]
        if missed or not any(bool(gradient.any()) for gradient in trained.values() if gradient is not None):
            raise Broken(
                f"a gradient in every trained parameter of {part}",
                f"none in {len(missed)} of {len(trained)}, {missed[0]} among them"
                if missed
                else "zeros alone",
                "look for a detach() or a no_grad() between the views and the loss, and leave to what is not trained "
                "requires_grad_(False)",
            )
    reached = {name for name, p in method.named_parameters() if p.grad is not None}
    _refuse_gradients(method, reached)
    idle = [name for name, p in method.named_parameters() if p.requires_grad and name not in reached]
    if idle:
        raise Broken(
            "a gradient in every parameter that requires one, as several processes wait for it",
            f"none in {len(idle)}, {idle[0]} among them",
            "call requires_grad_(False) on what hooks move or nothing trains, such as a copy of the encoder",
        )


def _refuse_gradients(method: Method, reached: set[str]) -> None:
    """Looks for gradients in target networks, and for graphs that buffers hold."""
    before = {name: p.detach().clone() for name, p in method.named_parameters()}
    for parameter in method.encoder.parameters():  # a target network moves when the encoder has moved
        parameter.data = parameter.data + 1
    method.after_step(progress(0))
    encoder = set(method.encoder.state_dict())
    for path, module in method.named_modules():
        if module is method.encoder or set(module.state_dict()) != encoder:
            continue
        names = {f"{path}.{name}" for name, _ in module.named_parameters()}
        moved = {
            name for name, p in method.named_parameters() if name in names and bool((p != before[name]).any())
        }
        if moved and reached & names:
            raise Broken(
                f"no gradient in {path}, a copy of the encoder that after_step moves",
                f"one in {len(reached & names)} of its parameters",
                "call requires_grad_(False) on the copy, and compute the target under torch.no_grad()",
            )
    held = [name for name, buffer in method.named_buffers() if buffer.requires_grad]
    if held:
        raise Broken(
            "no buffer that keeps the graph of a loss",
            f"{held[0]} requires a gradient",
            "detach() what is stored in it",
        )


def _parts(method: Method) -> Sequence[tuple[str, nn.Module]]:
    parts = (("the backbone", method.encoder.backbone), ("the projector", method.encoder.projector))
    return [part for part in parts if any(p.requires_grad for p in part[1].parameters())]


def _problem(setting: Setting, sizes: Sequence[int]) -> str | None:
    """Returns what is wrong with the loss of views of these sizes; None where it is finite."""
    views = make_views(sizes, setting.config.data.channels, 0)
    try:
        loss = _loss(setting.build(), views, bf16=False)
    except Exception as error:  # whatever the method raises
        return f"{type(error).__name__}: {error}"
    return None if bool(loss.isfinite()) else f"a loss of {loss.item()}"


def _finite_losses(setting: Setting, *, bf16: bool) -> None:
    precision = "bf16 autocast" if bf16 else "float32"
    for batch in setting.batches(3):
        method = setting.build()
        loss = _loss(method, batch.views, bf16=bf16)
        if loss.shape != () or loss.dtype != torch.float32:
            raise Broken(
                f"one number in float32, of shape (), as the loss in {precision}",
                f"{loss.dtype} of shape {tuple(loss.shape)}",
                "compute the loss in float32, under torch.autocast(device.type, enabled=False), and take its mean",
            )
        loss.backward()  # type: ignore[no-untyped-call]
        method.after_step(progress(0))  # raises where bf16 reaches what is stored
        endless = [
            n
            for n, p in method.named_parameters()
            if p.grad is not None and not bool(p.grad.isfinite().all())
        ]
        if not bool(loss.isfinite()) or endless:
            raise Broken(
                f"a finite loss and finite gradients in {precision}",
                f"a loss of {loss.item()}"
                + (f" and a gradient that is not finite in {endless[0]}" if endless else ""),
                "compute in float32 from the embeddings on, z.float() under torch.autocast(device.type, "
                "enabled=False), and keep logarithms, roots and divisors away from zero",
            )


def _loss(method: Method, views: Sequence[Tensor], *, bf16: bool) -> Tensor:
    method.before_step(progress(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return method.loss(views, torch.arange(len(views[0]))).loss
