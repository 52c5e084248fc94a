"""Attention with a leading run dimension."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.errors import ConfigError
from ser.train.nn import few_tokens
from ser.train.nn.layers import Linear
from ser.train.nn.sequences import Packing, pad

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
        mixed, last = self.mix(x, source, mask, (packing, source_packing))
        mixed = mixed if last is None else last(mixed)
        if self.query is not None:
            return mixed
        return mixed.expand_as(x) if packing is None else packing.pack(mixed.expand(-1, *packing.shape, -1))

    def mix(
        self, x: Tensor, source: Tensor, mask: Tensor | None, packings: tuple[Packing | None, Packing | None]
    ) -> tuple[Tensor, Linear | None]:
        """The values that each query sees, of all heads side by side, and the layer that makes `forward`'s output of them.

        Of a single key it is one value, `(runs, batch, 1, H)`, for all queries. Where there is no layer, it is the output.
        """
        if self.query is None or self.key is None:
            return self.value(source), self.output
        if mask is not None and mask.device.type == "cpu" and bool(mask.all()):
            mask = None  # the same bits in a tenth less time
        packing, of_source = packings
        if (few := self._mix_few(x, source, mask, packings)) is not None:
            return few
        q, k, v = pad(self.query(x), packing), pad(self.key(source), of_source), pad(self.value(source), of_source)
        real = None if mask is None else mask.flatten(0, 1)[:, None, None, :]
        mixed = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v), attn_mask=real)
        mixed = mixed.transpose(1, 2).reshape(q.shape)
        return mixed if packing is None else packing.pack(mixed), self.output

    def _mix_few(
        self, x: Tensor, source: Tensor, mask: Tensor | None, packings: tuple[Packing | None, Packing | None]
    ) -> tuple[Tensor, Linear | None] | None:
        """As `mix`, where one side has few tokens (`ser.train.nn.few_tokens`); None elsewhere."""
        assert self.query is not None
        assert self.key is not None
        if not few_tokens.fits(x):
            return None
        packing, of_source = packings
        loose = mask is not None and of_source is None  # so little padding that elsewhere it is no loss
        of_keys = Packing(mask) if loose and mask is not None else of_source
        queries, keys = (
            [side.shape[2]] * side.shape[1] if packed is None else packed.lengths
            for side, packed in ((x, packing), (source, of_keys))
        )
        if not few_tokens.pays(queries, keys, x.shape[-1], self.heads):
            return None
        if loose and of_keys is not None:
            source = of_keys.pack(source)
        if sum(queries) < sum(keys):
            spans, q = few_tokens.spans(keys, queries), self.query(x).flatten(0, 2)
            mixed = few_tokens.of_few_queries(q, source.flatten(0, 2), self.key, self.value, self.heads, spans)
            return mixed.view(x.shape), self.output
        spans, k, v = few_tokens.spans(queries, keys), self.key(source).flatten(0, 2), self.value(source).flatten(0, 2)
        mixed = few_tokens.of_few_keys(x.flatten(0, 2), k, v, self.query, self.output, self.heads, spans)
        return mixed.view(x.shape), None

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
