"""Bidirectional cross-attention fusion of modalities.

Per store: linear, LayerNorm, GELU, dropout to H, plus a learned modality vector, then one post-norm transformer layer. Then
`layers` times cross-attention from each store to the others (residual, LayerNorm, feed-forward H-4H-H with GELU, residual,
LayerNorm), mean over real frames, concatenation, linear 2H-H, GELU, dropout, linear H-K. Attention: Vaswani et al. 2017;
co-attention between modalities: Lu et al. 2019 (ViLBERT), Tsai et al. 2019 (MulT).

Of pooled features a sequence has length one: the softmax over one key is 1, queries and keys do nothing, and attention is
a linear map of the other modality. That exact simplified form is computed (`single=True` in
`ser.train.nn.attention.Attention`),
with fewer parameters: pooled cross-attention is not attention. With one store only there is no cross-attention, and what
remains is the transformer layer.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.attention import Attends, others
from ser.train.nn.layers import Dropout, Feature, Features, Input, Linear, Project
from ser.train.nn.pooling import make_pooling
from ser.train.nn.sequences import Packing, pad
from ser.train.nn.transformer import Layer

DEFAULTS = {"lr": 1e-4, "epochs": 60}
TAKES = Takes()


class Head(EmbeddingHead):
    """`(runs, batch, [frames,] D)` of each store -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 384,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.3,
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.project = nn.ModuleList(Project(i, hidden, dropout) for i in inputs)
        self.modality = nn.Parameter(torch.randn(1, len(inputs), hidden) * 0.02)
        single = [not i.framewise for i in inputs]
        self.encode = nn.ModuleList(Layer(hidden, heads, dropout, single=s) for s in single)
        others = [all(single[:k] + single[k + 1 :]) and len(inputs) == 2 for k in range(len(inputs))]
        depth = layers if len(inputs) > 1 else 0
        self.cross = nn.ModuleList(nn.ModuleList(Layer(hidden, heads, dropout, single=s) for s in others) for _ in range(depth))
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in inputs)
        self.fuse = Linear(sum(p.size for p in self.pool), hidden)  # type: ignore[misc]
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, classes)

    def embed(self, batch: Features) -> Tensor:
        """All stores fused, `(runs, batch, H)`."""
        states, masks, packings = [], [], []
        for k, name in enumerate(self.inputs):
            values, mask = batch[name]
            packing = Packing.of(mask)
            feature = batch[name] if packing is None else Feature(packing.pack(values), mask)
            state = self.project[k](feature)
            if mask is None:
                state, mask = state.unsqueeze(2), torch.ones_like(state[..., :1], dtype=torch.bool)
            state = state + self.modality[:, k, None, None]
            states.append(self.encode[k](state, mask, packing=packing))
            masks.append(mask)
            packings.append(packing)
        for layer in self.cross:
            blocks = enumerate(cast(nn.ModuleList, layer))
            states = [self._look(block, states, masks, packings, k) for k, block in blocks]
        padded = [pad(s, p) for s, p in zip(states, packings, strict=True)]
        pooled = [pool(s, m) for pool, s, m in zip(self.pool, padded, masks, strict=True)]
        return nn.functional.gelu(self.fuse(torch.cat(pooled, dim=-1)))

    def attends(self) -> Attends:
        each = {f"encode.{k}.attention": ((name,), (name,)) for k, name in enumerate(self.inputs)}
        return each | {
            f"cross.{layer}.{k}.attention": ((name,), others(self.inputs, k))
            for layer in range(len(self.cross))
            for k, name in enumerate(self.inputs)
        }

    @staticmethod
    def _look(block: nn.Module, states: list[Tensor], masks: list[Tensor], packings: list[Packing | None], k: int) -> Tensor:
        """The k-th store's frames after attention to those of all other stores."""
        others = [j for j in range(len(states)) if j != k]
        if len(others) == 1:
            (j,) = others
            return cast(Tensor, block(states[k], masks[j], states[j], packings[k], packings[j]))
        padded = [pad(states[j], packings[j]) for j in others]
        mask, source = torch.cat([masks[j] for j in others], 2), torch.cat(padded, 2)
        return cast(Tensor, block(states[k], mask, source, packings[k]))
