"""The interface of an encoder: a frozen function from one utterance's audio or text to its features.

A plugin in `ser/extract/encoders/` is one file per family. It opens with its facts and has one function:

    MODALITY = "audio"                       # or "text"
    SOURCE, LICENCE = ...                    # who published it; a paper, and the licence of the weights
    LEVELS = ("utterance", "frame")          # the first is the default
    LAYERS = "all"                           # of an utterance, where --layers is not given; without it the last
    CHECKPOINTS = {"wav2vec2-base": Checkpoint("facebook/wav2vec2-base", 768, "..."), ...}   # {}: no weights
    DIM = "88 (25 per frame)"                # where there are no checkpoints: features, in words
    def load(name: str, options: EncoderOptions) -> Encoder     # by short name, hub id or folder; EncoderError where a package
                                             # or a file is missing, the model is of another kind, or it lacks a weight
    def example(folder: Path) -> Path        # where there are checkpoints: write a tiny model of random weights, for the test
    TRAINING_DATA = {"wav2vec2-*-mine": TrainingData(...)}   # optional: for names (patterns) without a checkpoint
    MODEL_TYPES = ("whisper",)               # optional: kinds of transformers models (`model_type`) that the family reads
    FUNASR_MODELS = ("Emotion2vec",)         # optional: classes of funasr's (`model` of config.yaml) that the family reads
    def accepts(name: str) -> bool           # optional: names that are neither of CHECKPOINTS nor the plugin's own
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

from ser import registry
from ser.accelerator import pick_device
from ser.errors import ConfigError
from ser.extract.options import EncoderOptions, at_revision, refuse_other_paths
from ser.extract.views.view import AudioView
from ser.features.stores.names import MARK
from ser.files import JsonObject
from ser.metadata.ledger import TrainingData

ENCODERS = "ser.extract.encoders"


@dataclass(frozen=True)
class Checkpoint:
    """Published weights with a short name.

    Attributes:
        hub: id on the hub.
        dim: features a frame.
        note: for the user: training data, language, size.
        licence: of these weights, where the plugin's differ.
        data: corpora that it was trained on, as its publisher says; see `ser.metadata.ledger`.
    """

    hub: str
    dim: int
    note: str = ""
    licence: str = ""
    data: TrainingData | None = None


class Encoder(ABC):
    """A loaded encoder.

    Attributes:
        name: the store's name: the short name, then what differs from the default: `wav2vec2-base`,
            `wav2vec2-base.frame`, `wav2vec2-base.layer-6`. Letters, digits, `-`, `_` and, before a suffix, `.`.
        modality: `audio` or `text`.
        level: `utterance` (one vector, or one per layer) or `frame` (a sequence of vectors).
        dim: features a vector.
        sample_rate: Hz in which it reads audio; 0 for text.
        minimum: samples under which an utterance is refused (the receptive field).
        vocabulary: for integer features (word pieces), the number of ids; 0 otherwise.
        processes: true where utterances are best spread over worker processes (signal processing); false where the encoder
            uses the machine by itself (torch models).
        threads: true where `encode` may be called in several threads, and one lets the others compute meanwhile.
        identity: all that changes the values: plugin, model id, revision, sha256 of the weights, layer, pooling,
            preprocessing, dtype, versions of libraries that compute. JSON-able. A store of another identity is refused.
        assets: small texts that belong to the features (a tokenizer), kept in the store.
        device: `cpu`, `cuda`, `cuda:1`, ...
        of_corpus: true for one that is made from a corpus (`prepare`), and is another one for each.
        store_dtype: type of the stored features: `float32`, or at frame level `float16` (set by the caller).
        equal: true where a batch takes inputs of equal cost only.
        spectrogram: true where its features are frames of bands around a mean of 0, on which masks have a meaning.
        view: the augmented view of the audio that it reads; None is the unchanged audio.
    """

    name: str
    modality: str
    level: str
    dim: int
    sample_rate: int = 0
    minimum: int = 1
    vocabulary: int = 0
    processes: bool = False
    threads: bool = False
    identity: JsonObject
    assets: dict[str, str]
    device: str = "cpu"
    of_corpus: bool = False
    store_dtype: str = "float32"
    equal: bool = False
    spectrogram: bool = False
    view: AudioView | None = None

    def prepare(self, texts: Sequence[str], assets: dict[str, str]) -> None:  # noqa: B027
        """Called once before encoding, for encoders that are made from the corpus (a word-piece vocabulary).

        Args:
            texts: the texts of the corpus's training part (all texts where it has no such part).
            assets: those of an existing store of this name; {} where there is none.
        """

    @property
    def budget(self) -> int:
        """The highest cost of a batch, each input counted as the costliest of them; 0 is one input per batch."""
        return 0

    def costs(self, inputs: Sequence[Any]) -> list[int]:
        """The cost of each input in a batch.

        Args:
            inputs: audio: numbers of samples; else the texts.
        """
        return [int(n) for n in inputs] if self.modality == "audio" else [1] * len(inputs)

    @abstractmethod
    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        """Compute the features of each input; they do not depend on the inputs beside it.

        Args:
            inputs: audio (each float32 `(samples,)` at `sample_rate`) or texts.

        Returns:
            One array per input: `(dim,)` or `(layers, dim)` for utterances, `(frames, dim)` for frames; float32, or
            int32 `(tokens, 1)` for word pieces.
        """

    def finish(self, features: NDArray[Any], utterance: str, emotion: str) -> NDArray[Any]:
        """The features as they are stored: unchanged, unless a view masks them."""
        return features


class ViewedEncoder(Encoder):
    """An encoder on a view of the audio; it has the name `ENCODER@VIEW`."""

    def __init__(self, encoder: Encoder, view: AudioView) -> None:
        self.encoder, self.view = encoder, view
        self.name = f"{encoder.name}{MARK}{view.name}"
        self.masks = encoder.spectrogram
        self.identity = {**encoder.identity, "view": view.definition(self.masks)}
        for name in ("modality", "level", "dim", "sample_rate", "minimum", "processes", "assets", "device", "equal"):
            setattr(self, name, getattr(encoder, name))
        self.store_dtype = encoder.store_dtype
        if hasattr(encoder, "halve"):
            self.halve = encoder.halve

    @property
    def budget(self) -> int:
        return self.encoder.budget

    def costs(self, inputs: Sequence[Any]) -> list[int]:
        return self.encoder.costs(inputs)

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return self.encoder.encode(inputs)

    def finish(self, features: NDArray[Any], utterance: str, emotion: str) -> NDArray[Any]:
        return self.view.mask(features, utterance, emotion) if self.view is not None and self.masks else features


def find(name: str, modality: str | None = None) -> ModuleType:
    """The plugin that a name belongs to: a plugin's own name, a short name of its checkpoints, a hub id or a folder.

    Args:
        modality: of plugins that might know a hub id (it does not say what it is of), take one of this modality.

    Raises:
        ConfigError: nothing of that name, and the message lists what there is; or a folder without a model.
    """
    if registry.has(ENCODERS, name) or registry.names_part(ENCODERS, name):
        return registry.load(ENCODERS, name)
    plugins = {n: registry.load(ENCODERS, n) for n in registry.names(ENCODERS)}
    for plugin in plugins.values():
        hubs = {checkpoint.hub for checkpoint in plugin.CHECKPOINTS.values()}
        if name in plugin.CHECKPOINTS or name in hubs | {hub.split("/")[-1] for hub in hubs}:
            return plugin
    refuse_other_paths(name)
    kind = _funasr_class(Path(name).expanduser() / "config.yaml")
    for plugin in plugins.values():
        if kind in getattr(plugin, "FUNASR_MODELS", ()):
            return plugin
    if modality == "text" and (other := audio_families().get(_model_type(Path(name).expanduser() / "config.json"))):
        return other
    for plugin in sorted(plugins.values(), key=lambda p: modality not in (None, p.MODALITY)):
        if getattr(plugin, "accepts", lambda _: False)(name):
            return plugin
    if Path(name).expanduser().is_dir():
        there = ", ".join(sorted(file.name for file in Path(name).expanduser().iterdir())[:6])
        raise ConfigError(
            f"{name} is a folder without a model that is known here",
            expected="config.json of transformers, config.yaml of funasr, or weights of 3D-Speaker by their published name",
            found=there or "nothing",
        )
    raise registry.unknown("encoder", name, [*short_names(modality), "an id of the hub (OWNER/NAME)", "a folder"])


def _funasr_class(config: Path) -> str | None:
    """The class that a folder of funasr's layout is of; None if it is not such a folder."""
    try:
        found = re.search(r"^model:\s*(\w+)", config.read_text(encoding="utf-8"), flags=re.MULTILINE)
    except (OSError, ValueError):
        return None
    return found and found[1]


def _model_type(config: Path) -> str:
    """The kind of model that a folder of transformers' layout says it is; "" where it does not say."""
    try:
        found = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(found.get("model_type", "")) if isinstance(found, dict) else ""


def audio_families() -> dict[str, ModuleType]:
    """The plugin that reads a kind of audio model, by the `model_type` of the model's `config.json`."""
    plugins = [registry.load(ENCODERS, name) for name in registry.names(ENCODERS)]
    audio = [plugin for plugin in plugins if plugin.MODALITY == "audio"]
    return {kind: plugin for plugin in audio for kind in getattr(plugin, "MODEL_TYPES", ())}


def short_names(modality: str | None = None) -> list[str]:
    """All names that `--audio` and `--text` know without a hub id."""
    found: list[str] = []
    for name in registry.names(ENCODERS):
        plugin = registry.load(ENCODERS, name)
        if modality in (None, plugin.MODALITY):
            found += list(plugin.CHECKPOINTS) or [name]
    return found


def refuse_other_modality(name: str, modality: str, plugin: ModuleType) -> None:
    """Refuse an encoder of text under `--audio`, or one of audio under `--text`.

    Raises:
        ConfigError: it is of the other one.
    """
    if modality != plugin.MODALITY:
        raise ConfigError(
            f"--{modality} {name}: this is an encoder of {plugin.MODALITY}", expected=f"--{plugin.MODALITY} {name}"
        )


def load(name: str, modality: str, options: EncoderOptions) -> Encoder:
    """The encoder of that name.

    Args:
        name: short name, hub id (`facebook/wav2vec2-base`, also `...@revision`), or local folder.
        modality: `audio` or `text`, which it must be of.

    Raises:
        ConfigError: unknown, of the other modality, a level it does not have, or a device that is not here.
        EncoderError: its package or its weights are missing.
    """
    name, options = at_revision(name, options)
    plugin = find(name, modality)
    refuse_other_modality(name, modality, plugin)
    if options.device not in ("auto", "cpu"):
        pick_device(options.device)  # also where the encoder makes no use of it: the name may be a slip
    if options.level is not None and options.level not in plugin.LEVELS:
        raise ConfigError(f"{name} has no {options.level} level", expected=" or ".join(plugin.LEVELS))
    encoder = plugin.load(name, options)
    if not isinstance(encoder, Encoder):
        raise ConfigError(
            f"encoder {name}: load gives no encoder", expected="one derived from ser.extract.encoder.Encoder", found=encoder
        )
    for facts in registry.facts_of_parts(ENCODERS, name):
        encoder.identity["outside"] = facts
    return encoder
