"""Conditional adversarial adaptation: the discriminator sees features and predictions together (CDAN+E).

Long et al., "Conditional adversarial domain adaptation", NeurIPS 2018. With the embedding f `(runs, batch, E)` and the class
probabilities g `(runs, batch, K)`, the discriminator (KE-256-128-1) reads their outer product. Where K E is above 4096 it reads
the paper's randomised map (R_f f) * (R_g g) / sqrt(1024), with fixed standard normal matrices of 1024 rows. Entropy
conditioning: an utterance counts 1 + exp(-H(g)), scaled to a mean of 1 over each corpus, so that certain predictions weigh
more. Reversal and schedule are those of `dann`.

Difference from `dann`: it aligns each predicted class with itself, which helps where the corpora differ in their shares of
classes, and harms where predictions on the target are wrong. Differences from the paper: no gradient goes through g and the
weights, so the layers after the embedding learn from the classification loss alone; the random matrices are the same for all
runs.
"""

import math

import torch
from torch import Tensor

from ser.train.adapt._base import Adaptation, Discriminator, Side, domain_loss, reverse
from ser.train.nn import streams

LARGEST = 4096  # product of the sizes that is still computed
RANDOM = 1024  # numbers of the randomised map


CITATION = "M. Long, Z. Cao, J. Wang, M. I. Jordan: Conditional Adversarial Domain Adaptation. NeurIPS 2018. arXiv:1705.10667"


class Method(Adaptation):
    ramp = "dann"
    reverses = True
    targets = ("emotion", "votes")
    of_embedding: Tensor
    of_classes: Tensor

    def __init__(self, classes: int, size: int, weight: float = 1.0, ramp: str = "") -> None:
        super().__init__(classes, size, weight, ramp)
        self.random = classes * size > LARGEST
        self.discriminator = Discriminator(RANDOM if self.random else classes * size)
        if self.random:
            stream = streams.generator(0, "cdan", classes, size)
            self.register_buffer("of_embedding", torch.randn(1, size, RANDOM, generator=stream))
            self.register_buffer("of_classes", torch.randn(1, classes, RANDOM, generator=stream) / math.sqrt(RANDOM))

    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        f = reverse(torch.cat([source.embedding, target.embedding], dim=1), self.strength(progress))
        logp = torch.cat([source.logits, target.logits], dim=1).detach().log_softmax(-1)
        scores = self.discriminator(self._joined(f, logp.exp()))
        certain = 1 + (logp.exp() * logp).sum(-1).exp()  # the sum is -H
        halves = certain.view(len(certain), 2, -1)
        return domain_loss(scores, (halves / halves.mean(-1, keepdim=True)).flatten(1))

    def _joined(self, f: Tensor, g: Tensor) -> Tensor:
        if not self.random:
            return (g[..., None] * f[..., None, :]).flatten(2)
        runs = len(f)
        matrices = (self.of_embedding.to(f).expand(runs, -1, -1), self.of_classes.to(f).expand(runs, -1, -1))
        return torch.bmm(f, matrices[0]) * torch.bmm(g, matrices[1])
