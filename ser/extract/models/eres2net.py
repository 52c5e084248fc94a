"""ERes2NetV2 (Chen et al., Interspeech 2024): speaker embeddings by a residual network over bands and time.

Its blocks split their channels into groups that are convolved one after another; the outputs of the last two stages are joined
by attention; the last are mean and deviation over time. The parameters have the names of the published checkpoints, from which
the sizes are read too. A batch has one length, and no padding.
"""

from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.extract.models.funasr_checkpoint import State

HIGHEST = 20.0  # at which the activation is cut
EPS = 1e-8  # below the root of the variance


class ERes2NetV2(nn.Module):
    """Bands `(batch, frames, bands)` -> vectors `(batch, dim)`; see `ser.extract.models.speaker.NETWORKS`."""

    dim: int
    bands: int
    least = 9  # frames: the deviation takes two, after three strides of 2

    def __init__(self, state: State) -> None:
        super().__init__()
        channels = len(state["conv1.weight"])
        self.conv1, self.bn1 = nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.layer1, self.layer2, self.layer3, self.layer4 = (_stage(state, stage) for stage in range(1, 5))
        wide, read = state["layer3_ds.weight"].shape[:2]
        self.layer3_ds = nn.Conv2d(read, wide, 3, stride=2, padding=1, bias=False)
        self.fuse34 = _Fusion(wide, len(state["fuse34.local_att.0.weight"]))
        self.dim, pooled = state["seg_1.weight"].shape
        self.bands = 8 * pooled // (2 * wide)
        self.seg_1 = nn.Linear(pooled, self.dim)

    def forward(self, bands: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(bands.transpose(1, 2)[:, None])))
        third = self.layer3(self.layer2(self.layer1(x)))
        x = self.fuse34(self.layer4(third), self.layer3_ds(third))
        deviation = (x.var(-1) + EPS).sqrt()
        out: Tensor = self.seg_1(torch.cat([x.mean(-1).flatten(1), deviation.flatten(1)], dim=1))
        return out


def _stage(state: State, stage: int) -> nn.Sequential:
    blocks = next(n for n in count() if f"layer{stage}.{n}.conv1.weight" not in state)
    own = (_Block(state, f"layer{stage}.{n}.", 2 if stage > 1 and n == 0 else 1) for n in range(blocks))
    return nn.Sequential(*own)


class _Block(nn.Module):
    """Groups of channels, each convolved with what the one before it gave: added to it, or, in later stages, fused."""

    def __init__(self, state: State, at: str, stride: int) -> None:
        super().__init__()
        groups = next(n for n in count() if f"{at}convs.{n}.weight" not in state)
        width, read = len(state[f"{at}convs.0.weight"]), state[f"{at}conv1.weight"].shape[1]
        inner, out = groups * width, len(state[f"{at}conv3.weight"])
        self.conv1 = nn.Conv2d(read, inner, 1, stride=stride, bias=False)
        self.bn1, self.bn3 = nn.BatchNorm2d(inner), nn.BatchNorm2d(out)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(groups))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(groups))
        fused = f"{at}fuse_models.0.local_att.0.weight"
        if fused in state:
            self.fuse_models = nn.ModuleList(_Fusion(width, len(state[fused])) for _ in range(groups - 1))
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.shortcut = nn.Sequential()
        if f"{at}shortcut.0.weight" in state:
            self.shortcut = nn.Sequential(nn.Conv2d(read, out, 1, stride=stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        groups = _cut(self.bn1(self.conv1(x))).chunk(len(self.convs), dim=1)
        done: list[Tensor] = []
        for number, (group, conv, bn) in enumerate(zip(groups, self.convs, self.bns, strict=True)):
            if number:
                group = self.fuse_models[number - 1](done[-1], group) if hasattr(self, "fuse_models") else done[-1] + group
            done.append(_cut(bn(conv(group))))
        return _cut(self.bn3(self.conv3(torch.cat(done, dim=1))) + self.shortcut(x))


class _Fusion(nn.Module):
    """Attention that shares a sum out between two inputs, channel by channel."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        first, last = nn.Conv2d(2 * channels, inner, 1), nn.Conv2d(inner, channels, 1)
        norms = nn.BatchNorm2d(inner), nn.BatchNorm2d(channels)
        self.local_att = nn.Sequential(first, norms[0], nn.SiLU(), last, norms[1])

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        share = torch.tanh(self.local_att(torch.cat([x, other], dim=1)))
        return x * (1 + share) + other * (1 - share)


def _cut(x: Tensor) -> Tensor:
    return x.clamp(0, HIGHEST)
