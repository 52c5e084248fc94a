"""CAM++ (Wang et al., Interspeech 2023): speaker embeddings by densely connected time-delay layers.

Convolutions over bands and time come first; each layer weighs its channels by the mean over the utterance and over segments of
100 frames; the last are mean and deviation over time. The parameters have the names of the published checkpoints, from which
the sizes are read too. A batch has one length, and no padding.
"""

from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.extract.models.funasr_checkpoint import State

DILATIONS = (1, 2, 2)  # of the three blocks
SEGMENT = 100  # frames


class CamPlusPlus(nn.Module):
    """Bands `(batch, frames, bands)` -> vectors `(batch, dim)`; see `ser.extract.models.speaker.NETWORKS`."""

    dim: int
    bands: int
    least = 3  # frames: the deviation takes two, after a stride of 2

    def __init__(self, state: State) -> None:
        super().__init__()
        self.head = _Front(len(state["head.conv1.weight"]))
        width, read, kernel = state["xvector.tdnn.linear.weight"].shape
        self.bands = 8 * read // len(state["head.conv1.weight"])
        parts: dict[str, nn.Module] = {"tdnn": _Convolved(read, width, kernel, stride=2, padding=kernel // 2)}
        for number, dilation in enumerate(DILATIONS, start=1):
            first = f"xvector.block{number}.tdnnd1."
            inner, grown = len(state[first + "linear1.weight"]), len(state[first + "cam_layer.linear_local.weight"])
            layers = next(n for n in count() if f"xvector.block{number}.tdnnd{n + 1}.linear1.weight" not in state)
            own = {f"tdnnd{n + 1}": _Dense(width + n * grown, inner, grown, dilation) for n in range(layers)}
            parts[f"block{number}"] = _Grown(own)
            left = len(state[f"xvector.transit{number}.linear.weight"])
            parts[f"transit{number}"] = _Transit(width + layers * grown, left)
            width = left
        self.dim = len(state["xvector.dense.linear.weight"])
        parts["out_nonlinear"] = _activated(width)
        parts["dense"] = _Final(2 * width, self.dim)
        self.xvector = nn.ModuleDict(parts)

    def forward(self, bands: Tensor) -> Tensor:
        x: Tensor = self.head(bands.transpose(1, 2))
        for name, part in self.xvector.items():
            x = torch.cat([x.mean(-1), x.std(-1)], dim=1) if name == "dense" else x
            x = part(x)
        return x


class _Front(nn.Module):
    """Two-dimensional convolutions: `(batch, bands, frames)` -> `(batch, channels * bands / 8, frames)`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.layer1 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.layer2 = nn.Sequential(_Residual(channels, 2), _Residual(channels, 1))
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=(2, 1), padding=1, bias=False)

    def forward(self, bands: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(bands[:, None])))
        x = F.relu(self.bn2(self.conv2(self.layer2(self.layer1(x)))))
        return x.flatten(1, 2)


class _Residual(nn.Module):
    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, stride=(stride, 1), padding=1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.shortcut = nn.Sequential()
        if stride > 1:
            smaller = nn.Conv2d(channels, channels, 1, stride=(stride, 1), bias=False)
            self.shortcut = nn.Sequential(smaller, nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


def _activated(channels: int) -> nn.Sequential:
    layers = nn.Sequential()
    layers.add_module("batchnorm", nn.BatchNorm1d(channels))
    layers.add_module("relu", nn.ReLU())
    return layers


class _Convolved(nn.Module):
    def __init__(self, read: int, channels: int, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(read, channels, kernel, stride=stride, padding=padding, bias=False)
        self.nonlinear = _activated(channels)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.nonlinear(self.linear(x))
        return out


class _Dense(nn.Module):
    """A layer of a dense block: its output is weighed by what is around it."""

    def __init__(self, read: int, inner: int, grown: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1, self.nonlinear2 = _activated(read), _activated(inner)
        self.linear1 = nn.Conv1d(read, inner, 1, bias=False)
        local = nn.Conv1d(inner, grown, 3, padding=dilation, dilation=dilation, bias=False)
        weighing = {"linear1": nn.Conv1d(inner, inner // 2, 1), "linear2": nn.Conv1d(inner // 2, grown, 1)}
        self.cam_layer = nn.ModuleDict({"linear_local": local, **weighing})

    def forward(self, x: Tensor) -> Tensor:
        x = self.nonlinear2(self.linear1(self.nonlinear1(x)))
        segments = F.avg_pool1d(x, SEGMENT, SEGMENT, ceil_mode=True).repeat_interleave(SEGMENT, dim=-1)
        around = x.mean(-1, keepdim=True) + segments[..., : x.shape[-1]]
        weights = self.cam_layer["linear2"](F.relu(self.cam_layer["linear1"](around)))
        out: Tensor = self.cam_layer["linear_local"](x) * weights.sigmoid()
        return out


class _Grown(nn.ModuleDict):
    def forward(self, x: Tensor) -> Tensor:
        for layer in self.values():
            x = torch.cat([x, layer(x)], dim=1)
        return x


class _Transit(nn.Module):
    def __init__(self, read: int, channels: int) -> None:
        super().__init__()
        self.nonlinear, self.linear = _activated(read), nn.Conv1d(read, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(self.nonlinear(x))
        return out


class _Final(nn.Module):
    def __init__(self, read: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Conv1d(read, dim, 1, bias=False)
        self.nonlinear = nn.Sequential()
        self.nonlinear.add_module("batchnorm", nn.BatchNorm1d(dim, affine=False))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.nonlinear(self.linear(x[..., None])[..., 0])
        return out
