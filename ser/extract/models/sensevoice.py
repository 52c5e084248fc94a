"""SenseVoice's encoder (An et al., 2024, arXiv:2407.04051), for features only; padding is invisible.

A transformer whose attention has a memory beside it, a convolution over time of the values (SAN-M: Gao et al., Interspeech
2020). Four learned vectors stand before the frames: they ask for language, event, emotion and the form of numbers. The network
is this package's own, its parameters have the names of the published checkpoint; a test compares it with funasr's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName, sha256
from ser.extract.hubs import ModelFiles
from ser.extract.models.frozen_encoder import Frozen
from ser.extract.models.funasr_checkpoint import build, checkpoint_file, fill, read_config, read_state
from ser.extract.models.kaldi_bands import FRAME, HOP, SAMPLE_RATE, WINDOWS, kaldi_bands
from ser.extract.models.padding import padded, valid
from ser.extract.options import EncoderOptions, torch_dtype
from ser.extract.provenance import versions

CONFIG = "the config.yaml of a SenseVoice model"
MEANS = "am.mvn"
PROMPT = (0, 1, 2, 15)  # rows of the table: language not said, event, emotion, numbers as words; funasr's default
EMBEDDINGS = 16
BLOCKS = ("encoders0", "encoders", "tp_encoders")  # in their order
SCALE = float(1 << 15)  # of the audio: the network was trained on 16-bit numbers


class SenseVoice(Frozen):
    """A loaded SenseVoice encoder; the layer that makes tokens of its output is not loaded."""

    modality = "audio"
    sample_rate = SAMPLE_RATE
    minimum = FRAME

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        config, checkpoint = found.folder / "config.yaml", checkpoint_file(found.folder)
        settings = read_config(config, "SenseVoiceSmall", CONFIG, "encoder_conf", "frontend_conf")
        self.net = build(lambda: SenseVoiceNet(settings), config, CONFIG)
        fill(self.net, read_state(checkpoint), checkpoint, found, ("encoder.", "embed."))
        super().__init__(name, found, options, plugin="sensevoice", dim=self.net.dim, depth=self.net.depth)
        self.shift, self.scale = read_means(found.folder / MEANS, self.net.read)
        self.values_dtype = torch.float32
        self.net.to(self.device)
        self.identity |= {
            "weights_sha256": sha256([checkpoint]),
            "settings_sha256": sha256([config, found.folder / MEANS]),
            "sample_rate": SAMPLE_RATE,
            "prompt": list(PROMPT),
            "dither": 0,
            "versions": versions("torch"),
        }
        self.probe()
        self.values_dtype = torch_dtype(self.dtype)
        self.net.to(self.device, self.values_dtype)

    def hidden(self, inputs: Sequence[NDArray[np.float32]]) -> tuple[list[Tensor], list[int]]:
        rows = [self._stacked(audio) for audio in inputs]
        kept = self.net([self.moved(row).to(self.values_dtype) for row in rows], self.layers)
        return kept, [len(row) for row in rows]

    def _stacked(self, audio: NDArray[np.float32]) -> Tensor:
        """Normalised frames of seven neighbours each, `(frames, 7 * bands)`: every sixth, the ends repeated."""
        net = self.net
        bands = kaldi_bands(audio * SCALE, net.bands, net.window)
        first = torch.arange(0, len(bands), net.every)[:, None] - (net.stacked - 1) // 2
        rows = bands[(first + torch.arange(net.stacked)).clamp(0, len(bands) - 1)].flatten(1)
        return (rows + self.shift) * self.scale


class SenseVoiceNet(nn.Module):
    """Stacked frames -> hidden layers.

    Layer 0 is the output of the first block, which alone changes the width, and the input of the next; a final norm stands
    behind the last of `num_blocks` and, again, behind the last of `tp_blocks`.

    Args:
        settings: a checkpoint's `config.yaml`.

    Raises:
        ValueError, KeyError: settings that this network does not have.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        own, front = settings["encoder_conf"], settings["frontend_conf"]
        rules: dict[str, tuple[Any, ...]] = {"fs": (SAMPLE_RATE,), "frame_length": (1000 * FRAME / SAMPLE_RATE,)}
        rules |= {"frame_shift": (1000 * HOP / SAMPLE_RATE,), "window": WINDOWS}
        for key, known in rules.items():
            if front[key] not in known:
                raise ValueError(f"{key} {front[key]}")
        if not own.get("normalize_before", True):
            raise ValueError("normalize_before: false")
        self.bands, self.window = int(front["n_mels"]), str(front["window"])
        self.stacked, self.every = int(front["lfr_m"]), int(front["lfr_n"])
        self.read, self.dim = self.bands * self.stacked, int(own["output_size"])
        self.embed = nn.Embedding(EMBEDDINGS, self.read)
        first, blocks, more = _Block(self.read, own), int(own["num_blocks"]) - 1, int(own.get("tp_blocks", 0))
        self.encoder = nn.ModuleDict(
            {
                "encoders0": nn.ModuleList([first]),
                "encoders": nn.ModuleList(_Block(self.dim, own) for _ in range(blocks)),
                "after_norm": nn.LayerNorm(self.dim),
                "tp_encoders": nn.ModuleList(_Block(self.dim, own) for _ in range(more)),
                "tp_norm": nn.LayerNorm(self.dim),
            }
        )
        self.middle, self.depth = blocks, blocks + more

    def forward(self, rows: Sequence[Tensor], layers: Sequence[int]) -> list[Tensor]:
        """Hidden layers of a batch; no block above the highest is computed.

        Args:
            rows: each utterance's stacked frames `(frames, read)`, in the weights' dtype.
            layers: numbers from 0 to `depth`.

        Returns:
            Each layer as `(batch, frames, dim)`, without the four vectors in front.
        """
        # Not by an index, which would be copied to the device.
        asked = torch.cat([self.embed.weight[row : row + 1] for row in PROMPT])
        x = padded([torch.cat([asked, row]) for row in rows])
        mask = valid([len(PROMPT) + len(row) for row in rows], x.device)
        x = x * self.dim**0.5
        first, *blocks = (block for part in BLOCKS for block in self.encoder[part].children())
        x = first(x + _positions(x), mask)
        kept: dict[int, Tensor] = {}
        for number in range(max(layers) + 1):
            x = self.encoder["after_norm"](x) if number == self.middle else x
            kept[number] = x if number < self.depth else self.encoder["tp_norm"](x)
            if number < max(layers):
                x = blocks[number](x, mask)
        return [kept[n][:, len(PROMPT) :] for n in layers]


class _Block(nn.Module):
    """Attention with a memory, then a feed-forward; norms before both. The first block has no residual over its attention."""

    def __init__(self, read: int, own: Mapping[str, Any]) -> None:
        super().__init__()
        dim, wide = int(own["output_size"]), int(own["linear_units"])
        self.norm1, self.norm2 = nn.LayerNorm(read), nn.LayerNorm(dim)
        self.self_attn = _Attention(read, dim, int(own["attention_heads"]), int(own["kernel_size"]), int(own["sanm_shfit"]))
        self.feed_forward = nn.ModuleDict({"w_1": nn.Linear(dim, wide), "w_2": nn.Linear(wide, dim)})
        self.residual = read == dim

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        mixed = self.self_attn(self.norm1(x), mask)
        x = x + mixed if self.residual else mixed
        out: Tensor = x + self.feed_forward["w_2"](F.relu(self.feed_forward["w_1"](self.norm2(x))))
        return out


class _Attention(nn.Module):
    def __init__(self, read: int, dim: int, heads: int, kernel: int, shift: int) -> None:
        super().__init__()
        self.heads = heads
        self.linear_q_k_v, self.linear_out = nn.Linear(read, 3 * dim), nn.Linear(dim, dim)
        self.fsmn_block = nn.Conv1d(dim, dim, kernel, groups=dim, bias=False)
        left = (kernel - 1) // 2 + max(shift, 0)
        self.ends = (left, kernel - 1 - left)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.linear_q_k_v(x).chunk(3, dim=-1)
        if mask is not None:
            v = v.masked_fill(~mask[..., None], 0)  # what stands in padding must not reach the convolution
        memory = self.fsmn_block(F.pad(v.transpose(1, 2), self.ends)).transpose(1, 2) + v
        keys = None if mask is None else mask[:, None, None]
        mixed = F.scaled_dot_product_attention(self._split(q), self._split(k), self._split(v), attn_mask=keys)
        out: Tensor = self.linear_out(mixed.transpose(1, 2).flatten(2)) + memory
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


def _positions(x: Tensor) -> Tensor:
    """Sines and cosines of the positions 1, 2, ... of `(batch, length, dim)`: `(length, dim)`."""
    half = x.shape[-1] // 2
    step = torch.exp(torch.arange(half, device=x.device) * -(np.log(10000.0) / (half - 1)))
    angles = torch.arange(1, x.shape[1] + 1, device=x.device)[:, None] * step
    return torch.cat([angles.sin(), angles.cos()], dim=1).to(x.dtype)


def read_means(path: Path, width: int) -> tuple[Tensor, Tensor]:
    """Read the sums and the factors for stacked frames from Kaldi's `am.mvn`: `(width,)` each.

    Raises:
        EncoderError: the file is not such a file, or of another width.
    """
    found: dict[str, list[float]] = {}
    try:
        words = path.read_text(encoding="utf-8").split()
        for part in ("<AddShift>", "<Rescale>"):
            begin = words.index("[", words.index(part)) + 1
            found[part] = [float(word) for word in words[begin : words.index("]", begin)]]
    except (OSError, ValueError) as error:
        raise EncoderError(f"cannot use {path}", expected="the am.mvn of a SenseVoice model", found=error) from None
    lengths = {len(values) for values in found.values()}
    if lengths != {width}:
        raise EncoderError(
            f"{path} is of another model", expected=f"{width} numbers", found=", ".join(map(str, sorted(lengths)))
        )
    return torch.tensor(found["<AddShift>"]), torch.tensor(found["<Rescale>"])
