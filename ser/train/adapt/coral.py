"""Correlation alignment: the covariances of source and target embeddings are made the same (deep CORAL).

Sun & Saenko, "Deep CORAL", ECCV workshops 2016. Embeddings `(runs, batch, d)`; the loss is |C_s - C_t|_F^2 / (4 d^2), with
covariances divided by n - 1. lambda multiplies the loss; the paper chooses it so that at the end of training both losses are
about equal. Because of d^2 the loss is small, and lambda often has to be far above 1.

Differences: libraries differ in the convention (1/n, no 1/4, a norm that is not squared), so lambdas do not carry over. Means
are not compared: a shift of all features is not seen. `mmd` sees means and all else.
"""

import math

import torch
from torch import Tensor

from ser.train.adapt._base import Adaptation, Side
from ser.train.nn.layers import row_products

CITATION = (
    "B. Sun, K. Saenko: Deep CORAL: Correlation Alignment for Deep Domain Adaptation. ECCV workshops 2016. arXiv:1607.01719"
)


class Method(Adaptation):
    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        return coral(source.embedding, target.embedding)


def coral(x: Tensor, y: Tensor) -> Tensor:
    """|C_x - C_y|_F^2 / (4 d^2) of each run; the covariance of a single vector is 0.

    With X and Y centred and divided by sqrt(n - 1), and A = [X; Y], the norm is the sum of (A A')_ij^2, where pairs of an x
    and a y count -1: for batches smaller than d this is less work than the covariances.

    Args:
        x, y: `(runs, n, d)` and `(runs, m, d)`.

    Returns:
        `(runs,)`.
    """
    parts = [(v - v.mean(1, keepdim=True)) / math.sqrt(max(1, v.shape[1] - 1)) for v in (x, y)]
    a, n = torch.cat(parts, dim=1), x.shape[1]
    gram = row_products(a, a).square()
    norm = gram[:, :n, :n].sum((1, 2)) + gram[:, n:, n:].sum((1, 2)) - 2 * gram[:, :n, n:].sum((1, 2))
    return norm / (4 * x.shape[2] ** 2)
