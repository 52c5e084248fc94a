"""Attention with a bias by the distance of the key from the query: that of ALiBi, and any of long utterances.

WavLM's (Chen et al., JSTSP 2022, section III-B) is gated by the query. The library's makes several matrices of all pairs of
frames: it computes utterances of up to `LONG` frames, and longer ones are computed here, of its own weights.

A bias depends on the distance alone, so a head has no more than `2 * frames - 1` different numbers: a line, in which a query's
row is a window. Of long utterances rows are made of it for a block of queries of one head at a time, without a matrix of all
pairs of frames. That is exact: a query's softmax is over all keys, and does not depend on other queries.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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


class Alibi(NamedTuple):
    """The learned scales of the bias that data2vec 2.0 and emotion2vec add to attention, ALiBi (Press et al., ICLR 2022).

    Attributes:
        scale: `(blocks or 1, 1, heads or 1, 1, 1)`, float32.
        heads: the number of heads that have a bias.
        all_heads: the number of all heads.
    """

    scale: Tensor
    heads: int
    all_heads: int


class Bias:
    """The bias of the attention of each block: distances times scales, and -inf where a key is padding.

    Of batches of more than `LONG` frames it is made for some queries at a time.

    Args:
        alibi: None where only padding matters.
        extra: tokens in front of the frames, which are at no distance from any.
        frames: of the batch, without the extra tokens.
        mask: `(batch, frames)`; None where all are real.
        dtype: of queries and keys.
    """

    def __init__(self, alibi: Alibi | None, extra: int, frames: int, mask: Tensor | None, dtype: torch.dtype) -> None:
        self.alibi, self.extra, self.frames, self.dtype = alibi, extra, frames, dtype
        self.hidden = None if mask is None else ~F.pad(mask, (extra, 0), value=True)[:, None, None]
        self.cache: dict[int, Tensor | None] = {}
        # Once a batch: a GPU waits for each copy of numbers to it.
        self.slope = None if alibi is None else torch.tensor(slopes(alibi.heads), device=alibi.scale.device)

    def attend(self, block: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The attention of a block with its bias; all are `(batch, heads, N, dim)`, N with the extra tokens."""
        if self.alibi is None or self.frames <= LONG:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=self.of(block))
        place = torch.arange(self.frames - 1, -self.frames, -1, device=q.device, dtype=torch.float32)
        lines = self._added(self.alibi, block, place[None])[:, 0]
        hidden = None if self.hidden is None else self.hidden.flip(-1)

        def fill(bias: Tensor, head: int, begin: int) -> None:
            first, last = (max(n - self.extra, 0) for n in (begin, begin + bias.shape[2]))
            none = bias.shape[2] - (last - first)  # queries of extra tokens, whose bias is 0, as is that of their keys
            bias[:, :, :none] = 0
            bias[..., self.frames :] = 0
            bias[:, :, none:, : self.frames] = windows(lines[head], first, last)
            if hidden is not None:
                bias.masked_fill_(hidden, float("-inf"))

        return attend(q, k, v, fill)

    def of(self, block: int) -> Tensor | None:
        """The bias of a block, `(batch or 1, heads, N, N)`, or what broadcasts to it."""
        shared = self.alibi is None or len(self.alibi.scale) == 1
        key = 0 if shared else block
        if key not in self.cache:
            self.cache = {key: self._of(key)}  # the one before is not needed again
        return self.cache[key]

    def _of(self, block: int) -> Tensor | None:
        bias = None if self.alibi is None else self._whole(self.alibi, block)
        if self.hidden is None:
            return bias
        return ~self.hidden if bias is None else bias.masked_fill(self.hidden, float("-inf"))

    def _whole(self, alibi: Alibi, block: int) -> Tensor:
        place = torch.arange(self.frames, device=alibi.scale.device, dtype=torch.float32)
        bias = self._added(alibi, block, place[None] - place[:, None])
        return F.pad(bias, (self.extra, 0, self.extra, 0))[None]

    def _added(self, alibi: Alibi, block: int, apart: Tensor) -> Tensor:
        """The bias of each head at distances `(a, b)`: `(heads, a, b)`, 0 for heads that have none."""
        assert self.slope is not None
        scale = alibi.scale[0 if len(alibi.scale) == 1 else block].float().clamp_min(0)[0]
        bias = self.slope[:, None, None] * -apart.abs() * scale
        return F.pad(bias, (0, 0, 0, 0, 0, alibi.all_heads - alibi.heads)).to(self.dtype)


def slopes(heads: int) -> list[float]:
    """ALiBi's slopes of each head: a geometric sequence, that of the next lower power of two and every other of the next.

    >>> slopes(4)
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    lower = 2 ** math.floor(math.log2(heads))
    own = [2.0 ** (-8 * (k + 1) / lower) for k in range(lower)]
    return own if lower == heads else own + slopes(2 * lower)[0::2][: heads - lower]


class LongAttention(nn.Module):
    """Stands in place of a `WavLMAttention`, which it holds.

    Attributes:
        longest: frames up to which the library's own computes.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.attention = attention
        self.longest = LONG

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, position_bias: Tensor | None = None, **others: Any
    ) -> tuple[Tensor, None, Tensor]:
        """`(batch, frames, dim)` -> the same, None, and what the next block takes as `position_bias`.

        Of long utterances that is a line for each head, `(heads, 2 * frames - 1)`: see `distance_bias`.
        """
        if hidden_states.shape[1] <= self.longest:
            out: tuple[Tensor, None, Tensor] = self.attention(
                hidden_states, attention_mask=attention_mask, position_bias=position_bias, **others
            )
            return out
        own = self.attention
        lines = self._lines(hidden_states.shape[1]) if position_bias is None else position_bias
        shape = (*hidden_states.shape[:2], own.num_heads, own.head_dim)
        q, k, v = (make(hidden_states).view(shape).transpose(1, 2) for make in (own.q_proj, own.k_proj, own.v_proj))
        gate = self._gate(hidden_states.view(shape).transpose(1, 2))
        hidden = None if attention_mask is None else attention_mask.ne(1).flip(1)[:, None, None]

        def fill(bias: Tensor, head: int, begin: int) -> None:
            end = begin + bias.shape[2]
            torch.mul(gate[:, head : head + 1, begin:end], windows(lines[head], begin, end), out=bias)
            if hidden is not None:
                bias.masked_fill_(hidden, float("-inf"))

        mixed = attend(q, k, v, fill).transpose(1, 2).reshape(hidden_states.shape)
        return own.out_proj(mixed), None, lines

    def _lines(self, frames: int) -> Tensor:
        """The bias of keys from `frames - 1` after the query to as many before it, `(heads, 2 * frames - 1)`."""
        after, before = self.attention.compute_bias(1, frames)[:, 0], self.attention.compute_bias(frames, 1)[:, 1:, 0]
        return torch.cat([after.flip(1), before], 1)

    def _gate(self, heads: Tensor) -> Tensor:
        """`(batch, heads, frames, dim)` -> `(batch, heads, frames, 1)`."""
        own = self.attention
        gates = torch.sigmoid(own.gru_rel_pos_linear(heads).unflatten(-1, (2, 4)).sum(-1))
        gate_a, gate_b = gates.chunk(2, dim=-1)
        gated: Tensor = gate_a * (gate_b * own.gru_rel_pos_const - 1.0) + 2.0
        return gated


def swap(blocks: nn.ModuleList) -> list[LongAttention]:
    """Put a `LongAttention` into each block of a WavLM model."""
    made = []
    for block in blocks:
        block.attention = LongAttention(block.attention)
        made.append(block.attention)
    return made


@contextmanager
def all_long(attentions: Sequence[LongAttention]) -> Iterator[None]:
    """Within the block, utterances of any length are computed as long ones are."""
    for attention in attentions:
        attention.longest = 0
    try:
        yield
    finally:
        for attention in attentions:
            attention.longest = LONG
