"""Maximum mean discrepancy between the embeddings of source and target, with Gaussian kernels of five widths.

Gretton et al., "A kernel two-sample test", JMLR 2012; as a loss in deep networks: Long et al., "Learning transferable features
with deep adaptation networks", ICML 2015. Embeddings `(runs, batch, E)`. The loss is the biased estimate (Gretton, the square
of equation 5) with the mean of the kernels exp(-|x - y|^2 / (2 s^2)), s^2 = 1/4, 1/2, 1, 2, 4 times the median of |x - y|^2
over all pairs of both corpora (median heuristic; of an even number of pairs the lower middle one; no gradient goes through it).
lambda multiplies the loss.

Differences: Long et al. compare several layers, learn the kernels' weights, and estimate in linear time. `coral` compares
covariances only; `dann` and `cdan` learn the comparison.
"""

import torch
from torch import Tensor

from ser.train.adapt._base import Adaptation, Side
from ser.train.nn.layers import row_products

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
SMALLEST = 1e-12  # variance, where all embeddings are the same


CITATION = (
    "M. Long, Y. Cao, J. Wang, M. I. Jordan: Learning Transferable Features with Deep Adaptation Networks. ICML "
    "2015, 97-105. arXiv:1502.02791"
)


class Method(Adaptation):
    def forward(self, source: Side, target: Side, progress: float) -> Tensor:
        x, y = source.embedding, target.embedding
        middle = median(torch.cat([x, y], dim=1).detach())
        return mmd2(x, y, torch.stack([middle * width for width in WIDTHS], dim=1)) / len(WIDTHS)


def mmd2(x: Tensor, y: Tensor, variances: Tensor, unbiased: bool = False) -> Tensor:
    """Squared maximum mean discrepancy of each run, summed over kernels exp(-|x - y|^2 / (2 s^2)).

    Args:
        x, y: `(runs, n, E)` and `(runs, m, E)`.
        variances: s^2 of the kernels, `(kernels,)` or `(runs, kernels)`.
        unbiased: leave out pairs of an utterance with itself (Gretton, equation 3); can be below 0, and needs two of each.

    Returns:
        `(runs,)`.
    """
    n, m = x.shape[1], y.shape[1]
    distances = squared_distances(torch.cat([x, y], dim=1))
    kernel = torch.zeros_like(distances)
    for variance in variances.expand(len(x), -1).unbind(1):
        kernel = kernel + torch.exp(distances / (-2 * variance[:, None, None]))
    within = [kernel[:, :n, :n], kernel[:, n:, n:]]
    sums = [part.sum((1, 2)) for part in within]
    if unbiased:
        sums = [s - p.diagonal(dim1=1, dim2=2).sum(1) for s, p in zip(sums, within, strict=True)]
    pairs = [size * (size - 1) if unbiased else size * size for size in (n, m)]
    return sums[0] / pairs[0] + sums[1] / pairs[1] - 2 * kernel[:, :n, n:].sum((1, 2)) / (n * m)


def squared_distances(z: Tensor) -> Tensor:
    """|z_i - z_j|^2, `(runs, n, E)` -> `(runs, n, n)`; centred first, without which float32 loses digits far from 0."""
    z = z - z.mean(1, keepdim=True).detach()
    squares = z.square().sum(-1)
    return (squares[:, :, None] + squares[:, None] - 2 * row_products(z, z)).clamp_min(0)


def median(z: Tensor) -> Tensor:
    """Of |z_i - z_j|^2 over pairs i < j, `(runs,)`; of an even number of pairs the lower middle one."""
    rows, columns = torch.triu_indices(z.shape[1], z.shape[1], 1, device=z.device)
    return squared_distances(z)[:, rows, columns].median(1).values.clamp_min(SMALLEST)
