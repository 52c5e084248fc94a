"""An utterance's features are the same alone and in any batch: every encoder plugin, random lengths, frame by frame."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from ser import registry
from ser.errors import EncoderError
from ser.extract import encoder as base
from ser.extract.encoder import ENCODERS, Encoder
from ser.extract.models.frozen_encoder import Frozen, HiddenLayers, blocks_of
from ser.extract.models.padding import ValidGroupNorm, Zeroing, padded, valid
from ser.extract.models.stem import Convolution, Stem, frames_of, receptive_field
from ser.extract.options import EncoderOptions

# Of each family with weights, all architectures that differ in how a batch could change features.
TINY = {
    "speech": ["wav2vec2", "wav2vec2-large", "mms", "hubert", "hubert-batch-norm", "wavlm", "data2vec", "unispeech-sat"],
    "whisper": ["whisper"],
    "emotion2vec": ["emotion2vec", "emotion2vec-layers", "emotion2vec-before"],
    "text": ["bert", "distilbert", "xlm-roberta", "modernbert", "gpt2", "qwen3"],
}
CASES = [(plugin, model) for plugin in registry.names(ENCODERS) for model in TINY.get(plugin, [plugin])]
EXACT = 1e-5
WORDS = ["i", "am", "so", "happy", "sad", "to", "today", ".", "!", "unhappy"]

LOADED: dict[tuple[str, str], Encoder] = {}


def load(tiny: Callable[[str], Path], plugin: str, model: str, **options: Any) -> Any:
    key = model, str(sorted(options.items()))
    if key not in LOADED:
        family = registry.load(ENCODERS, plugin)
        LOADED[key] = base.load(str(tiny(model)), family.MODALITY, EncoderOptions(**options))
        LOADED[key].prepare(["i am so happy today !", "sad ."], {})
    return LOADED[key]


def sounds(encoder: Encoder, lengths: list[int]) -> list[Any]:
    generator = np.random.default_rng(lengths)
    offset = 0.1 * len(lengths)  # utterances whose mean is not 0 show a normalisation over padding
    return [(generator.normal(offset, 0.1, n)).astype(np.float32) for n in lengths]


def texts(lengths: list[int]) -> list[str]:
    generator = np.random.default_rng(lengths)
    return [" ".join(generator.choice(WORDS, n)) for n in lengths]


def worst(one: np.ndarray, other: np.ndarray) -> float:
    """Largest relative L2 distance of two arrays' vectors."""
    assert one.shape == other.shape
    distance = np.linalg.norm(one.astype(float) - other, axis=-1)
    return float((distance / np.maximum(np.linalg.norm(other.astype(float), axis=-1), 1e-12)).max())


def rounding(encoder: Any, source: np.ndarray) -> float:
    """How far the samples' own rounding moves a vector, which is far where a frame of random weights is nearly constant."""
    alone = encoder.encode([source])[0]
    noise = [1e-7 * np.random.default_rng(seed).normal(size=source.shape) for seed in range(5)]
    return max(worst(encoder.encode([(source * (1 + n)).astype(np.float32)])[0], alone) for n in noise)


@pytest.mark.parametrize(("plugin", "model"), CASES)
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_batch_changes_no_frame(tiny: Callable[[str], Path], plugin: str, model: str, data: Any) -> None:
    level = "frame" if "frame" in registry.load(ENCODERS, plugin).LEVELS else "utterance"
    encoder = load(tiny, plugin, model, level=level)
    if encoder.modality == "text":
        inputs: list[Any] = texts(data.draw(st.lists(st.integers(1, 8), min_size=2, max_size=6)))
    else:
        longest = encoder.minimum + (3000 if encoder.processes else 9000)
        drawn = data.draw(st.lists(st.integers(encoder.minimum, longest), min_size=1, max_size=4))
        inputs = sounds(encoder, [*drawn, encoder.minimum])
    for features, source in zip(encoder.encode(inputs), inputs, strict=True):
        found = worst(features, encoder.encode([source])[0])
        assert found <= EXACT or (encoder.modality == "audio" and found <= rounding(encoder, source))


def test_a_difference_beyond_the_limit_is_rounding(tiny: Callable[[str], Path]) -> None:
    """One frame of this model and sound is so nearly constant that its normalisation shows the samples' last bits."""
    encoder = load(tiny, "speech", "data2vec", level="frame")
    shortest = sounds(encoder, [1788, encoder.minimum])[1]
    assert rounding(encoder, shortest) > EXACT
    assert rounding(encoder, sounds(encoder, [4000])[0]) < EXACT


@pytest.mark.parametrize(("plugin", "model"), [c for c in CASES if c[0] in ("speech", "emotion2vec", "whisper")])
def test_nor_a_mean_nor_a_lower_layer(tiny: Callable[[str], Path], plugin: str, model: str) -> None:
    encoder = load(tiny, plugin, model, layers="all")
    inputs = sounds(encoder, [encoder.minimum, 9000, 4321, 720])
    for features, source in zip(encoder.encode(inputs), inputs, strict=True):
        assert worst(features, encoder.encode([source])[0]) <= EXACT


@pytest.mark.parametrize("model", TINY["speech"])
def test_nor_with_the_stem_that_a_gpu_uses(tiny: Callable[[str], Path], model: str) -> None:
    encoder = load(tiny, "speech", model, level="frame")
    inputs = sounds(encoder, [encoder.minimum, 9000, 4321, 720])
    products = encoder.encode(inputs)
    encoder.exact_stem(products=False)
    try:
        together = encoder.encode(inputs)
        assert bool(encoder.norms) == (model in ("wav2vec2", "hubert", "hubert-batch-norm", "wavlm", "unispeech-sat"))
        for features, source, other in zip(together, inputs, products, strict=True):
            assert worst(features, encoder.encode([source])[0]) <= EXACT
            assert worst(features, other) <= EXACT
    finally:
        encoder.exact_stem(products=True)


@pytest.mark.parametrize("model", TINY["emotion2vec"][:2])
def test_nor_with_emotion2vecs_convolutions(tiny: Callable[[str], Path], model: str) -> None:
    encoder = load(tiny, "emotion2vec", model, level="frame")
    inputs = sounds(encoder, [encoder.minimum, 9000, 4321])
    products, audio = encoder.encode(inputs), encoder.net.audio
    stem, audio._stem = audio._stem, None
    try:
        for features, other in zip(encoder.encode(inputs), products, strict=True):
            assert worst(features, other) <= EXACT
    finally:
        audio._stem = stem


@pytest.mark.parametrize("broken", ["norms", "zeroing"])
def test_without_its_cures_a_batch_would_change_features(tiny: Callable[[str], Path], broken: str) -> None:
    """The test above can fail: a group norm over padding, and stacked convolutions over padding, are seen."""
    encoder = load(tiny, "speech", "wav2vec2" if broken == "norms" else "data2vec", level="frame", revision=None)
    inputs = sounds(encoder, [9000, 4321])
    alone = [encoder.encode([one])[0] for one in inputs]
    encoder.exact_stem(products=False)
    kept = encoder.norms, encoder.zeroing
    encoder.norms = [] if broken == "norms" else encoder.norms
    encoder.zeroing = Zeroing([]) if broken == "zeroing" else encoder.zeroing
    try:
        assert worst(encoder.encode(inputs)[1], alone[1]) > 1e-3
    finally:
        encoder.norms, encoder.zeroing = kept
        encoder.exact_stem(products=True)


def test_the_probe_refuses_a_library_that_behaves_otherwise(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Zeroing, "_before", lambda *_: None)
    with pytest.raises(EncoderError, match=r"a batch changes the features; expected .* 0\.0001 .*ser doctor"):
        base.load(str(tiny("data2vec")), "audio", EncoderOptions())
    monkeypatch.undo()
    assert base.load(str(tiny("data2vec")), "audio", EncoderOptions()).probed < EXACT  # type: ignore[attr-defined]


CONVOLUTIONS = [(6, 10, 5), (6, 3, 2), (6, 2, 2), (5, 5, 2), (4, 3, 3), (4, 1, 1)]


@pytest.mark.parametrize("norm", ["none", "layer", "group"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("more", [0, 1, 59, 900])
def test_a_stem_is_its_convolutions(norm: str, bias: bool, more: int) -> None:
    torch.manual_seed(0)
    layers, channels = [], 1
    for number, (wide, kernel, stride) in enumerate(CONVOLUTIONS):
        first = nn.GroupNorm(wide, wide) if number == 0 else None
        normalise = {"none": None, "layer": nn.LayerNorm(wide), "group": first}[norm]
        layers.append(Convolution(nn.Conv1d(channels, wide, kernel, stride, bias=bias), normalise, torch.tanh))
        channels = wide
    samples = more + receptive_field([k for _, k, _ in CONVOLUTIONS], [s for *_, s in CONVOLUTIONS])
    audio = torch.randn(samples)
    x = audio[None, None]
    for layer in layers:
        x = layer.layer(x)
        if isinstance(layer.norm, nn.GroupNorm):
            x = layer.norm(x)
        elif layer.norm is not None:
            x = layer.norm(x.transpose(1, 2)).transpose(1, 2)
        x = torch.tanh(x)
    stem = Stem(layers)
    with torch.inference_mode():
        torch.testing.assert_close(stem(audio), x[0].T, rtol=1e-5, atol=1e-6)
    assert len(x[0].T) == frames_of(samples, stem.kernels, stem.strides)


def test_a_stem_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="another kind"):
        Stem([Convolution(nn.Conv1d(4, 4, 3, groups=2), None, torch.tanh)])


def test_group_norm_over_valid_frames() -> None:
    torch.manual_seed(0)
    usual = nn.GroupNorm(3, 3)
    nn.init.normal_(usual.weight)
    norm = ValidGroupNorm(usual)
    rows = [torch.randn(3, n) for n in (7, 4, 5)]
    batch = padded([row.T for row in rows]).transpose(1, 2)
    with norm.lengths([7, 4, 5]):
        out = norm(batch)
    for row, one in zip(out, rows, strict=True):
        torch.testing.assert_close(row[:, : one.shape[1]], usual(one[None])[0])
        assert not row[:, one.shape[1] :].any()
    torch.testing.assert_close(norm(batch), usual(batch))


def test_only_to_an_nvidia_gpu_are_values_moved_without_waiting() -> None:
    """On Apple's, memory that is given back before the copy has ended would be read."""
    calls: list[Any] = []

    class Values:
        def pin_memory(self) -> "Values":
            calls.append("pinned")
            return self

        def to(self, device: str, **how: Any) -> "Values":
            calls.append((device, how))
            return self

    for device in ("cuda:1", "mps"):
        Frozen.moved(SimpleNamespace(device=device), Values())  # type: ignore[arg-type]
    assert calls == ["pinned", ("cuda:1", {"non_blocking": True}), ("mps", {})]


def test_masks() -> None:
    assert valid([3, 3]) is None
    mask = valid([3, 1])
    assert mask is not None
    assert mask.tolist() == [[True] * 3, [True, False, False]]


def test_no_block_above_the_highest_layer_is_computed() -> None:
    calls: list[int] = []

    class Block(nn.Module):
        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(self.number)
            return x + 1

    model = SimpleNamespace(blocks=nn.ModuleList(Block(n) for n in range(4)))

    def forward() -> torch.Tensor:
        x = torch.zeros(1)
        for block in model.blocks:
            x = block(x)
        return x * 10

    hidden_layers = HiddenLayers(model.blocks, [2, 0])
    assert [float(t) for t in hidden_layers.run(forward)] == [2, 0]
    assert calls == [0, 1]
    model.blocks = nn.ModuleList(Block(n) for n in range(2))
    assert [float(t) for t in HiddenLayers(model.blocks, [1, 2]).run(forward)] == [1, 20]
    assert blocks_of(nn.Sequential(nn.ModuleList([nn.Identity()])), 2) is None


def test_layers_that_are_not_asked_for_are_not_computed(tiny: Callable[[str], Path]) -> None:
    for plugin, model in (("speech", "wav2vec2"), ("whisper", "whisper"), ("text", "bert")):
        encoder = load(tiny, plugin, model, layers=(1,))
        assert len(encoder.hidden_layers.layers) == 1
        blocks = blocks_of(encoder.model, 2)
        assert blocks is not None
        ran: list[int] = []
        blocks[0].register_forward_hook(lambda *_, ran=ran: ran.append(0))
        blocks[1].register_forward_hook(lambda *_, ran=ran: ran.append(1))
        encoder.encode(["so happy"] if plugin == "text" else sounds(encoder, [4000]))
        assert ran == [0]
