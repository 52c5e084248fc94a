"""Audio transformer: patches of 8 log-mel frames, 4 pre-norm layers of 192 with 4 heads, mean over real patches.

Patches as tokens: Dosovitskiy et al., ICLR 2021 (ViT); on spectrograms: Gong, Chung & Glass, Interspeech 2021 (AST). A patch
is `patch` frames side by side with all their bands (80 ms at 100 Hz), so that tokens run along time alone, where AST has
squares of 16 x 16 that overlap; there is the mean in place of a class token, and nothing is pretrained. Linear to H, LayerNorm,
positions, dropout, the layers, mean, linear. Zeros fill the last patch: for features that are z-scored, their mean. Any
framewise audio store will do; several each have their own encoder, and their means are concatenated.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.attention import Attends
from ser.train.nn.layers import Dropout, Features, Input, Linear
from ser.train.nn.pooling import make_pooling
from ser.train.nn.transformer import Tokens, Transformer, self_attention

CITATION = (
    "A. Dosovitskiy and others: An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale. ICLR "
    "2021. arXiv:2010.11929"
)
DEFAULTS = {"lr": 5e-4, "epochs": 40, "patience": 10}
TAKES = Takes(("frames", "words"), ("audio",), example="logmel")


class Head(EmbeddingHead):
    """`(runs, batch, frames, D)` of each store -> `(runs, batch, classes)`; framewise audio only."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 192,
        layers: int = 4,
        heads: int = 4,
        dropout: float = 0.2,
        patch: int = 8,
        positions: str = "sinusoidal",
        norm: str = "pre",
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.patches = nn.ModuleList(Tokens(i, hidden, dropout, positions, patch) for i in inputs)
        self.encode = nn.ModuleList(Transformer(hidden, layers, heads, dropout, norm) for _ in inputs)
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in inputs)
        self.dropout = Dropout(dropout)
        self.output = Linear(sum(p.size for p in self.pool), classes)  # type: ignore[misc]

    def embed(self, batch: Features) -> Tensor:
        """The pooled patches of all stores, `(runs, batch, H x stores)` of means."""
        pooled = []
        for name, patches, encode, pool in zip(self.inputs, self.patches, self.encode, self.pool, strict=True):
            x, mask = patches(batch[name])
            pooled.append(pool(encode(x, mask), mask))
        return torch.cat(pooled, dim=-1)

    def attends(self) -> Attends:
        return self_attention(self.encode, self.inputs)
