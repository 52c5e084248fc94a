"""One generic test over every encoder plugin, tomorrow's too: its facts, and what every encoder promises."""

import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ser import registry
from ser.checks.encoders import TEXTS, inputs, keeps_promises, states_facts
from ser.errors import AudioError, ConfigError
from ser.extract import encoder as base
from ser.extract.encoder import ENCODERS, Encoder
from ser.extract.options import EncoderOptions

PLUGINS = registry.names(ENCODERS)
CASES = [(name, level) for name in PLUGINS for level in registry.load(ENCODERS, name).LEVELS]

Make = Callable[..., Encoder]


@pytest.fixture(scope="module")
def make(example: Callable[[str], str]) -> Make:
    def build(plugin: str, **options: Any) -> Encoder:
        modality = registry.load(ENCODERS, plugin).MODALITY
        encoder = base.load(example(plugin), modality, EncoderOptions(**options))
        encoder.prepare(TEXTS, {})
        return encoder

    return build


@pytest.mark.parametrize("name", PLUGINS)
def test_facts(name: str) -> None:
    states_facts(name)
    plugin = registry.load(ENCODERS, name)
    assert len(registry.summary(plugin)) > 20
    for short, checkpoint in plugin.CHECKPOINTS.items():
        assert base.find(short) is plugin
        assert base.find(checkpoint.hub) is plugin
        assert base.find(checkpoint.hub.split("/")[-1]) is plugin
        assert checkpoint.dim > 0
        assert checkpoint.note


def test_short_names_are_unique() -> None:
    assert len(base.short_names()) == len(set(base.short_names()))
    assert {"bert", "wordpiece"} <= set(base.short_names("text"))
    assert {"egemaps", "emotion2vec", "wav2vec2-base"} <= set(base.short_names("audio"))


def test_listing_imports_nothing_heavy() -> None:
    heavy = "('torch', 'transformers', 'funasr', 'librosa', 'opensmile', 'scipy', 'soundfile')"
    code = "import sys; from ser.extract import catalogue; catalogue.listing()\n"
    code += f"print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]", "a plugin imports these: import them in load, and keep the class in ser/extract/models/"


@pytest.mark.parametrize(("name", "level"), CASES)
def test_what_every_encoder_promises(make: Make, name: str, level: str) -> None:
    encoder = make(name, level=level)
    assert encoder.name.replace(".", "").replace("-", "").replace("_", "").isalnum()
    keeps_promises(encoder, level)


@pytest.mark.parametrize("name", PLUGINS)
def test_identity(make: Make, name: str) -> None:
    levels = registry.load(ENCODERS, name).LEVELS
    encoder = make(name)
    assert encoder.level == levels[0]
    assert json.loads(json.dumps(encoder.identity)) == encoder.identity
    assert encoder.identity == make(name).identity
    assert encoder.identity["plugin"] == name
    assert encoder.identity["versions"]
    if registry.load(ENCODERS, name).CHECKPOINTS:
        assert len(encoder.identity["weights_sha256"]) == 64
    for level in levels[1:]:
        other = make(name, level=level)
        assert other.identity != encoder.identity
        assert other.name == f"{encoder.name}.{level}"


@pytest.mark.parametrize("name", [n for n in PLUGINS if registry.load(ENCODERS, n).MODALITY == "audio"])
def test_too_short_audio_is_refused(make: Make, name: str) -> None:
    encoder = make(name)
    audio = inputs(encoder)[0]
    assert len(encoder.encode([audio])) == 1
    with pytest.raises(AudioError, match=f"{encoder.minimum} samples"):
        encoder.encode([audio[:-1]])


@pytest.mark.parametrize("name", [n for n in PLUGINS if registry.load(ENCODERS, n).MODALITY == "text"])
@pytest.mark.parametrize("text", ["", "  \n"])
def test_empty_text_is_refused(make: Make, name: str, text: str) -> None:
    with pytest.raises(AudioError, match="no text"):
        make(name).encode([text])


@pytest.mark.parametrize("name", PLUGINS)
def test_signal_encoders_travel_to_other_processes(make: Make, name: str) -> None:
    encoder = make(name)
    if not encoder.processes:
        pytest.skip(f"{name} uses the machine by itself")
    before = encoder.encode(inputs(encoder))
    after = pickle.loads(pickle.dumps(encoder)).encode(inputs(encoder))
    assert [a.tobytes() for a in after] == [b.tobytes() for b in before]


@pytest.mark.parametrize("name", PLUGINS)
@pytest.mark.parametrize("options", [{"layers": "first"}, {"layers": (99,)}, {"pooling": "max"}, {"dtype": "float8"}])
def test_options_that_do_not_fit_are_refused(make: Make, name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        make(name, **options)
    assert "\n" not in caught.value.line()


def test_names_that_do_not_fit() -> None:
    with pytest.raises(ConfigError, match=r"wav2vec2-base.*an id of the hub \(OWNER/NAME\)"):
        base.load("wav2vec2-bse", "audio", EncoderOptions())
    with pytest.raises(ConfigError, match="encoder of text"):
        base.load("bert", "audio", EncoderOptions())
    with pytest.raises(ConfigError, match="no utterance level"):
        base.load("wordpiece", "text", EncoderOptions(level="utterance"))
    for family, modality in [("speech", "audio"), ("whisper", "audio"), ("text", "text")]:
        with pytest.raises(ConfigError, match="family"):
            base.load(family, modality, EncoderOptions())
    for name, modality in [("emotion2vec", "audio"), ("wavlm-base", "audio"), ("bert", "text")]:
        with pytest.raises(ConfigError, match="no such device"):
            base.load(name, modality, EncoderOptions(device="cuda:99"))


def every_store_name() -> Sequence[tuple[EncoderOptions, str]]:
    return [
        (EncoderOptions(), "wavlm-base"),
        (EncoderOptions(level="frame"), "wavlm-base.frame"),
        (EncoderOptions(layers=(6,)), "wavlm-base.layer-6"),
        (EncoderOptions(layers="all"), "wavlm-base.layers-all"),
        (EncoderOptions(layers=(0, 6, 12)), "wavlm-base.layers-0-6-12"),
        (EncoderOptions(level="utterance", layers="last", pooling="mean"), "wavlm-base"),
    ]


@pytest.mark.parametrize(("options", "expected"), every_store_name())
def test_store_names_say_what_differs_from_the_default(options: EncoderOptions, expected: str) -> None:
    from ser.extract.options import store_name

    assert store_name("wavlm-base", options, "utterance") == expected
