"""TIM-Net on MFCC frames: bidirectional temporal-aware blocks at growing dilations, and a learned sum over their scales.

Ye et al., "Temporal Modeling Matters: A Novel Temporal Emotional Modeling Approach for Speech Emotion Recognition", ICASSP
2023 (arXiv:2211.08233). Frames `(frames, 39)` go, in each direction, through a 1 x 1 convolution, then through `blocks` (8; the
authors take 10 on IEMOCAP) blocks, the j-th with dilation 2^(j-1):  F_j = F_(j-1) * sigmoid(A(F_(j-1))), where A is
twice a causal convolution of kernel 2, normalisation, ReLU and dropout of whole features. Scale j is the mean over frames of
both directions' F_j, the embedding is the sum of the scales with learned weights. The last of 8 blocks sees 510 frames
back, and as many ahead.

The backward direction looks ahead in the sequence as it stands, which is the same as the published reversal, and needs no
turning of padded sequences. Differences: layer normalisation of each frame in place of batch normalisation, so that runs
stack and padding counts nowhere; weights of the scales start at their mean, not at random around 0; a layer takes features
of any size to `hidden` (39), where published code keeps the size; under another `pooling` than the mean each direction is
pooled by itself, and the two are added. The published code picks the epoch by its test fold.
"""

from typing import cast

import torch
from torch import Tensor, nn

from ser.train.heads._base import Takes
from ser.train.nn.convolution import Conv1d
from ser.train.nn.layers import Dropout, Features, Input, LayerNorm, Linear
from ser.train.nn.pooling import make_pooling

CITATION = (
    "J. Ye, X.-C. Wen, Y. Wei, Y. Xu, K. Liu, H. Shan: Temporal Modeling Matters: A Novel Temporal Emotional "
    "Modeling Approach for Speech Emotion Recognition. ICASSP 2023. arXiv:2211.08233"
)
DEFAULTS = {"lr": 3e-3, "batch_size": 64, "epochs": 80, "patience": 20}
TAKES = Takes(("frames",), most=1, example="mfcc")


class Head(nn.Module):
    """`(runs, batch, frames, D)` -> `(runs, batch, hidden)` -> `(runs, batch, classes)`; one store, framewise."""

    def __init__(
        self, inputs: list[Input], classes: int, hidden: int = 39, blocks: int = 8, dropout: float = 0.1, pooling: str = "mean"
    ) -> None:
        super().__init__()
        self.input = inputs[0].name
        self.enter = nn.ModuleList(Linear(inputs[0].dim, hidden) for _ in (-1, 1))
        self.blocks = nn.ModuleList(
            nn.ModuleList(TemporalBlock(hidden, direction * 2**j, dropout) for j in range(blocks)) for direction in (-1, 1)
        )
        self.scales = nn.Parameter(torch.full((1, blocks), 1 / blocks))
        pools = [[make_pooling(pooling, inputs[0], hidden) for _ in range(blocks)] for _ in (-1, 1)]
        self.pool = nn.ModuleList(nn.ModuleList(each) for each in pools)
        self.output = Linear(pools[0][0].size, classes)

    def embed(self, batch: Features) -> Tensor:
        """The sum over scales, `(runs, batch, hidden)`."""
        values, mask = batch[self.input]
        assert mask is not None
        total: list[Tensor] = []
        for enter, blocks, pools in zip(self.enter, self.blocks, self.pool, strict=True):
            x, scales = enter(values) * mask[..., None], []
            for block, pool in zip(cast(nn.ModuleList, blocks), cast(nn.ModuleList, pools), strict=True):
                x = block(x, mask)
                scales.append(pool(x, mask))
            total.append(torch.stack(scales, dim=2))
        return ((total[0] + total[1]) * self.scales[:, None, :, None]).sum(2)

    def forward(self, batch: Features) -> Tensor:
        out: Tensor = self.output(self.embed(batch))
        return out


class TemporalBlock(nn.Module):
    """Temporal-aware block: x * sigmoid(A(x)). A step of -d looks back d frames, one of d ahead."""

    def __init__(self, size: int, step: int, dropout: float) -> None:
        super().__init__()
        self.convolve = nn.ModuleList(Conv1d(size, size, (step, 0)) for _ in range(2))
        self.norm = nn.ModuleList(LayerNorm(size) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        gate = x
        for convolve, norm in zip(self.convolve, self.norm, strict=True):
            gate = torch.relu(norm(convolve(gate, mask))) * mask[..., None]
            gate = gate * self.dropout(torch.ones_like(gate[:, :, :1]))
        return x * gate.sigmoid()
