"""Attention with a bias by distance for long utterances, without a matrix of all pairs of frames.

A bias depends on the distance of the key from the query alone, so a head has no more than `2 * frames - 1` different
numbers: a line, in which a query's row is a window. Rows are made of it for a block of queries of one head at a time. That is
exact: a query's softmax is over all keys, and does not depend on other queries.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

# Frames, 41 s: up to there all pairs at once are some 200 MB for 12 heads. Most corpora have no longer utterances.
LONG = 2048
# Bytes of a block's bias in float32: 1,100 queries of an utterance of 10 minutes, so that products stay large; on a GPU twice.
CPU_BLOCK, GPU_BLOCK = 2**27, 2**28


def attend(q: Tensor, k: Tensor, v: Tensor, fill: Callable[[Tensor, int, int], None]) -> Tensor:
    """Softmax over keys of `q @ k.T / sqrt(dim)` plus the bias, times the values.

    Args:
        q, k, v: `(batch, heads, frames, dim)`.
        fill: writes the bias `(batch, 1, queries, frames)`, **the last key first**, of a head and the queries from a first one.

    Returns:
        `(batch, heads, frames, dim)`.
    """
    batch, heads, length, _ = q.shape
    most = CPU_BLOCK if q.device.type == "cpu" else GPU_BLOCK
    size = max(1, most // (batch * length * 4))
    k, v = k.flip(2), v.flip(2)
    mixed = torch.empty_like(q)
    block = q.new_empty(batch, 1, min(size, length), length)  # one for all: the first touch of memory is what costs
    for head in range(heads):
        own = slice(head, head + 1)
        for begin in range(0, length, size):
            some = slice(begin, min(begin + size, length))
            bias = block[:, :, : some.stop - begin]
            fill(bias, head, begin)
            mixed[:, own, some] = F.scaled_dot_product_attention(q[:, own, some], k[:, own], v[:, own], attn_mask=bias)
    return mixed


def windows(line: Tensor, begin: int, end: int) -> Tensor:
    """The rows of some queries as a view of a line, `(queries, frames)`, the last key first.

    Args:
        line: `(2 * frames - 1,)`: the bias where the key is `frames - 1` after the query, down to as many before it.

    >>> windows(torch.tensor([2, 1, 0, -1, -2]), 0, 2)
    tensor([[ 2,  1,  0],
            [ 1,  0, -1]])
    """
    return line.unfold(0, (len(line) + 1) // 2, 1)[begin:end]
