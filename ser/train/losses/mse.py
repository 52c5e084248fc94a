"""Mean squared error over utterances and dimensions, in standard deviations of the training part.

Grimm et al. (Speech Communication 2007) first estimated the three primitives by regression.
"""

from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("dimensions",)

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        return (batch.logits - batch.target).square().mean((-1, -2))
