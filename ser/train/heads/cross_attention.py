"""Bidirectional cross-attention fusion of modalities.

Per store: linear, LayerNorm, GELU, dropout to H, plus a learned modality vector, then one post-norm transformer layer. Then
`layers` times cross-attention from each store to the others (residual, LayerNorm, feed-forward H-4H-H with GELU, residual,
LayerNorm), mean over real frames, concatenation, linear 2H-H, GELU, dropout, linear H-K. Attention: Vaswani et al. 2017;
co-attention between modalities: Lu et al. 2019 (ViLBERT), Tsai et al. 2019 (MulT).

Of pooled features a sequence has length one: the softmax over one key is 1, queries and keys do nothing, and attention is
a linear map of the other modality. That exact simplified form is computed (`single=True` in `ser.train.layers.Attention`),
with fewer parameters: pooled cross-attention is not attention. With one store only there is no cross-attention, and what
remains is the transformer layer.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ser.train.heads.early import Project
from ser.train.layers import Attention, Dropout, Feature, Input, LayerNorm, Linear, mean

DEFAULTS = {"lr": 1e-4, "epochs": 60}


class Head(nn.Module):
    """`(runs, batch, [frames,] D)` a store -> `(runs, batch, classes)`."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 384,
        layers: int = 2,
        heads: int = 8,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.project = nn.ModuleList(Project(i, hidden, dropout) for i in inputs)
        self.modality = nn.Parameter(torch.randn(1, len(inputs), hidden) * 0.02)
        single = [not i.framewise for i in inputs]
        self.encode = nn.ModuleList(Block(hidden, heads, dropout, s) for s in single)
        others = [all(single[:k] + single[k + 1 :]) and len(inputs) == 2 for k in range(len(inputs))]
        depth = layers if len(inputs) > 1 else 0
        self.cross = nn.ModuleList(
            nn.ModuleList(Block(hidden, heads, dropout, s) for s in others) for _ in range(depth)
        )
        self.fuse = Linear(hidden * len(inputs), hidden)
        self.dropout = Dropout(dropout)
        self.output = Linear(hidden, classes)

    def forward(self, batch: dict[str, Feature]) -> Tensor:
        states, masks = [], []
        for k, name in enumerate(self.inputs):
            state, mask = self.project[k](batch[name]), batch[name].mask
            if mask is None:
                state, mask = state.unsqueeze(2), torch.ones_like(state[..., :1], dtype=torch.bool)
            state = state + self.modality[:, k, None, None]
            states.append(self.encode[k](state, state, mask))
            masks.append(mask)
        for layer in self.cross:
            blocks = enumerate(cast(nn.ModuleList, layer))
            states = [block(states[k], *self._others(states, masks, k)) for k, block in blocks]
        means = [mean(s, m) for s, m in zip(states, masks, strict=True)]
        out: Tensor = self.output(self.dropout(nn.functional.gelu(self.fuse(torch.cat(means, dim=-1)))))
        return out

    @staticmethod
    def _others(states: list[Tensor], masks: list[Tensor], k: int) -> tuple[Tensor, Tensor]:
        """Frames of all stores but the k-th, one after another."""
        return torch.cat(states[:k] + states[k + 1 :], dim=2), torch.cat(masks[:k] + masks[k + 1 :], dim=2)


class Block(nn.Module):
    """Post-norm transformer block: attention, residual, LayerNorm; H-4H-H with GELU, residual, LayerNorm."""

    def __init__(self, hidden: int, heads: int, dropout: float, single: bool) -> None:
        super().__init__()
        self.attention = Attention(hidden, heads, single)
        self.norm = LayerNorm(hidden)
        self.widen = Linear(hidden, 4 * hidden)
        self.narrow = Linear(4 * hidden, hidden)
        self.last_norm = LayerNorm(hidden)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(x + self.dropout(self.attention(x, source, mask)))
        wide = self.dropout(nn.functional.gelu(self.widen(x)))
        out: Tensor = self.last_norm(x + self.dropout(self.narrow(wide)))
        return out
