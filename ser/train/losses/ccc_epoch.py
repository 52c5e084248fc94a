"""1 - CCC (Lin 1989) of about one epoch of utterances, mean over the dimensions: `ccc` without the bias of small batches.

The moments E x, E y, E x^2, E y^2 and E xy are means over the batch and the batches before it: an exponential average that
forgets over one epoch, which is the plain mean over all utterances so far during the first. CCC is made of them as in `ccc`.
The gradient is that of the batch's own share of the moments, divided by this share, so that its size does not depend on the
size of the batch. Weninger et al. (IJCAI 2016) train on the CCC of whole training sequences for the same reason.
"""

import torch
from torch import Tensor

from ser.results.metrics.measures import concordance
from ser.train.losses._base import Batch, Term
from ser.train.losses.vad import EPSILON


class Loss(Term):
    targets = ("dimensions",)

    def __init__(self, classes: int, size: int) -> None:
        super().__init__(classes, size)
        self.before: Tensor | None = None  # moments of the steps before, (runs, 5, dimensions)
        self.now: Tensor | None = None
        self.steps = 0

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        x, y = batch.logits, batch.target
        moments = torch.stack([v.mean(1) for v in (x, y, x * x, y * y, x * y)], 1)
        share = 1.0
        if self.before is not None:
            epoch = int(batch.counts.sum(1).max())  # training utterances, of each run as many
            share = max(min(1.0, x.shape[1] / epoch), 1 / (self.steps + 1))
            moments = share * moments + (1 - share) * self.before.to(moments.dtype)
        self.now = moments.detach()
        loss = (1 - _ccc(moments)).mean(-1)
        return loss if share == 1 else loss.detach() + (loss - loss.detach()) / share

    def after_step(self) -> None:
        self.before = self.now
        self.steps += 1

    def keep(self, index: Tensor) -> None:
        self.before = None if self.before is None else self.before[index]


def _ccc(moments: Tensor) -> Tensor:
    """CCC of moments as in `Loss.before`, `(runs, dimensions)`."""
    x, y, xx, yy, xy = moments.unbind(1)
    return concordance(xy - x * y, xx - x * x + yy - y * y, x - y, EPSILON)
