"""Domain-adversarial training: a discriminator learns to tell the corpora apart, the head to deceive it (DANN).

Ganin et al., "Domain-adversarial training of neural networks", JMLR 2016. The embedding `(runs, batch, E)` of source and
target goes through a gradient reversal to a discriminator E-256-128-1. The loss is the discriminator's cross-entropy. The
head gets its gradient times -lambda alpha(p), alpha = 2 / (1 + exp(-10 p)) - 1 over training progress p; the
discriminator learns at full strength all the time.

`cdan` does the same given the predicted class; `mmd` and `coral` compare distributions without anything that is learned.
"""

import torch
from torch import Tensor

from ser.train.adapt._base import Adaptation, Discriminator, Side, domain_loss, reverse

CITATION = (
    "Y. Ganin, E. Ustinova, H. Ajakan, P. Germain, H. Larochelle, F. Laviolette, M. Marchand, V. Lempitsky: "
    "Domain-Adversarial Training of Neural Networks. Journal of Machine Learning Research 17(59), 1-35, 2016. "
    "arXiv:1505.07818"
)


class Method(Adaptation):
    ramp = "dann"
    reverses = True

    def __init__(self, classes: int, size: int, weight: float = 1.0, ramp: str = "") -> None:
        super().__init__(classes, size, weight, ramp)
        self.discriminator = Discriminator(size)

    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        embedding = torch.cat([source.embedding, target.embedding], dim=1)
        return domain_loss(self.discriminator(reverse(embedding, self.strength(progress))))
