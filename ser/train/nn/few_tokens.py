"""Attention between many tokens and few, as of speech and its words, with fewer multiplications.

Attention multiplies every token by weights of H x H before tokens meet. Where the tokens s are few beside the tokens x, it is
shorter to carry the few through both weights, head by head:

    scores = (x Wq) (s Wk)^T = x ((s Wk) Wq^T)^T        output = A (s Wv) Wo = A ((s Wv) Wo)

for few keys s, and the same the other way round for few queries. The many are then multiplied by one column for each head and
each of the few, in place of H columns. It is the function of Vaswani et al. (2017) with its products in another order, and
differs by rounding. The bias of the keys adds the same number to all scores of a query, which softmax does not see: with few
queries it is left out, and its gradient is exactly 0.
"""

import math
from typing import Any

import torch
from torch import Tensor

from ser.train.nn import kernels
from ser.train.nn.layers import Linear, is_traced

PAYS = 0.8  # of the multiplications of the usual order: from there the other one is faster
LEAST = 1 << 25  # multiplications of the usual order: fewer take less time than the calls around them


def pays(x: Tensor, rows: int, batch: int, tokens: tuple[int, int], heads: int) -> bool:
    """True if the other order is used: on a CPU, in float32, where it takes clearly fewer multiplications.

    Args:
        x: of either side, `(runs, ..., H)`; the number of runs does not count.
        rows: real tokens of both sides in the batch.
        batch: utterances.
        tokens: of an utterance, with padding, of both sides.
    """
    if is_traced() or x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu"):
        return False
    size, pairs = x.shape[-1], batch * math.prod(tokens)
    usual = 2 * rows * size**2 + 2 * pairs * size
    other = 4 * batch * min(tokens) * size**2 + 2 * pairs * heads * size
    return usual >= LEAST and other < PAYS * usual


def of_few_keys(x: Tensor, k: Tensor, v: Tensor, query: Linear, output: Linear, heads: int, mask: Tensor | None) -> Tensor:
    """Attention's output.

    Args:
        x: tokens that ask, `(runs, batch, N, H)`.
        k, v: keys and values, `(runs, batch, M, H)`.
        mask: `(runs, batch, M)`, true where a key is real.

    Returns:
        `(runs, batch, N, H)`.
    """
    runs, batch, few, size = k.shape
    k = k / math.sqrt(size // heads)
    wide = _times_transposed(_by_head(k, heads), _columns(query.weight, heads))
    scores = _times_transposed(x.flatten(0, 1), _by_utterance(wide, k.shape, heads))
    bias = (k * query.bias[:, None]).view(runs * batch, few, heads, -1).sum(-1).transpose(1, 2)
    scores = scores.view(runs * batch, -1, heads, few) + bias[:, None]
    if mask is not None:
        scores = scores.masked_fill(~mask.flatten(0, 1)[:, None, None], -math.inf)
    values = _by_utterance(_times(_by_head(v, heads), _rows(output.weight, heads)), k.shape, heads)
    mixed = _times(scores.softmax(-1).flatten(2), values)
    return mixed.view(x.shape) + output.bias[:, None]


def of_few_queries(q: Tensor, source: Tensor, key: Linear, value: Linear, heads: int, mask: Tensor | None) -> Tensor:
    """What each query sees, of all heads side by side: attention before its last layer.

    Args:
        q: queries, `(runs, batch, N, H)`.
        source: tokens of the keys and values, `(runs, batch, M, H)`.
        mask: `(runs, batch, M)`, true where a token is real.

    Returns:
        `(runs, batch, N, H)`.
    """
    runs, batch, few, size = q.shape
    q, source = q / math.sqrt(size // heads), source.flatten(0, 1)
    wide = _times_transposed(_by_head(q, heads), _columns(key.weight, heads))
    scores = _times_transposed(_by_utterance(wide, q.shape, heads), source)
    if mask is not None:
        scores = scores.masked_fill(~mask.flatten(0, 1)[:, None], -math.inf)
    seen = _times(scores.softmax(-1), source).view(runs, batch, heads, few, size)
    seen = seen.transpose(1, 2).reshape(runs * heads, batch * few, size)
    mixed = _times(seen, _columns(value.weight, heads)).view(runs, heads, batch, few, -1)
    return mixed.permute(0, 2, 3, 1, 4).reshape(q.shape) + value.bias[:, None]


def _by_head(x: Tensor, heads: int) -> Tensor:
    """`(runs, batch, tokens, H)` -> `(runs * heads, batch * tokens, H / heads)`."""
    runs, batch, tokens = x.shape[:3]
    return x.view(runs, batch * tokens, heads, -1).transpose(1, 2).reshape(runs * heads, batch * tokens, -1)


def _by_utterance(x: Tensor, shape: torch.Size, heads: int) -> Tensor:
    """`(runs * heads, batch * tokens, H)`, of tokens of a shape -> `(runs * batch, heads * tokens, H)`."""
    runs, batch, tokens, size = shape
    return x.view(runs, heads, batch, tokens, size).transpose(1, 2).reshape(runs * batch, heads * tokens, size)


def _columns(weight: Tensor, heads: int) -> Tensor:
    """The columns of each head, `(runs, H, H)` -> `(runs * heads, H, H / heads)`."""
    runs, size, _ = weight.shape
    return weight.view(runs, size, heads, -1).transpose(1, 2).reshape(runs * heads, size, -1)


def _rows(weight: Tensor, heads: int) -> Tensor:
    """The rows of each head, `(runs, H, H)` -> `(runs * heads, H / heads, H)`."""
    return weight.reshape(len(weight) * heads, -1, weight.shape[-1])


def _times(x: Tensor, w: Tensor) -> Tensor:
    """`(n, rows, K)` and `(n, K, N)` -> `(n, rows, N)`."""
    out: Tensor = _Times.apply(x, w)  # type: ignore[no-untyped-call]
    return out


def _times_transposed(x: Tensor, w: Tensor) -> Tensor:
    """`(n, rows, N)` and `(n, K, N)` -> `(n, rows, K)`."""
    out: Tensor = _TimesTransposed.apply(x, w)  # type: ignore[no-untyped-call]
    return out


class _Times(torch.autograd.Function):
    """See `_times`; by compiled products where there are some for these sizes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return kernels.times(x, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return kernels.times_transposed(g, w), kernels.transposed_times(x, g)


class _TimesTransposed(torch.autograd.Function):
    """See `_times_transposed`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(x, w)
        return kernels.times_transposed(x, w)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        x, w = ctx.saved_tensors
        return kernels.times(g, w), kernels.transposed_times(g, x)
