"""The memory that a process does without where backbones are divided among processes."""

from __future__ import annotations

from ssl_zoo.config.schema import RunConfig
from ssl_zoo.method import Encoder, Method
from ssl_zoo.training.blocks import blocks_of

__all__ = ["divided_bytes"]

# Of the largest block: its gathered weights and the next one's, each with what was sent; and its gradients.
GATHERED = 5


def divided_bytes(config: RunConfig, method: Method, states: int) -> tuple[int, int]:
    """Returns the bytes that one process leaves to the others, and those that it gathers for a time.

    Args:
        config: of the run; both are 0 under another strategy than fsdp.
        method: with whole weights.
        states: values that the optimizer keeps for each weight.
    """
    processes = config.trainer.processes
    if config.trainer.strategy != "fsdp" or processes == 1:
        return 0, 0
    elsewhere = largest = 0
    for encoder in [module for module in method.modules() if isinstance(module, Encoder)]:
        blocks = blocks_of(encoder.backbone)
        in_blocks = {id(p) for block in blocks for p in block.parameters()}
        rest = sum(p.nbytes for p in encoder.backbone.parameters() if id(p) not in in_blocks)
        largest = max(largest, rest, *(sum(p.nbytes for p in block.parameters()) for block in blocks))
        for parameter in encoder.backbone.parameters():
            # The first process has the larger part of what cannot be divided evenly: tensors are cut into rows.
            rows = parameter.shape[0] if parameter.ndim else 1
            others = parameter.nbytes // max(1, rows) * (rows - -(-rows // processes))
            elsewhere += others * (2 + states if parameter.requires_grad else 1)  # weight, gradient, state
    return elsewhere, GATHERED * largest
