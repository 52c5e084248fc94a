"""BiLSTM over word pieces or frames: embedding 128, a bidirectional LSTM of 256 units in each direction, mean over real steps.

Hochreiter & Schmidhuber 1997; Graves & Schmidhuber 2005. Word pieces are embedded first. An LSTM has no form with a
leading run dimension, so this head is an ordinary module and trains one run at a time. Sequences are packed: padding has
no effect.
"""

import torch
from torch import Tensor, nn

from ser.train.heads._base import EmbeddingHead, Takes
from ser.train.nn.layers import Enter, Features, Input
from ser.train.nn.pooling import make_pooling
from ser.train.nn.sequences import run_lstms

DEFAULTS = {"lr": 2e-3, "batch_size": 64, "epochs": 12, "patience": 4}
TAKES = Takes(("frames", "words"))


class Head(EmbeddingHead):
    """`(1, batch, frames, D)` of each store -> `(1, batch, classes)`; framewise stores only."""

    stackable = False

    def __init__(
        self, inputs: list[Input], classes: int, hidden: int = 256, dropout: float = 0.5, pooling: str = "mean"
    ) -> None:
        super().__init__()
        self.inputs = [i.name for i in inputs]
        self.enter = nn.ModuleList(Enter(i) for i in inputs)
        self.lstm = nn.ModuleList(nn.LSTM(e.size, hidden, batch_first=True, bidirectional=True) for e in self.enter)
        self.pool = nn.ModuleList(make_pooling(pooling, i, 2 * hidden) for i in inputs)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(sum(p.size for p in self.pool), classes)  # type: ignore[misc]

    def _each(self, batch: Features) -> list[Tensor]:
        """One vector for each step of each store, `(1, batch, steps, 2 hidden)`, 0 in padding."""
        found = []
        for name, enter, lstm in zip(self.inputs, self.enter, self.lstm, strict=True):
            mask = batch[name].mask
            assert mask is not None
            found.append(run_lstms([lstm], self.dropout(enter(batch[name]))[0], mask[0])[None])
        return found

    def steps(self, batch: Features) -> Tensor:
        """The stores' steps side by side, `(1, batch, steps, 2 hidden x stores)`; for turns, which are as many in each."""
        return torch.cat(self._each(batch), dim=-1)

    def embed(self, batch: Features) -> Tensor:
        """The pooled steps of all stores, `(1, batch, 2 hidden x stores)` of means."""
        stores = zip(self.inputs, self._each(batch), self.pool, strict=True)
        return torch.cat([pool(steps, batch[name].mask) for name, steps, pool in stores], dim=-1)
