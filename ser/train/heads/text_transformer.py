"""Transformer encoder over word pieces or text frames: embedding 128, 2 layers of 128 with 4 heads, mean over real tokens.

Vaswani et al., NeurIPS 2017; pre-norm layers: Xiong et al., ICML 2020. Word pieces are embedded first, frames of a text
encoder enter as they are: linear to H, LayerNorm, positions (`sinusoidal`, `learned` or `none`), dropout, the layers, mean.
It is trained from scratch: no weights of a language model. Where the paper scales embeddings by sqrt(H), LayerNorm brings
them to the size of the positions. Several stores each have their own encoder; their means are concatenated.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.attention import Attends
from ser.train.nn.layers import Dropout, Features, Input, Linear
from ser.train.nn.pooling import make_pooling
from ser.train.nn.transformer import Tokens, Transformer, self_attention

CITATION = (
    "A. Vaswani, N. Shazeer, N. Parmar, J. Uszkoreit, L. Jones, A. N. Gomez, L. Kaiser, I. Polosukhin: Attention "
    "Is All You Need. NeurIPS 2017. arXiv:1706.03762"
)
DEFAULTS = {"lr": 5e-4, "batch_size": 64, "epochs": 12, "patience": 4}
TAKES = Takes(("frames", "words"), ("text",), example="wordpiece")


class Head(EmbeddingHead):
    """`(runs, batch, tokens, D)` of each store -> `(runs, batch, classes)`; framewise text only."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 128,
        layers: int = 2,
        heads: int = 4,
        dropout: float = 0.3,
        positions: str = "sinusoidal",
        norm: str = "pre",
        pooling: str = "mean",
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.tokens = nn.ModuleList(Tokens(i, hidden, dropout, positions) for i in inputs)
        self.encode = nn.ModuleList(Transformer(hidden, layers, heads, dropout, norm) for _ in inputs)
        self.pool = nn.ModuleList(make_pooling(pooling, i, hidden) for i in inputs)
        self.dropout = Dropout(dropout)
        self.output = Linear(sum(p.size for p in self.pool), classes)  # type: ignore[misc]

    def embed(self, batch: Features) -> Tensor:
        """The pooled tokens of all stores, `(runs, batch, H x stores)` of means."""
        pooled = []
        for name, tokens, encode, pool in zip(self.inputs, self.tokens, self.encode, self.pool, strict=True):
            x, mask = tokens(batch[name])
            pooled.append(pool(encode(x, mask), mask))
        return torch.cat(pooled, dim=-1)

    def attends(self) -> Attends:
        return self_attention(self.encode, self.inputs)
