"""An encoder that was trained elsewhere and imported: the backbone alone, z is its features. Not trained here."""

from collections.abc import Sequence

from torch import Tensor

from ssl_zoo.errors import UserError
from ssl_zoo.method import LossOutput, Method


class Imported(Method):
    """The encoder of a checkpoint that `ssl-zoo import` has read."""

    def loss(self, views: Sequence[Tensor], index: Tensor) -> LossOutput:
        """Refuses: how it was trained is not known here.

        Raises:
            UserError: always.
        """
        raise UserError(
            "an imported encoder has no loss to be trained with; received one; begin a run of another method with its "
            "weights: ssl-zoo train method=NAME start_from=RUN"
        )
