"""A trained head and its encoders -> emotions of new audio (and text)."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio import reading
from ser.errors import AudioError, ConfigError
from ser.extract.encoder import Encoder, Options, load
from ser.features.blocks import Block
from ser.metadata.ledger import is_imported
from ser.metadata.texts import ASR, kind, source_of
from ser.train.layers import Input
from ser.train.saved import load_head

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".mp4", ".aiff", ".aif", ".webm")


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
        if self._together:
            say(
                f"the head was normalised per {self._together}: the files given are standardised together, as one"
                f" {self._together}'s"
            )

    @property
    def _together(self) -> str:
        """What the files given are all of, where they are standardised by their own statistics; else nothing."""
        how = str(self.head.about["normalize"])
        return how if how == "speaker" or (how == "corpus" and not self.head.statistics) else ""

    def predict(self, files: Sequence[Path | str], texts: Sequence[str] | None = None) -> pd.DataFrame:
        """Emotions of recordings.

        Args:
            files: audio files; any format that can be decoded.
            texts: what is said in each, for heads that were trained on text.

        Returns:
            One row a file: `file`, `predicted`, `probability`, `error`, and `p_<class>` columns. Where a file cannot be
            used, `error` says why and the others are empty.

        Raises:
            ConfigError: the head wants texts and there are none, or not one a file.
        """
        modalities = {i.modality for i in self.head.inputs}
        if "text" in modalities and (texts is None or len(texts) != len(files)):
            raise ConfigError("this head was trained on text too", expected="one text a file (--texts FILE)")
        if self._together and len(files) < 2:
            raise ConfigError(
                f"this head was normalised per {self._together}",
                expected=f"several recordings of one {self._together}",
                found="1 file",
            )
        good: list[int] = []
        features: list[list[NDArray[Any]]] = []
        errors = [""] * len(files)
        for k, file in enumerate(files):
            try:
                features.append([_features(e, Path(file), texts[k] if texts else "") for e in self.encoders])
                good.append(k)
            except AudioError as error:
                errors[k] = error.line()
        table = pd.DataFrame({"file": [str(f) for f in files], "predicted": "", "probability": np.nan, "error": errors})
        shares = np.full((len(files), len(self.classes)), np.nan)
        if good:
            shares[good] = self.head.probabilities(
                [_block(i, [f[n] for f in features]) for n, i in enumerate(self.head.inputs)]
            )
            table.loc[good, "predicted"] = np.array(self.classes, dtype=object)[shares[good].argmax(-1)]
            table["probability"] = np.where(np.isin(np.arange(len(files)), good), shares.max(-1), np.nan)
        joined: pd.DataFrame = pd.concat(
            [table, pd.DataFrame(shares, columns=[f"p_{c}" for c in self.classes])], axis=1
        )
        return joined


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
    options = Options(
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


def _features(encoder: Encoder, file: Path, text: str) -> NDArray[Any]:
    if encoder.modality == "text":
        return encoder.encode([text])[0]
    sound = reading.load(file, encoder.sample_rate)
    reading.check(sound, encoder.sample_rate, encoder.minimum, str(file))
    return encoder.encode([sound])[0]


def _block(source: Input, features: list[NDArray[Any]]) -> Block:
    if not source.framewise:
        return Block(source.name, source.modality, np.stack(features))
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in features])]).astype(np.int64)
    return Block(source.name, source.modality, np.concatenate(features), offsets, source.vocabulary)


def audio_files(paths: Sequence[Path]) -> list[Path]:
    """Files as given; of a folder, the audio files below it in order of name.

    Raises:
        ConfigError: a path that is not there, or no audio at all.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no {path}", expected="audio files or folders of them")
        inside = (p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        found += inside
    if not found:
        raise ConfigError("no audio found", expected=f"files that end in {', '.join(SUFFIXES)}")
    return found


def rendered(table: pd.DataFrame, form: str) -> str:
    """Predictions as text: `table` (rounded), `csv`, or `jsonl` (empty values left out)."""
    if form == "csv":
        return table.to_csv(index=False, lineterminator="\n").rstrip("\n")
    if form == "jsonl":
        rows = ({k: v for k, v in r.items() if v != "" and v == v} for r in table.to_dict("records"))
        return "\n".join(json.dumps(r, ensure_ascii=False) for r in rows)
    good = table["error"] == ""
    shown = table[good].drop(columns="error")
    lines = [shown.to_string(index=False, float_format=lambda v: f"{v:.3f}")] if len(shown) else []
    return "\n".join(lines + [f"{r.file}: {r.error}" for r in table[~good].itertuples()])
