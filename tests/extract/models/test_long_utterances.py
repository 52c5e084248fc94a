"""Long utterances go in blocks of queries and pieces of audio, which changes no frame and makes no matrix of all pairs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from ser.errors import EncoderError
from ser.extract import encoder as base
from ser.extract.encoder import Encoder
from ser.extract.models import distance_bias, stem
from ser.extract.models.distance_bias import Alibi, Bias, LongAttention, slopes
from ser.extract.models.stem import Convolution, Stem, receptive_field
from ser.extract.options import EncoderOptions

Tiny = Callable[[str], Path]
BIASED = ["emotion2vec", "emotion2vec-layers", "wavlm", "wavlm-stable"]
EXACT = 1e-5
LOADED: dict[tuple[str, str], Any] = {}


def load(tiny: Tiny, name: str, dtype: str = "float32") -> Any:
    if (name, dtype) not in LOADED:
        LOADED[name, dtype] = base.load(str(tiny(name)), "audio", EncoderOptions(level="frame", dtype=dtype))
    return LOADED[name, dtype]


def sound(samples: int) -> np.ndarray:
    return (np.random.default_rng(samples).normal(0.05, 0.1, samples)).astype(np.float32)


@contextmanager
def long(encoder: Encoder, longest: int, block: int, piece: int = 10**9) -> Iterator[None]:
    """Utterances of more than so many frames are long, and a block has so many bytes, a piece so many frames."""
    model = getattr(encoder, "model", None)
    swapped = [] if model is None else [m for m in model.modules() if isinstance(m, LongAttention)]
    before = [m.longest for m in swapped]
    with (
        mock.patch.multiple(stem, LONG=longest, PIECE=piece),
        mock.patch.multiple(distance_bias, LONG=longest, CPU_BLOCK=block),
    ):
        for m in swapped:
            m.longest = longest
        try:
            yield
        finally:
            for m, own in zip(swapped, before, strict=True):
                m.longest = own


def worst(one: np.ndarray, other: np.ndarray) -> float:
    """Largest relative L2 distance of two arrays' frames."""
    assert one.shape == other.shape
    apart = np.linalg.norm(one.astype(float) - other, axis=-1)
    return float((apart / np.linalg.norm(other.astype(float), axis=-1)).max())


class Largest(TorchDispatchMode):
    """The largest block of memory behind a tensor that an operation gives, in bytes."""

    bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.untyped_storage().nbytes())
        return result


@pytest.mark.parametrize("name", BIASED)
@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_blocks_change_no_frame(tiny: Tiny, name: str, data: Any) -> None:
    """Queries in blocks of 1 to all, lengths at a block's ends and beside, alone and beside shorter ones."""
    encoder = load(tiny, name)
    extra = 10 if name.startswith("emotion2vec") else 0
    queries = data.draw(st.integers(1, 40))
    frames = max(2, queries * data.draw(st.integers(1, 4)) - extra + data.draw(st.integers(-1, 1)))
    samples = 400 + 320 * (frames - 1) + data.draw(st.integers(0, 319))
    others = data.draw(st.lists(st.integers(400, samples), max_size=2))
    inputs = [sound(n) for n in (samples, *others)]
    expected = encoder.encode(inputs)
    rows = queries * len(inputs) * (frames + extra) * 4
    with long(encoder, 1, rows):
        got = encoder.encode(inputs)
    for features, one in zip(got, expected, strict=True):
        assert worst(features, one) <= EXACT


@pytest.mark.parametrize("name", [*BIASED, "wav2vec2", "wav2vec2-large", "hubert", "data2vec", "emotion2vec-before"])
def test_an_utterance_over_the_limit_is_what_it_is_at_once(tiny: Tiny, name: str) -> None:
    """43 s, the limits as they are: features equal, and the memory that any tensor takes is far from all pairs."""
    encoder, audio = load(tiny, name), sound(43 * 16000)
    frames = 2149
    with Largest() as blocks:
        got = encoder.encode([audio])[0]
    assert got.shape[0] == frames > distance_bias.LONG
    with long(encoder, 10**9, 1), Largest() as whole:
        expected = encoder.encode([audio])[0]
    assert worst(got, expected) <= EXACT
    if name in BIASED:
        assert whole.bytes >= 2 * frames**2 * 4
    with long(encoder, distance_bias.LONG, 2**20, 512), Largest() as blocks:
        assert worst(encoder.encode([audio])[0], expected) <= EXACT
    assert blocks.bytes <= 3 * 2**20  # the audio itself is 2.75 MB


@pytest.mark.parametrize("name", BIASED)
def test_long_in_bfloat16(tiny: Tiny, name: str) -> None:
    encoder, audio = load(tiny, name, "bfloat16"), sound(8000)
    expected = load(tiny, name).encode([audio])[0]
    usual = np.linalg.norm(encoder.encode([audio])[0] - expected)
    with long(encoder, 1, 4096, 8):
        assert 0 < np.linalg.norm(encoder.encode([audio])[0] - expected) < 2 * usual


def test_the_limit_is_where_it_is_said_to_be(tiny: Tiny) -> None:
    """Up to the limit WavLM's attention is the library's, bit for bit; behind it, it is not called."""
    own = load(tiny, "wavlm").model.encoder.layers[0].attention
    assert own.longest == distance_bias.LONG == 2048
    with torch.inference_mode():
        for frames, calls in ((2048, 1), (2049, 0)):
            states = torch.randn(1, frames, 32, generator=torch.Generator().manual_seed(0))
            with mock.patch.object(own.attention, "forward", wraps=own.attention.forward) as library:
                got = own(states, attention_mask=None, position_bias=None, index=0)[0]
            assert library.call_count == calls
            expected = own.attention(states)[0]
            assert torch.equal(got, expected) == bool(calls)
            torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(frames=st.integers(1, 9), heads=st.integers(1, 3), queries=st.integers(1, 10))
def test_attention_with_a_bias_by_distance(frames: int, heads: int, queries: int) -> None:
    """Against the sum written out in float64."""
    generator = torch.Generator().manual_seed(frames)
    q, k, v = torch.randn(3, 2, heads, frames, 4, generator=generator).unbind(0)
    lines = torch.randn(heads, 2 * frames - 1, generator=generator)

    def fill(bias: torch.Tensor, head: int, begin: int) -> None:
        bias[:] = distance_bias.windows(lines[head], begin, begin + bias.shape[2])

    with mock.patch.object(distance_bias, "CPU_BLOCK", queries * 2 * frames * 4):
        got = distance_bias.attend(q, k, v, fill)
    for b, h, i in np.ndindex(2, heads, frames):
        scores = [float(q[b, h, i].double() @ k[b, h, j].double()) / 2 for j in range(frames)]
        scores = [s + float(lines[h, frames - 1 - (j - i)]) for j, s in enumerate(scores)]
        weights = np.exp(scores) / np.exp(scores).sum()
        np.testing.assert_allclose(got[b, h, i], weights @ v[b, h].double().numpy(), rtol=1e-5, atol=1e-6)


def test_the_line_of_alibi_is_the_matrix() -> None:
    """Three heads of five have a bias, a scale each; two extra tokens are at no distance from any."""
    scale = torch.tensor([0.5, -1.0, 2.0]).view(1, 1, 3, 1, 1)
    bias = Bias(Alibi(scale, 3, 5), 2, 4, None, torch.float32)
    whole = bias.of(0)
    assert whole is not None
    assert whole.shape == (1, 5, 6, 6)
    for h, i, j in np.ndindex(5, 6, 6):
        factor = slopes(3)[h] * max(float(scale.flatten()[h]), 0.0) if h < 3 and min(i, j) >= 2 else 0.0
        assert float(whole[0, h, i, j]) == pytest.approx(-factor * abs(i - j))
    heads: list[torch.Tensor] = []

    def kept(q: Any, k: Any, v: Any, fill: Any) -> Any:
        for head in range(5):
            blocks = torch.full((2, 1, 1, 3, 6), float("nan"))
            for block, begin in zip(blocks, (0, 3), strict=True):
                fill(block, head, begin)
            heads.append(blocks[:, 0, 0].flatten(0, 1).flip(1))

    with mock.patch.object(distance_bias, "LONG", 1), mock.patch.object(distance_bias, "attend", kept):
        q = torch.zeros(1, 5, 6, 4)
        bias.attend(0, q, q, q)
    assert torch.equal(torch.stack(heads), whole[0])


@pytest.mark.parametrize("norm", ["none", "layer", "group"])
@pytest.mark.parametrize("frames", [7, 8, 9, 16, 63])
def test_pieces_of_a_stem(norm: str, frames: int) -> None:
    torch.manual_seed(0)
    spec = [(6, 10, 5), (6, 3, 2), (5, 2, 2)]
    layers, channels = [], 1
    for number, (wide, kernel, stride) in enumerate(spec):
        first = nn.GroupNorm(wide, wide) if number == 0 else None
        normalise = {"none": None, "layer": nn.LayerNorm(wide), "group": first}[norm]
        layers.append(Convolution(nn.Conv1d(channels, wide, kernel, stride), normalise, torch.tanh))
        channels = wide
    computed = Stem(layers)
    field = receptive_field(computed.kernels, computed.strides)
    for more in (0, 19):
        audio = torch.randn(field + 20 * (frames - 1) + more) + 3
        with torch.inference_mode():
            whole = computed(audio)
            with mock.patch.multiple(stem, LONG=1, PIECE=8, ROWS=16):
                pieces = computed(audio)
        assert len(whole) == frames
        torch.testing.assert_close(pieces, whole, rtol=1e-5, atol=1e-6)


def test_the_probe_sees_what_long_utterances_are_computed_with(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose gate is another one would be noticed, though no probe is long."""
    monkeypatch.setattr(LongAttention, "_gate", lambda _, heads: torch.ones_like(heads[..., :1]))
    with pytest.raises(EncoderError, match=r"a batch changes the features"):
        base.load(str(tiny("wavlm")), "audio", EncoderOptions())
