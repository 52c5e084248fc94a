"""ResNet-18 on a spectrogram, from random weights: 7 x 7 convolution, four stages of two residual blocks, mean, linear.

He et al., CVPR 2016. Stages of 64, 128, 256 and 512 channels (`hidden` is the first), all but the first halve frames and
bands, as do the first convolution and the maximum after it: a cell of the last picture covers 32 frames. One channel in, so
the first kernel is that of the paper with one third of its weights; 11.2 M parameters.

Differences: batch normalisation takes the statistics of real frames (`ser.train.nn.norms.BatchNorm`) and the mean is over
real cells, so that padding has no effect; utterances longer than `frames` (1,000, 10 s of log-mel) are read in the middle.
Trains one run at a time.
"""

from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.heads._spectrogram import Spectrogram
from ser.train.nn.convolution import Conv2d, halve
from ser.train.nn.layers import Input
from ser.train.nn.norms import BatchNorm
from ser.train.nn.pooling import make_pooling

CHANNELS_LAST = 128  # stages of up to this number of channels are faster with channels last in memory
CITATION = "K. He, X. Zhang, S. Ren, J. Sun: Deep Residual Learning for Image Recognition. CVPR 2016, 770-778. arXiv:1512.03385"
DEFAULTS = {"lr": 1e-3, "batch_size": 32, "epochs": 40, "patience": 12}
TAKES = Takes(("frames",), ("audio",), most=1, example="logmel")


class Head(Spectrogram):
    """`(1, batch, frames, bands)` -> `(1, batch, 8 hidden)` -> `(1, batch, classes)`; one audio store, framewise."""

    stackable = False

    def __init__(
        self,
        inputs: list[Input],
        classes: int,
        hidden: int = 64,
        frames: int = 1000,
        dropout: float = 0.0,
        pooling: str = "mean",
    ) -> None:
        pool = make_pooling(pooling, inputs[0], 8 * hidden)
        super().__init__(inputs, classes, frames=frames, size=pool.size, dropout=dropout)
        self.frames_pool = pool
        self.enter = Conv2d(1, hidden, kernel=7, stride=2, channels_last=True)
        self.norm = BatchNorm(hidden, relu=True)
        widths = [hidden, hidden, 2 * hidden, 4 * hidden, 8 * hidden]
        self.stages = nn.ModuleList(
            ResidualBlock(widths[k + half], widths[k + 1], stride=2 if k and not half else 1)
            for k in range(4)
            for half in (0, 1)
        )
        for module in self.modules():
            if isinstance(module, Conv2d):  # He et al., ICCV 2015, by the outputs
                nn.init.kaiming_normal_(module.weight.data[0], mode="fan_out", nonlinearity="relu")

    def maps(self, picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = mask[..., ::2]
        x, mask = halve(self.norm(self.enter(picture), mask), mask, kernel=3)
        for block in self.stages:
            x, mask = block(x, mask)
        return x, mask

    def pool(self, x: Tensor, mask: Tensor) -> Tensor:
        out: Tensor = self.frames_pool(x.mean(-1).transpose(2, 3), mask)
        return out


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch normalisation, and a shortcut: the input, or its projection where the size changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        last = outputs <= CHANNELS_LAST
        self.first = Conv2d(inputs, outputs, stride=stride, channels_last=last)
        self.second = Conv2d(outputs, outputs, channels_last=last)
        self.first_norm, self.second_norm = BatchNorm(outputs, relu=True), BatchNorm(outputs)
        changes = stride > 1 or inputs != outputs
        self.project = Conv2d(inputs, outputs, kernel=1, stride=stride, channels_last=last) if changes else None
        self.project_norm = BatchNorm(outputs) if changes else None

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = mask[..., :: self.stride]
        y = self.first_norm(self.first(x), mask)
        y = self.second_norm(self.second(y), mask)
        if self.project is not None and self.project_norm is not None:
            x = self.project_norm(self.project(x), mask)
        return (x + y).relu_(), mask
