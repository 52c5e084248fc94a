"""CNN and BiLSTM on a log-mel spectrogram: convolutions for local patterns, an LSTM over their steps, mean, linear.

Satt et al., Interspeech 2017; Zhao et al., Biomed. Signal Process. Control 2019; the sizes are ours: three 3 x 3 layers of 32,
64 and 128 channels (`channels`), each with maximum over 2 x 2 cells, batch normalisation and ReLU, so that a step is 8
frames (80 ms of log-mel); one LSTM of 128 units a direction (`hidden`); mean over real steps.

Batch normalisation takes the statistics of real frames (`ser.train.nn.norms.BatchNorm`) and sequences are packed: padding
has no effect. Utterances longer than `frames` (1,000, 10 s of log-mel) are read in the middle. An LSTM has no form with a
leading run dimension: this head trains one run at a time.
"""

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ser.train.nn.convolution import Shrink
from ser.train.nn.head import sizes
from ser.train.nn.layers import Input, mean
from ser.train.nn.norms import BatchNorm
from ser.train.nn.spectrogram import Spectrogram

DEFAULTS = {"lr": 1e-3, "batch_size": 32, "epochs": 40, "patience": 12}


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
    ) -> None:
        super().__init__(inputs, "cnn_bilstm", classes, frames=frames, size=2 * hidden, dropout=dropout)
        widths = (1, *sizes(channels))
        self.layers = nn.ModuleList(Shrink(a, b, BatchNorm) for a, b in pairwise(widths))
        bands = -(-inputs[0].dim // 2 ** (len(widths) - 1))
        self.lstm = nn.LSTM(widths[-1] * bands, hidden, batch_first=True, bidirectional=True)

    def maps(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = picture
        for layer in self.layers:
            x, mask = layer(x, mask)
        return x, mask

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        steps = self.dropout(x.transpose(2, 3).flatten(3))
        return mean(packed([self.lstm], steps[0], mask[0])[None], mask)


def packed(layers: Iterable[nn.Module], x: Tensor, mask: Tensor) -> Tensor:
    """Outputs `(batch, frames, outputs)` of layers on sequences `(batch, frames, D)`, without padding and zero in it.

    Args:
        layers: LSTMs of one layer, and dropout between them. Not LSTMs of several layers with a dropout of their own: cuDNN
            draws that from a stream that no seed reaches, so that a run would depend on those before it.
    """
    lengths = mask.sum(-1).cpu()
    # In float32: under autocast cuDNN's LSTM would compute in float16, whose gradients vanish where nothing scales them.
    with torch.autocast(x.device.type, enabled=False):
        at = nn.utils.rnn.pack_padded_sequence(x.float(), lengths, batch_first=True, enforce_sorted=False)
        for layer in layers:
            at = layer(at)[0] if isinstance(layer, nn.LSTM) else at._replace(data=layer(at.data))
        steps: Tensor = nn.utils.rnn.pad_packed_sequence(at, batch_first=True, total_length=x.shape[1])[0]
    return steps
