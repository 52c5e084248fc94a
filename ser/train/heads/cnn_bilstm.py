"""CNN and BiLSTM on a log-mel spectrogram: convolutions for local patterns, an LSTM over their steps, mean, linear.

Satt et al., Interspeech 2017; Zhao et al., Biomed. Signal Process. Control 2019; the sizes are ours: three 3 x 3 layers of 32,
64 and 128 channels (`channels`), each with maximum over 2 x 2 cells, batch normalisation and ReLU, so that a step is 8
frames (80 ms of log-mel); one LSTM of 128 units in each direction (`hidden`); mean over real steps.

Batch normalisation takes the statistics of real frames (`ser.train.nn.norms.BatchNorm`) and sequences are packed: padding
has no effect. Utterances longer than `frames` (1,000, 10 s of log-mel) are read in the middle. An LSTM has no form with a
leading run dimension: this head trains one run at a time.
"""

from itertools import pairwise

from torch import Tensor, nn

from ser.train.heads._base import Takes, sizes
from ser.train.heads._spectrogram import Spectrogram
from ser.train.nn.convolution import Shrink
from ser.train.nn.layers import Input
from ser.train.nn.norms import BatchNorm
from ser.train.nn.pooling import make_pooling
from ser.train.nn.sequences import run_lstms

DEFAULTS = {"lr": 1e-3, "batch_size": 32, "epochs": 40, "patience": 12}
TAKES = Takes(("frames",), ("audio",), most=1, example="logmel")


class Head(Spectrogram):
    """`(1, batch, frames, bands)` -> `(1, batch, 2 hidden)` -> `(1, batch, classes)`; one audio store, framewise."""

    stackable = False

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        channels: str = "32,64,128",
        hidden: int = 128,
        frames: int = 1000,
        dropout: float = 0.3,
        pooling: str = "mean",
    ) -> None:
        pool = make_pooling(pooling, inputs[0], 2 * hidden)
        super().__init__(inputs, classes, frames=frames, size=pool.size, dropout=dropout)
        self.frames_pool = pool
        widths = (1, *sizes(channels))
        self.layers = nn.ModuleList(Shrink(a, b, BatchNorm) for a, b in pairwise(widths))
        bands = -(-inputs[0].dim // 2 ** (len(widths) - 1))
        self.lstm = nn.LSTM(widths[-1] * bands, hidden, batch_first=True, bidirectional=True)

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        steps = self.dropout(x.transpose(2, 3).flatten(3))
        out: Tensor = self.frames_pool(run_lstms([self.lstm], steps[0], mask[0])[None], mask)
        return out
