"""ECAPA-TDNN (Desplanques et al., Interspeech 2020): speaker embeddings by dilated time-delay layers.

Their channels are in groups, and are weighed; their outputs are joined; attentive mean and deviation over time are the last.
The parameters have the names of the published checkpoints (SpeechBrain's, which 3D-Speaker's have too), from which the sizes
are read too. A batch has one length, and no padding.
"""

from itertools import count

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.extract.models.funasr_checkpoint import State

EPS = 1e-12  # the least variance


class Ecapa(nn.Module):
    """Bands `(batch, frames, bands)` -> vectors `(batch, dim)`; see `ser.extract.models.speaker.NETWORKS`."""

    dim: int
    bands: int
    least = 5  # frames: the ends are reflected, of up to four frames

    def __init__(self, state: State) -> None:
        super().__init__()
        self.bands = state["blocks.0.conv.conv.weight"].shape[1]
        blocks = next(n for n in count(1) if f"blocks.{n}.tdnn1.conv.conv.weight" not in state)
        later = [_Block(state, f"blocks.{n}.", n + 1) for n in range(1, blocks)]
        self.blocks = nn.ModuleList([_Layer(state, "blocks.0."), *later])
        self.mfa = _Layer(state, "mfa.")
        self.asp = nn.ModuleDict({"tdnn": _Layer(state, "asp.tdnn."), "conv": _Convolution(state, "asp.conv.")})
        self.fc = _Convolution(state, "fc.")
        self.dim, pooled = state["fc.conv.weight"].shape[:2]
        self.asp_bn = nn.ModuleDict({"norm": nn.BatchNorm1d(pooled)})

    def forward(self, bands: Tensor) -> Tensor:
        x, kept = bands.transpose(1, 2), []
        for block in self.blocks:
            x = block(x)
            kept.append(x)
        x = self.mfa(torch.cat(kept[1:], dim=1))
        even = torch.full_like(x[:, :1], 1 / x.shape[-1])
        around = [part[..., None].expand_as(x) for part in _statistics(x, even)]
        weights = self.asp["conv"](torch.tanh(self.asp["tdnn"](torch.cat([x, *around], dim=1)))).softmax(-1)
        pooled = torch.cat(_statistics(x, weights), dim=1)[..., None]
        out: Tensor = self.fc(self.asp_bn["norm"](pooled))[..., 0]
        return out


def _statistics(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean and deviation over time, `(batch, channels, frames)` -> `(batch, channels)` each."""
    mean = (weights * x).sum(-1)
    variance = (weights * (x - mean[..., None]).square()).sum(-1)
    return mean, variance.clamp_min(EPS).sqrt()


class _Convolution(nn.Module):
    """A convolution over time that reflects the ends."""

    def __init__(self, state: State, at: str, dilation: int = 1) -> None:
        super().__init__()
        channels, read, kernel = state[f"{at}conv.weight"].shape
        self.conv = nn.Conv1d(read, channels, kernel, dilation=dilation)
        self.ends = dilation * (kernel - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (self.ends, self.ends), mode="reflect") if self.ends else x)
        return out


class _Layer(nn.Module):
    def __init__(self, state: State, at: str, dilation: int = 1) -> None:
        super().__init__()
        self.conv = _Convolution(state, f"{at}conv.", dilation)
        self.norm = nn.ModuleDict({"norm": nn.BatchNorm1d(len(state[f"{at}conv.conv.weight"]))})

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm["norm"](F.relu(self.conv(x)))
        return out


class _Block(nn.Module):
    """Groups of channels, each convolved together with what the one before it gave, then weights of the channels."""

    def __init__(self, state: State, at: str, dilation: int) -> None:
        super().__init__()
        self.tdnn1, self.tdnn2 = _Layer(state, f"{at}tdnn1."), _Layer(state, f"{at}tdnn2.")
        groups = next(n for n in count() if f"{at}res2net_block.blocks.{n}.conv.conv.weight" not in state)
        inner = [_Layer(state, f"{at}res2net_block.blocks.{n}.", dilation) for n in range(groups)]
        self.res2net_block = nn.ModuleDict({"blocks": nn.ModuleList(inner)})
        self.groups = groups + 1
        self.se_block = nn.ModuleDict({name: _Convolution(state, f"{at}se_block.{name}.") for name in ("conv1", "conv2")})
        self.shortcut = _Convolution(state, f"{at}shortcut.") if f"{at}shortcut.conv.weight" in state else None

    def forward(self, x: Tensor) -> Tensor:
        first, *groups = self.tdnn1(x).chunk(self.groups, dim=1)
        done = [first]
        for number, (group, layer) in enumerate(zip(groups, self.res2net_block["blocks"].children(), strict=True)):
            done.append(layer(group + done[-1] if number else group))
        out = self.tdnn2(torch.cat(done, dim=1))
        weights = self.se_block["conv2"](F.relu(self.se_block["conv1"](out.mean(-1, keepdim=True)))).sigmoid()
        whole: Tensor = out * weights + (x if self.shortcut is None else self.shortcut(x))
        return whole
