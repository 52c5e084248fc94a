"""The network of emotion2vec and emotion2vec+ (Ma et al., Findings of ACL 2024), for features only.

A data2vec 2.0 encoder (Baevski et al., ICML 2023): convolutions with layer norms, a projection, stacked positional
convolutions, extra tokens in front, transformer blocks whose attention is biased by distance (ALiBi: Press et al., ICLR
2022) with learned scales. Its parameters have the names of the published checkpoints, which funasr's class has too;
a test compares the two. funasr itself is not imported: that takes seconds, and its forward pass lets padding change
features.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ser.extract.models.distance_bias import Alibi, Bias
from ser.extract.models.padding import Zeroing, padded, valid
from ser.extract.models.stem import Convolution, Stem, frames_of

Settings = Mapping[str, Any]


class Emotion2vecNet(nn.Module):
    """Audio -> hidden layers.

    Layer 0 is the input of the first block, with the extra tokens; the last is the output of the last block, with the
    final layer norm where the settings ask for one.

    Args:
        settings: `model_conf` of a checkpoint's `config.yaml`.

    Raises:
        ValueError, KeyError: settings that this network does not have.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        audio = settings["modalities"]["audio"]
        if audio.get("learned_alibi"):
            raise ValueError("learned_alibi: true, which no published model has")
        self.dim = int(settings["embed_dim"])
        self.before = bool(settings.get("layer_norm_first"))
        self.modality_encoders = nn.ModuleDict({"AUDIO": _Audio(settings, audio)})
        self.blocks = nn.ModuleList(_Block(settings) for _ in range(int(settings["depth"])))
        self.norm = _norm(settings) if self.before else None

    @property
    def audio(self) -> "_Audio":
        """The part below the shared blocks."""
        encoder = self.modality_encoders["AUDIO"]
        assert isinstance(encoder, _Audio)
        return encoder

    @property
    def depth(self) -> int:
        """Number of blocks, those of the audio part included."""
        return len(self.audio.blocks) + len(self.blocks)

    def forward(self, rows: Sequence[Tensor], layers: Sequence[int]) -> tuple[list[Tensor], list[int]]:
        """Hidden layers of a batch; no block above the highest is computed.

        Args:
            rows: each utterance's audio `(samples,)`, normalised, in the weights' dtype.
            layers: numbers from 0 to `depth`.

        Returns:
            Each layer as `(batch, frames, dim)` without the extra tokens, and the number of real frames of each row.
        """
        features, frames = self.audio.features(rows)
        return self._layers(features, valid(frames, features.device), layers), frames

    def whole(self, waveform: Tensor, layers: Sequence[int]) -> list[Tensor]:
        """The layers of audio `(batch, samples)` of one length, normalised, by operations that can be traced."""
        return self._layers(self.audio.whole(waveform), None, layers)

    def _layers(self, features: Tensor, mask: Tensor | None, layers: Sequence[int]) -> list[Tensor]:
        audio = self.audio
        x = features + audio.positions(features, mask)
        x = torch.cat([audio.extra_tokens.expand(x.shape[0], -1, -1), x], dim=1)
        x = x if self.before else audio.context_encoder["norm"](x)
        bias = Bias(audio.alibi(), audio.extra, features.shape[1], mask, x.dtype)
        kept: dict[int, Tensor] = {}
        for number, block in enumerate([*audio.blocks, *self.blocks]):
            kept[number] = x
            if number == max(layers):
                break
            x = block(x, bias, number)
        else:
            kept[self.depth] = x if self.norm is None else self.norm(x)
        return [kept[n][:, audio.extra :] for n in layers]


class _Audio(nn.Module):
    def __init__(self, settings: Settings, audio: Settings) -> None:
        super().__init__()
        dim = int(settings["embed_dim"])
        self.spec = convolutions(str(audio["feature_encoder_spec"]))
        self.extra = int(audio["num_extra_tokens"])
        self.heads = int(audio["num_alibi_heads"]) if audio.get("use_alibi_encoder") else 0
        self.block_heads = int(settings["num_heads"])
        layered = audio["extractor_mode"] == "layer_norm"
        self.local_encoder = nn.ModuleDict({"conv_layers": _stem(self.spec, layered)})
        wide = self.spec[-1][0]
        self.project_features = nn.Sequential(_Swap(), nn.LayerNorm(wide), nn.Linear(wide, dim))
        self.relative_positional_encoder = _positions(dim, audio)
        self.extra_tokens = nn.Parameter(torch.zeros(1, self.extra, dim))
        prenet = int(audio["prenet_depth"])
        self.context_encoder = nn.ModuleDict({"blocks": nn.ModuleList(_Block(settings) for _ in range(prenet))})
        if not settings.get("layer_norm_first"):
            self.context_encoder["norm"] = _norm(settings)
        scales = prenet + int(audio["model_depth"]) if audio.get("learned_alibi_scale_per_layer") else 1
        per_head = self.heads if audio.get("learned_alibi_scale_per_head") else 1
        if self.heads:
            self.alibi_scale = nn.Parameter(torch.full((scales, 1, per_head, 1, 1), float(audio["alibi_scale"])))
        self._stem: Stem | None = None
        modules = self.relative_positional_encoder.modules()
        self.zeroing = Zeroing(m for m in modules if isinstance(m, nn.Conv1d))

    @property
    def blocks(self) -> list[nn.Module]:
        """The transformer blocks of this part, which come first."""
        return list(self.context_encoder["blocks"].children())

    @property
    def stem_layers(self) -> list[nn.Module]:
        return list(self.local_encoder["conv_layers"].children())

    def alibi(self) -> Alibi | None:
        """The scales of the attention's bias; None where it has none."""
        return Alibi(self.alibi_scale, self.heads, self.block_heads) if self.heads else None

    def prepare(self) -> None:
        """To be called when the weights are loaded and on their device: on a CPU the stem is computed as products."""
        if self.extra_tokens.device.type == "cpu":
            self._stem = Stem([Convolution(*_conv_and_norm(layer), F.gelu) for layer in self.stem_layers])

    def features(self, rows: Sequence[Tensor]) -> tuple[Tensor, list[int]]:
        """Audio of each utterance -> `(batch, frames, dim)` before positions, and the number of real frames of each."""
        kernels, strides = [k for _, k, _ in self.spec], [s for *_, s in self.spec]
        frames = [frames_of(len(row), kernels, strides) for row in rows]
        if self._stem is not None:
            local = padded([self._stem(row) for row in rows])
        elif isinstance(_conv_and_norm(self.stem_layers[0])[1], nn.GroupNorm):  # of the published models none
            local = padded([self._convolve(row[None])[0] for row in rows])
        else:
            local = self._convolve(padded(rows))
        return self.project_features(local.transpose(1, 2)), frames

    def whole(self, waveform: Tensor) -> Tensor:
        """`features` of audio `(batch, samples)` of one length, by the convolutions as they stand."""
        found: Tensor = self.project_features(self._convolve(waveform).transpose(1, 2))
        return found

    def _convolve(self, batch: Tensor) -> Tensor:
        x = batch[:, None]
        for layer in self.stem_layers:
            x = layer(x)
        return x.transpose(1, 2)

    def positions(self, features: Tensor, mask: Tensor | None) -> Tensor:
        """The stacked positional convolutions; what one makes of padding must not reach the next."""
        with self.zeroing.over(mask):
            out: Tensor = self.relative_positional_encoder(features)
            return out


class _Block(nn.Module):
    """Attention and feed-forward with residuals; the norms behind them, or before them (`layer_norm_first`)."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        dim, wide = int(settings["embed_dim"]), int(int(settings["embed_dim"]) * float(settings["mlp_ratio"]))
        self.before, self.heads = bool(settings.get("layer_norm_first")), int(settings["num_heads"])
        self.norm1, self.norm2 = _norm(settings), _norm(settings)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(dim, 3 * dim), "proj": nn.Linear(dim, dim)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, wide), "fc2": nn.Linear(wide, dim)})

    def forward(self, x: Tensor, bias: Bias, number: int) -> Tensor:
        if self.before:
            x = x + self._attend(self.norm1(x), bias, number)
            x = self._feed(self.norm2(x))
            return x + x  # the residual is the feed-forward's own output, as in the published code
        x = self.norm1(x + self._attend(x, bias, number))
        out: Tensor = self.norm2(x + self._feed(x))
        return out

    def _attend(self, x: Tensor, bias: Bias, number: int) -> Tensor:
        batch, length, dim = x.shape
        qkv = self.attn["qkv"](x).view(batch, length, 3, self.heads, dim // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = bias.attend(number, q, k, v)
        out: Tensor = self.attn["proj"](mixed.transpose(1, 2).reshape(batch, length, dim))
        return out

    def _feed(self, x: Tensor) -> Tensor:
        out: Tensor = self.mlp["fc2"](F.gelu(self.mlp["fc1"](x)))
        return out


def convolutions(spec: str) -> list[tuple[int, int, int]]:
    """Channels, kernel and stride of each layer, of the text that funasr evaluates as Python; here it is only read.

    Raises:
        ValueError: it says something else.

    >>> convolutions("[(512, 10, 5)] + [(512,3,2)] * 2")
    [(512, 10, 5), (512, 3, 2), (512, 3, 2)]
    """
    layer = r"\(\s*\d+\s*,\s*\d+\s*,\s*\d+\s*\)"
    group = rf"\[\s*({layer}(?:\s*,\s*{layer})*)\s*,?\s*\]\s*(?:\*\s*(\d{{1,3}}))?"
    if len(spec) > 500 or not re.fullmatch(rf"\s*{group}(?:\s*\+\s*{group})*\s*", spec):
        raise ValueError(f"feature_encoder_spec {spec[:80]!r}")
    layers: list[tuple[int, int, int]] = []
    for inside, times in re.findall(group, spec):
        numbers = [int(n) for n in re.findall(r"\d+", inside)]
        layers += [(numbers[k], numbers[k + 1], numbers[k + 2]) for k in range(0, len(numbers), 3)] * int(times or 1)
    return layers


class _Swap(nn.Module):
    """The last two dimensions exchanged."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(-2, -1)


def _norm(settings: Settings) -> nn.LayerNorm:
    affine = bool(settings.get("norm_affine", True))
    return nn.LayerNorm(int(settings["embed_dim"]), eps=float(settings["norm_eps"]), elementwise_affine=affine)


def _stem(spec: list[tuple[int, int, int]], layered: bool) -> nn.ModuleList:
    layers, channels = nn.ModuleList(), 1
    for number, (wide, kernel, stride) in enumerate(spec):
        parts: list[nn.Module] = [nn.Conv1d(channels, wide, kernel, stride=stride, bias=False), nn.Identity()]
        if layered:
            parts.append(nn.Sequential(_Swap(), nn.LayerNorm(wide), _Swap()))
        elif number == 0:
            parts.append(nn.GroupNorm(wide, wide))
        layers.append(nn.Sequential(*parts, nn.GELU()))
        channels = wide
    return layers


def _conv_and_norm(layer: nn.Module) -> tuple[nn.Conv1d, nn.Module | None]:
    """The convolution of a layer of the stem and its norm, where it has one."""
    convolutions = [m for m in layer.modules() if isinstance(m, nn.Conv1d)]
    norms = [m for m in layer.modules() if isinstance(m, (nn.LayerNorm, nn.GroupNorm))]
    return convolutions[0], norms[0] if norms else None


def _positions(dim: int, audio: Settings) -> nn.Sequential:
    depth = int(audio["conv_pos_depth"])
    kernel = max(3, int(audio["conv_pos_width"]) // depth)
    groups = int(audio["conv_pos_groups"])
    layers = [
        nn.Sequential(
            nn.Conv1d(dim, dim, kernel, padding=kernel // 2, groups=groups),
            _Cut(kernel),
            _Swap(),
            nn.LayerNorm(dim, elementwise_affine=False),
            _Swap(),
            nn.GELU(),
        )
        for _ in range(depth)
    ]
    positional = nn.Sequential(_Swap(), *layers, _Swap())
    return nn.Sequential(nn.LayerNorm(dim), positional) if audio.get("conv_pos_pre_ln") else positional


class _Cut(nn.Module):
    """Drops the frame that an even kernel adds."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.more = 1 - kernel % 2

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, : x.shape[2] - self.more]
