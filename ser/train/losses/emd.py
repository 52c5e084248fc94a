"""Squared earth mover's distance (Hou et al. 2016, arXiv 1611.05916): the mean over k of (Q_k - P_k)^2, Q and P cumulative.

The classes are taken to lie on a line in the order of the scheme, one step apart: it has a meaning for ordered classes
(levels of a rating), and of unordered ones it depends on that order.
"""

from torch import Tensor

from ser.train.losses._base import Batch, Term


class Loss(Term):
    targets = ("votes",)
    refuses_weights = True

    def forward(self, batch: Batch) -> Tensor:
        assert batch.target is not None
        gap = (batch.target - batch.logits.softmax(-1)).cumsum(-1)
        return gap.square().mean((-1, -2))
