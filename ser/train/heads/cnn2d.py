"""Convolutional network on a log-mel spectrogram: four 3 x 3 layers of 32, 64, 128 and 128 channels, mean over frames, linear.

The plain CNN of speech emotion recognition on mel spectrograms (among the first: Satt et al., Interspeech 2017; Badshah et
al., PlatCon 2017). Each layer: convolution, maximum over 2 x 2 cells, normalisation, ReLU. Then mean over real frames, bands
kept apart, linear to `hidden`, ReLU, dropout, linear.

Differences from the usual form: group normalisation (Wu & He 2018) over an utterance's real frames in place of batch
normalisation, so that it can be stacked; a mean over frames in place of a fixed length of 3 s, so that padding has no
effect. Utterances longer than `frames` (1,000, 10 s of log-mel) are read in the middle.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from ser.train.heads._base import Takes, sizes
from ser.train.heads._spectrogram import Spectrogram
from ser.train.nn.convolution import Shrink
from ser.train.nn.layers import Input, Linear
from ser.train.nn.norms import GroupNorm
from ser.train.nn.pooling import make_pooling

DEFAULTS = {"lr": 1e-3, "batch_size": 32, "epochs": 40, "patience": 12}
TAKES = Takes(("frames",), ("audio",), most=1, example="logmel")


class Head(Spectrogram):
    """`(runs, batch, frames, bands)` -> `(runs, batch, hidden)` -> `(runs, batch, classes)`; one audio store, framewise."""

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        channels: str = "32,64,128,128",
        hidden: int = 128,
        frames: int = 1000,
        dropout: float = 0.3,
        pooling: str = "mean",
    ) -> None:
        super().__init__(inputs, classes, frames=frames, size=hidden, dropout=dropout)
        widths = (1, *sizes(channels))
        self.layers = nn.ModuleList(Shrink(a, b, GroupNorm) for a, b in pairwise(widths))
        bands = -(-inputs[0].dim // 2 ** (len(widths) - 1))
        self.frames_pool = make_pooling(pooling, inputs[0], widths[-1] * bands)
        self.hidden = Linear(self.frames_pool.size, hidden)

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        pooled = self.frames_pool(x.transpose(2, 3).flatten(3), mask)
        return torch.relu(self.hidden(self.dropout(pooled)))
