"""The blocks of what is added to the gradient or left out of it: https://arxiv.org/abs/2203.16262."""

from __future__ import annotations

from typing import Literal

from ssl_zoo.config.schema.types import NonNegative, section


@section
class ExtraGradientConfig:
    """The parts of the target: basic gradient + o_e + r_e, the last two the centre and the residual of the extra
    gradient G_e. Zhang et al., Tables 3 and 4."""

    of: Literal["none", "predictor", "negative", "anchor"] = "none"
    """What is taken apart. none: nothing; predictor: SimSiam, P_j and G_e = Z_j - P_j; negative: the triplet loss,
    Z_j and G_e = -Z_n; anchor: the dummy term of Conjecture 1, G_e = Z_i alone."""
    basic: bool = True
    """Whether the basic gradient is kept, P_j or Z_j."""
    center: bool = True
    """Whether o_e is kept, the mean of G_e over the images of all processes."""
    residual: bool = True
    """Whether r_e is kept, the rest of G_e."""

    @property
    def parts(self) -> dict[str, bool]:
        """Whether each part of the target is kept, by its name."""
        return {"basic": self.basic, "center": self.center, "residual": self.residual}

    @property
    def title(self) -> str:
        """The parts that are kept, as `basic and center of predictor`."""
        kept = [name for name, is_kept in self.parts.items() if is_kept]
        return self.of if self.of == "none" else f"{' and '.join(kept)} of {self.of}"


@section
class DecorrelationConfig:
    """A regulariser in our form: the sum of the squared off-diagonal entries of the covariance of z/|z| times √D, over
    D, mean over the views that pass the trained encoder: where targets are encoded apart, the anchors' alone. Zhang et
    al., Fig. 5b."""

    weight: NonNegative = 0.0
    """Its weight in the loss. 0: none."""
    standardized: bool = False
    """Whether each channel is scaled to variance 1 first, so that it is the off-diagonal of the correlation."""
    alone: bool = False
    """Whether it is the whole loss, without the similarity. What has weights, state or views of its own for the
    similarity is then refused; stop_gradient, temperature and loss_scale stay at the method's, and nothing reads
    them."""

    @property
    def title(self) -> str:
        """The weight and the form, as `1, standardized, alone`; `none` for no weight."""
        if not self.weight:
            return "none"
        return ", ".join([f"{self.weight:g}", *["standardized"] * self.standardized, *["alone"] * self.alone])
