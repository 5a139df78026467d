"""D, the similarity between a prediction and its target; smaller is more alike.

- [0] SimSiam, 2020, https://arxiv.org/abs/2011.10566 (cosine: Eq. 1; cross-entropy over channels: Sec. 4.5)
- [1] CPC, 2018, https://arxiv.org/abs/1807.03748 (InfoNCE)
- [2] SwAV, 2020, https://arxiv.org/abs/2006.09882 (cross-entropy with codes: Eq. 2)
- [3] Zhang et al., 2022, https://arxiv.org/abs/2203.16262 (dot product with a target of parts: Tables 3, 4)
- [4] ReSSL, 2021, https://arxiv.org/abs/2107.09282 (relations to a queue: Eq. 3-5)
- [5] UniGrad, 2022, https://arxiv.org/abs/2112.05141 (the gradient of all methods in one form). Code:
  fundamentalvision/UniGrad, project/pretrainer.py, `loss_unigrad`
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, normalize

from ssl_zoo.config.schema import SiameseConfig
from ssl_zoo.from_lightly import NegativeCosineSimilarity
from ssl_zoo.parts.negatives import Keys
from ssl_zoo.parts.schedule import Progress
from ssl_zoo.parts.sharpening import Sharpening

__all__ = [
    "Cosine",
    "CrossEntropy",
    "Dot",
    "Gradient",
    "InfoNCE",
    "Relational",
    "Similarity",
    "build_similarity",
]


class Similarity(nn.Module):
    """Interface of D: predictions (N, D), their targets and the negatives to a scalar."""

    def before_step(self, progress: Progress) -> None:
        """Called before each optimizer step."""


class Cosine(Similarity):
    """D(p, t) = - p/|p| . t/|t|, by lightly."""

    def __init__(self) -> None:
        super().__init__()
        self.criterion = NegativeCosineSimilarity()

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps predictions (N, D) and targets (N, D) to a scalar."""
        loss: Tensor = self.criterion(p, t)
        return loss


class Dot(Similarity):
    """D(p, t) = - p/|p| . t, the target as long as it is, so that it is p/|p|'s gradient but for the sign."""

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps predictions (N, D) and targets (N, D) to a scalar."""
        return -(normalize(p, dim=1) * t).sum(dim=1).mean()


class CrossEntropy(Similarity):
    """D(p, t) = - q . log softmax(p / tau); q = t where t are codes, else softmax(t / tau), tau the target's own."""

    def __init__(self, temperature: float, sharpen: Sharpening | None) -> None:
        super().__init__()
        self.temperature = temperature
        self.sharpen = sharpen  # None: the targets are codes

    def before_step(self, progress: Progress) -> None:
        if self.sharpen is not None:
            self.sharpen.before_step(progress)

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps scores (N, K) and codes or scores (N, K) to a scalar."""
        q = t if self.sharpen is None else self.sharpen(t)  # (N, K)
        return -(q * log_softmax(p / self.temperature, dim=1)).sum(dim=1).mean()


class Relational(CrossEntropy):
    """D(p, t) = - q . log softmax(K p / tau), q = softmax(K t / tau_t): p and t by their relations to unit keys K."""

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps predictions (N, D), targets (N, D) and keys (M, D) to a scalar."""
        assert isinstance(negatives, Keys)
        p, t = (normalize(side, dim=1) @ negatives.keys.T for side in (p, t))  # (N, M) each
        return super().forward(p, t, None)


class InfoNCE(Similarity):
    """D(p, t) = - log( exp(p.t / tau) / (exp(p.t / tau) + sum over negatives k of exp(p.k / tau)) ).

    Where the negatives k are other predictions, exp(t.k / tau) stands in the sum.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps predictions (N, D), positives (N, D) and negatives (M, D) to a scalar."""
        assert isinstance(negatives, Keys)
        p, t = normalize(p, dim=1), normalize(t, dim=1)
        positive = (p * t).sum(dim=1, keepdim=True) / self.temperature  # (N, 1)
        contrasted = t if negatives.of_target else p
        negative = contrasted @ negatives.keys.T / self.temperature  # (N, M)
        if negatives.same_image is not None:
            negative = negative.masked_fill(negatives.same_image, -torch.inf)
        logits = torch.cat([positive, negative], dim=1)  # (N, 1 + M)
        return (logits.logsumexp(dim=1) - positive[:, 0]).mean()


class Gradient(Similarity):
    """D(p, t) = p/|p| . sg(g), g = - t/|t| + lambda p/|p| F: no loss, but the gradient of one, stated.

    Its value is that of UniGrad's code, and no measure of progress.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, p: Tensor, t: Tensor, negatives: Keys | Tensor | None) -> Tensor:
        """Maps predictions (N, D), positives (N, D) and the targets' correlation (D, D) to a scalar."""
        assert isinstance(negatives, Tensor)
        p, t = normalize(p, dim=1), normalize(t, dim=1)
        gradient = -t + self.weight * p @ negatives  # (N, D)
        return (gradient.detach() * p).sum(dim=1).mean()


def build_similarity(config: SiameseConfig) -> Similarity:
    """Builds the similarity that `method.similarity` names."""
    if config.similarity == "cosine":
        return Cosine()
    if config.similarity == "dot":
        return Dot()
    if config.similarity == "gradient":
        return Gradient(config.unified.weight)
    if config.similarity == "info_nce":
        return InfoNCE(config.temperature)
    sharpen = None if config.assignment == "sinkhorn" else Sharpening(config.sharpening, config.temperature)
    relational = config.similarity == "relational"
    return (Relational if relational else CrossEntropy)(config.temperature, sharpen)
