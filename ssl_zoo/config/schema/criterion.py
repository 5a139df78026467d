"""The block `method` of joint_embedding: one of lightly's losses over two embeddings, its arguments as keys.

    method.criterion: {name: VICRegLoss, lambda_param: 25}

The keys beside the name are read off the signature of the loss, with their types and defaults. Only the losses listed
here are taken, by their names in `lightly.loss`: each has been compared over two processes with one.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints

from pydantic import Field
from typing_extensions import Self

from ssl_zoo import from_lightly
from ssl_zoo.config.schema.method import MethodConfig
from ssl_zoo.config.schema.types import Positive, extended, section
from ssl_zoo.errors import UserError, shown, suggest

__all__ = ["CRITERIA", "NO_CRITERIA", "CriterionConfig", "JointEmbeddingConfig"]

# The losses, and what to know of each beside its own documentation.
CRITERIA: Mapping[str, str] = {
    "BarlowTwinsLoss": "correlation between the channels of both sides",
    "DCLLoss": "NT-Xent without the positive pair in its denominator",
    "DCLWLoss": "DCL with its positive pairs weighted",
    "DirectCLRLoss": "NT-Xent on the first loss_dim channels; its paper has no projector (method.projector.layers=0)",
    "HypersphereLoss": "alignment and uniformity",
    "MACLLoss": "NT-Xent whose temperature follows the alignment of the batch",
    "NTXentLoss": "as method=simclr, views encoded separately",
    "NegativeCosineSimilarity": "nothing keeps it from collapsing: method=simsiam has predictor and stop-gradient",
    "TiCoLoss": "covariance of the first side alone; its paper takes the second from a momentum encoder, not here",
    "VICRegLoss": "variance, invariance and covariance",
}
# Losses with two tensors that are not two views' embeddings.
NO_CRITERIA: Mapping[str, str] = {
    "CAPILoss": "takes the logits of a teacher and a student over clusters",
    "IBOTPlusPlusPatchLoss": "takes the logits of patches, and keeps a centre",
    "MMCRLoss": "takes (N, views, D) of an encoder and of its moving average",
    "PatchKernelAlignmentLoss": "takes the features (N, patches, D) of a student and a teacher",
}
NOT_TAKEN = {
    "gather_distributed": "both sides are gathered from all processes in any case",
    "memory_bank_size": "lightly's memory bank is in no checkpoint, and a resumed run would start from a random one; "
    "a queue that is in it has method=moco",
}
SIMPLE = (bool, int, float, str)  # types that a YAML file holds


@section
class CriterionConfig:
    """The loss, and as further keys the arguments that its signature has: `ssl-zoo config method=…` prints them."""

    name: Annotated[str, Field(json_schema_extra={"enum": [*CRITERIA]})]
    """Class in lightly.loss. docs/guide.md lists the losses with their arguments."""

    def __post_init__(self) -> None:
        if type(self) is not CriterionConfig:
            self.build()  # for the ranges that a loss checks itself

    def build(self) -> Any:
        """Returns lightly's loss.

        Raises:
            UserError: there is none of this name.
            ValueError: by the loss itself, an argument is out of range.
        """
        names = (field.name for field in dataclasses.fields(self))
        return loss_class(self.name)(**{name: getattr(self, name) for name in names if name != "name"})


@section
class JointEmbeddingConfig(MethodConfig):
    """The keys of method=joint_embedding."""

    criterion: CriterionConfig
    """The loss over two embeddings, by its name in lightly.loss; its arguments are further keys of the block."""
    loss_scale: Positive = 1.0
    """Multiplies the loss."""

    @property
    def label(self) -> str:
        """The method with its loss."""
        return f"{self.name} of {self.criterion.name}"

    @classmethod
    def for_block(cls, block: Mapping[str, Any]) -> type[Self]:
        """Returns this class with the arguments of the block's loss as keys of `criterion`.

        Raises:
            UserError: lightly has no such loss over two embeddings, or it takes no such argument.
        """
        given = block.get("criterion")
        name = given.get("name") if isinstance(given, Mapping) else None
        if not isinstance(given, Mapping) or not isinstance(name, str):
            return cls  # whose validation refuses it
        config = criterion_config(name)
        taken, not_taken = [field.name for field in dataclasses.fields(config)], arguments_not_taken(name)
        for key in [key for key in given if key not in taken]:
            if key in not_taken:
                raise UserError(
                    f"method.criterion.{key} cannot be set: {not_taken[key]}; received {shown(given[key])}; leave it "
                    "out"
                )
            raise UserError(
                f"unknown key 'method.criterion.{key}'; with {name} there are {', '.join(taken)}"
                f"{suggest(str(key), taken)}"
            )
        found: type[Self] = _with_criterion(cls, config)  # type: ignore[arg-type]  # classes can be hashed
        return found

    def check_views(self, count: int) -> None:
        """Refuses more or fewer views than two."""
        if count != 2:
            raise UserError(
                f"method={self.name} compares two views of an image; received {count}; set augment.views=null for two "
                "views alike, or give two"
            )


@functools.cache  # as configurations are equal only if they are of one class
def _with_criterion(cls: type[Any], criterion: type[CriterionConfig]) -> type[Any]:
    return extended(cls, {"criterion": criterion})


def loss_class(name: str) -> type[Any]:
    """Returns the class of one of lightly's losses over two embeddings.

    Raises:
        UserError: there is none of this name; the message lists those there are.
    """
    if name in CRITERIA:
        found: type[Any] = getattr(from_lightly, name)  # only now, as it imports torch
        return found
    reason, other = NO_CRITERIA.get(name, ""), getattr(from_lightly.other_loss(name), "forward", None)
    if other is not None and not reason:
        reason = f"takes {', '.join([*inspect.signature(other).parameters][1:])}"
    raise UserError(
        f"method.criterion.name must be one of lightly's losses over two embeddings (N, D), {', '.join(CRITERIA)}; "
        f"received {shown(name)}{f', which {reason}' if reason else ''}{suggest(name, CRITERIA)}"
    )


@functools.cache
def criterion_config(name: str) -> type[CriterionConfig]:
    """Returns the section of a loss: its name, and the arguments of its signature with their types and defaults.

    Raises:
        UserError: as `loss_class`.
    """
    loss, left_out = loss_class(name), arguments_not_taken(name)
    hints = get_type_hints(loss.__init__)
    taken = {key: each for key, each in inspect.signature(loss).parameters.items() if key not in left_out}
    defaults = {key: each.default for key, each in taken.items() if each.default is not each.empty}
    return extended(CriterionConfig, {key: hints[key] for key in taken}, **defaults)


def arguments_not_taken(name: str) -> dict[str, str]:
    """Returns the arguments of a loss that are no keys, with the reason."""
    hints = get_type_hints(loss_class(name).__init__)
    functions = {key: "a YAML file holds no such value" for key in hints if hints[key] not in SIMPLE}
    return {
        key: NOT_TAKEN.get(key, functions.get(key, "")) for key in hints if key in {*NOT_TAKEN, *functions}
    }
