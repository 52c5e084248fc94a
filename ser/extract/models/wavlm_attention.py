"""WavLM's attention (Chen et al., JSTSP 2022, section III-B): relative positions, gated by the query.

The library's makes several matrices of all pairs of frames. Up to `LONG` frames it is what computes; longer utterances
are computed here, of its own weights.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ser.extract.models.distance_bias import LONG, attend, windows


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
