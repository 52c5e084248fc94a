"""A trained head and its encoders -> emotions of new audio (and text)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio import reading
from ser.errors import AudioError, ConfigError
from ser.extract.encoder import Encoder, load
from ser.extract.options import EncoderOptions
from ser.features.blocks import Block
from ser.metadata.ledger import is_imported
from ser.metadata.texts.text_sources import ASR, kind, source_of
from ser.predict.answer import notes, table
from ser.predict.inputs import Given, given
from ser.train.checkpoint import load_head
from ser.train.nn.layers import Input


class Predictor:
    """Emotions of new recordings from a head that `ser fit --save` wrote.

    Args:
        model: the head's file.
        weights: a folder of encoder weights, used before cache and network.
        device: `auto`, `cpu`, `cuda`, ...
        encoders: store name -> encoder name or folder, where the weights have moved since training.
        say: told what a user should know.

    Raises:
        ConfigError: no such head.
        EncoderError: an encoder's weights or package cannot be had, or are not those of the head.
    """

    def __init__(
        self,
        model: Path | str,
        *,
        weights: Path | None = None,
        device: str = "cpu",
        encoders: dict[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.head = load_head(Path(model))
        self.classes = self.head.classes
        for note in self.head.notes:
            say(note)
        self.encoders = [
            _encoder(i, self.head.about["stores"][i.name], (encoders or {}).get(i.name), weights, device, say)
            for i in self.head.inputs
        ]
        self.say = say

    @property
    def reads_dialogues(self) -> bool:
        """Whether the head sees the turns of a dialogue at once."""
        return self.head.config.context == "dialogue"

    def predict(
        self,
        files: Sequence[Path | str] | None = None,
        texts: Sequence[str] | None = None,
        dialogues: Sequence[Any] | None = None,
        *,
        turns: Sequence[int] | None = None,
        speakers: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Emotions of recordings, or of texts.

        Args:
            files: audio files; any format that can be decoded. None for heads that were trained on text alone.
            texts: what is said in each, for heads that were trained on text.
            dialogues: which dialogue each is a turn of, for heads that were trained on dialogues; None: all are one.
            turns: their order in it, whole numbers; None: the order given.
            speakers: who speaks. A head that was normalised per speaker standardises each speaker's by their own; None:
                all are one speaker's.

        Returns:
            One row a file, in the order given: `file` (`text` where there are no files), for dialogues `dialogue` and
            `turn`, then `predicted`, `probability`, `error`, and `p_<class>` columns. Where one cannot be used, `error` says
            why, the others are empty, and the rest of its dialogue is predicted without it.

        Raises:
            ConfigError: the head wants files or texts and there are none, or not one a row; or a turn is there twice.
        """
        return self.answer(given(files, texts, dialogues, turns, speakers, reads_dialogues=self.reads_dialogues))

    def answer(self, asked: Given) -> pd.DataFrame:
        """As `predict`, of what was checked before."""
        self._refuse(asked)
        errors = np.full(len(asked), "", dtype=object)
        features = [self._features(asked, k, errors) for k in range(len(asked))]
        self._refuse_alone(asked, errors)
        good = np.flatnonzero(errors == "")
        shares = np.full((len(asked), len(self.classes)), np.nan)
        if len(good):
            shares[good] = self.head.probabilities(
                [_block(i, [features[k][n] for k in good]) for n, i in enumerate(self.head.inputs)],
                turns=asked.places(good) if self.reads_dialogues else None,
                speakers=np.array(asked.speakers, dtype=object)[good] if asked.speakers else None,
            )
        for note in notes(asked, errors, self.reads_dialogues, self.head.standardises_by):
            self.say(note)
        return table(asked, errors, shares, self.classes, self.reads_dialogues)

    def _refuse(self, asked: Given) -> None:
        """Refuse what the head cannot be asked."""
        modalities = {i.modality for i in self.head.inputs}
        if "text" in modalities and asked.texts is None:
            raise ConfigError(
                "this head was trained on text too" if "audio" in modalities else "this head was trained on text",
                expected="one text a file (--texts FILE, or a column text in --list FILE)",
            )
        if "audio" in modalities and asked.files is None:
            raise ConfigError("this head was trained on audio", expected="audio files")
        how = self.head.standardises_by
        if how == "speaker" and asked.speakers and "" in asked.speakers:
            raise ConfigError(
                "this head was normalised per speaker",
                expected="the speaker of every row, or of none",
                found=f"row {asked.speakers.index('') + 1} has none",
            )
        if how and len(asked) < 2:
            raise ConfigError(
                f"this head was normalised per {how}", expected=f"several recordings of one {how}", found="1 file"
            )

    def _features(self, asked: Given, row: int, errors: NDArray[Any]) -> list[NDArray[Any]]:
        file = asked.files[row] if asked.files else ""
        text = asked.texts[row] if asked.texts else ""
        try:
            return [_features(e, file, text) for e in self.encoders]
        except AudioError as error:
            errors[row] = error.line()
            return []

    def _refuse_alone(self, asked: Given, errors: NDArray[Any]) -> None:
        """Of what is standardised by itself, one recording alone would be all 0."""
        how, good = self.head.standardises_by, np.flatnonzero(errors == "")
        if not how:
            return
        by = asked.speakers if how == "speaker" and asked.speakers else [f"the {how}"] * len(asked)
        for name, rows in pd.Series(good).groupby(np.array([by[k] for k in good], dtype=object)):
            if len(rows) < 2:
                errors[rows] = f"the only recording of {name} that can be used; the head was normalised per {how}"


def _encoder(
    source: Input,
    store: dict[str, Any],
    other: str | None,
    weights: Path | None,
    device: str,
    say: Callable[[str], None],
) -> Encoder:
    # What the features were rounded to when they were stored, and whose text they are of, is no part of the encoder.
    identity = {key: value for key, value in store["identity"].items() if key not in ("stored_as", "text_source")}
    if is_imported(identity):
        raise ConfigError(
            f"this head was trained on features that were imported ({source.name})",
            expected="features that ser can compute of new audio",
            action=f"Import those of the new recordings too: ser store import --features {source.modality}:{source.name}=FILE",
        )
    if "view" in identity:
        raise ConfigError(
            f"this head was trained on an augmented view ({source.name}), which new audio does not have",
            expected="a head on the features of the audio as it is",
            action="Train on the original, and draw among the views: --views.",
        )
    if "text_source" in store["identity"]:
        say(f"{source.name}: the head was trained on {_in_words(store['identity'])}, so give it such texts")
    layers = identity.get("layers")
    options = EncoderOptions(
        level=identity["level"],
        layers="last" if layers in (None, [identity.get("last_layer")]) else tuple(layers),
        pooling=identity.get("pooling") if source.modality == "text" else None,
        device=device,
        dtype=identity.get("dtype", "float32"),
        weights=weights,
        revision=identity.get("revision"),
    )
    encoder = load(other or store["encoder"], source.modality, options)
    encoder.prepare([], store.get("assets", {}))
    differs = sorted(k for k in {*identity, *encoder.identity} if identity.get(k) != encoder.identity.get(k))
    if differs == ["versions"]:
        say(f"{source.name}: features of the head were made with other versions: {identity['versions']}")
    elif differs:
        raise ConfigError(
            f"encoder {encoder.name} is not the one that the head was trained with",
            expected={k: identity.get(k) for k in differs},
            found={k: encoder.identity.get(k) for k in differs},
        )
    return encoder


def _in_words(identity: dict[str, Any]) -> str:
    if kind(source_of(identity)) == ASR:
        return f"transcripts by {identity['text_source'].get('model')}"
    return "simulated sentences, which leak the label"


def _features(encoder: Encoder, file: str, text: str) -> NDArray[Any]:
    if encoder.modality == "text":
        return encoder.encode([text])[0]
    if not file:
        raise AudioError("there is no file", expected="audio")
    sound = reading.load(Path(file), encoder.sample_rate)
    reading.check(sound, encoder.sample_rate, encoder.minimum, file)
    return encoder.encode([sound])[0]


def _block(source: Input, features: list[NDArray[Any]]) -> Block:
    if not source.framewise:
        return Block(source.name, source.modality, np.stack(features))
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in features])]).astype(np.int64)
    return Block(source.name, source.modality, np.concatenate(features), offsets, source.vocabulary)
