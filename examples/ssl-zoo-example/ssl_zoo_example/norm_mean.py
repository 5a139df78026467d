"""The mean length of the embeddings."""

from ssl_zoo import Embeddings, metric


@metric(
    "norm_mean",
    title="mean norm",
    meaning="Mean length of the embeddings before they are normalised: it grows where the loss pays no heed to it.",
)
def norm_mean(view: Embeddings) -> float:
    """Returns the mean Euclidean norm of z (N, D)."""
    return float(view.z.norm(dim=1).mean())
