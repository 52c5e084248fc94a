"""Attention with a leading run dimension."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.train.nn.layers import Linear
from ser.train.nn.sequences import Packing

Attends = dict[str, tuple[tuple[str, ...], tuple[str, ...]]]  # module -> stores of its queries, and of its keys


class Attention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017), self or cross.

    With a single key the softmax is 1 whatever the query, so the output is the key's value: for `single=True` queries and
    keys are not computed, which is the same function with fewer parameters.

    Raises:
        ConfigError: the size is not a multiple of the number of heads.
    """

    def __init__(self, size: int, heads: int, single: bool = False) -> None:
        super().__init__()
        if size % heads:
            raise ConfigError(f"attention of width {size} with {heads} heads", expected=f"a multiple of {heads}")
        self.heads = heads
        self.query = None if single else Linear(size, size)
        self.key = None if single else Linear(size, size)
        self.value = Linear(size, size)
        self.output = Linear(size, size)

    def forward(
        self,
        x: Tensor,
        source: Tensor,
        mask: Tensor | None,
        packing: Packing | None = None,
        source_packing: Packing | None = None,
    ) -> Tensor:
        """Queries from `x (runs, batch, N, H)`, keys and values from `source (runs, batch, M, H)` -> `(runs, batch, N, H)`.

        Where a packing is given, that side is packed, and so is the result; the mask is that of the padded keys.
        """
        mixed: Tensor = self.output(self.mix(x, source, mask, packing, source_packing))
        if self.query is not None:
            return mixed
        return mixed.expand_as(x) if packing is None else packing.pack(mixed.expand(-1, *packing.shape, -1))

    def mix(
        self,
        x: Tensor,
        source: Tensor,
        mask: Tensor | None,
        packing: Packing | None = None,
        source_packing: Packing | None = None,
    ) -> Tensor:
        """The values that each query sees, of all heads side by side, as `forward` without its last layer.

        Of a single key it is one value, `(runs, batch, 1, H)`, for all queries.
        """
        if self.query is None or self.key is None:
            value: Tensor = self.value(source)
            return value
        q, k, v = self.query(x), self.key(source), self.value(source)
        if packing is not None:
            q = packing.pad(q)
        if source_packing is not None:
            k, v = source_packing.pad(k), source_packing.pad(v)
        shape = q.shape
        q, k, v = (self._split(part) for part in (q, k, v))
        if mask is not None and mask.device.type == "cpu" and bool(mask.all()):
            mask = None  # the same bits in a tenth less time
        keys = None if mask is None else mask.flatten(0, 1)[:, None, None, :]
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=keys).transpose(1, 2).reshape(shape)
        return mixed if packing is None else packing.pack(mixed)

    def weights(self, x: Tensor, source: Tensor, mask: Tensor | None) -> Tensor:
        """The weight of each key for each query, `(runs, batch, heads, N, M)`, adding up to 1 over keys; for pictures."""
        if self.query is None or self.key is None:
            return torch.ones(*x.shape[:2], self.heads, x.shape[2], 1, device=x.device)
        q, k = self._split(self.query(x)), self._split(self.key(source))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask.flatten(0, 1)[:, None, None, :], -math.inf)
        return scores.softmax(-1).view(*x.shape[:2], *scores.shape[1:])

    def _split(self, x: Tensor) -> Tensor:
        runs, batch, length, size = x.shape
        return x.reshape(runs * batch, length, self.heads, size // self.heads).transpose(1, 2)


def others(stores: list[str], k: int) -> tuple[str, ...]:
    """All stores but the k-th."""
    return tuple(stores[:k] + stores[k + 1 :])
