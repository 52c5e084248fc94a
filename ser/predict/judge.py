"""Saved heads and their encoders: the bare answer to inputs that were checked."""

from collections.abc import Callable, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from msgspec import UNSET
from numpy.typing import NDArray

from ser.accelerator import pick_device
from ser.audio import reading
from ser.errors import AudioError, ConfigError, SerError, TrainingError
from ser.extract.encoder import Encoder
from ser.extract.encoding import Outcome, encode_each
from ser.extract.plan import batches, by_cost
from ser.features.blocks import Block
from ser.files import kind_of
from ser.predict.head_encoders import audio_for, load_encoder, refuse_unused
from ser.predict.inputs import Inputs
from ser.predict.onnx_head import ENDING, OnnxHead, Waveform, load_onnx
from ser.predict.predictions import LOOKED_AT, Heard, scales_note
from ser.predict.recordings import Recording, Sound
from ser.results.metrics.calibration import scaled
from ser.results.records.find import find_heads
from ser.results.records.names import HEAD
from ser.results.result import Result
from ser.train.checkpoint import durations_of, load_head, refuse_others
from ser.train.head_file import Durations, encoder_parts, need_parts, outside_parts, stated_facts
from ser.train.model_folder import heads_and_temperatures
from ser.train.nn.layers import Input
from ser.workers import thread_pool
from ser.workers.threads import cores
from ser.workspace import Workspace

ROWS = 4  # for each thread, that are read and then encoded at once
HELD = 240.0  # s of recordings that are held to be encoded at once; beyond them no other is read
# The reason why each of some inputs cannot be used, the lengths in s, and outputs; see `Judge.judge`.
Answer: TypeAlias = tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]


def _heads_of(model: Path | str | Sequence[Path | str] | Result) -> Path | str | Sequence[Path | str]:
    """The heads of a result, of an experiment by its name, and of a folder; anything else as it is given."""
    if isinstance(model, Result):
        return find_heads(str(model.path), model.path.parent)
    if not isinstance(model, str | Path):
        return model
    there = kind_of(model)
    name = isinstance(model, str) and there == "nothing" and not model.endswith((HEAD, ENDING))
    return find_heads(str(model), Workspace().results) if name or there == "a folder" else model


def stores_read(model: Path | str | Sequence[Path | str] | Result) -> list[str]:
    """The stores whose features are computed of new recordings for a model; [] of a graph that reads the audio itself."""
    first = heads_and_temperatures(_heads_of(model))[0][0]
    if first.suffix != ENDING:
        return [source.name for source in stated_facts(first).inputs]
    head = load_onnx(first)
    return [] if head.waveform is not None else [source.name for source in head.inputs]


class Judge:
    """Heads that `ser fit --save` wrote, and their encoders; arguments and errors are those of `Predictor`."""

    def __init__(
        self,
        model: Path | str | Sequence[Path | str] | Result,
        *,
        weights: Path | str | None = None,
        device: str = "cpu",
        encoders: dict[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        pick_device(device)
        self.files, self.temperatures = heads_and_temperatures(_heads_of(model))
        first, moved = self.files[0], encoders or {}
        if moved:
            refuse_unused(moved, stores_read(self.files))
        if first.suffix != ENDING:  # a graph has what it needs of its heads
            facts = stated_facts(first)
            need_parts(first, [*outside_parts(facts), *encoder_parts(facts, moved)])
        self.heads = [load_onnx(file) if file.suffix == ENDING else load_head(file) for file in self.files]
        self.head = self.heads[0]
        refuse_others(self.files, self.heads)
        self.classes = self.head.classes
        self.dimensions = self.head.dimensions
        for note in dict.fromkeys(note for head in self.heads for note in head.notes):
            say(note)
        self.weights = folder = None if weights is None else Path(weights)
        self.device = device
        heard = self.head.waveform if isinstance(self.head, OnnxHead) else None
        if heard is None:
            need_parts(first, encoder_parts(self.head.about, moved))
        self.encoders: list[Encoder] = [
            load_encoder(i, self.head.about.stores[i.name], moved.get(i.name), folder, device, say)
            if heard is None
            else Waveform(heard)
            for i in self.head.inputs
        ]
        self.say = say

    @property
    def reads_dialogues(self) -> bool:
        """True for a head that sees the turns of a dialogue at once."""
        return self.head.config.context == "dialogue"

    @property
    def rate(self) -> int:
        """The lowest rate, Hz, in which an encoder hears recordings; 0 where none does."""
        return min((encoder.sample_rate for encoder in self.encoders if encoder.modality == "audio"), default=0)

    @property
    def averaged(self) -> int:
        """The number of heads whose mean is the answer, those in a graph among them."""
        return sum(head.averaged if isinstance(head, OnnxHead) else 1 for head in self.heads)

    @property
    def knows_novelty(self) -> bool:
        """True where all heads say what is novel to them."""
        return all(head.knows_novelty for head in self.heads)

    @cached_property
    def durations(self) -> Durations | None:
        """The lengths of the utterances in training that all heads know, s; None where they are not known."""
        return durations_of(self.heads)

    def say_scales(self) -> None:
        """Say the scale of each dimension, of a head that knows them."""
        if self.head.about.scales is not UNSET:
            self.say(scales_note(self.head.about.scales))

    def judge(self, inputs: Inputs, heard: dict[int, Heard] | None = None) -> Answer:
        """Give the bare answer to inputs, without notes.

        Args:
            heard: gets what was heard, by row; the energies of the first `LOOKED_AT` recordings.

        Returns:
            The reason why each cannot be used, `(n,)`, "" where it can; the lengths in s, `(n,)`; probabilities, or the values
            of dimensions, `(n, outputs)`, and in one more column the novelty where the heads know it; NaN where a row cannot
            be used.
        """
        self._refuse(inputs)
        errors = np.full(len(inputs), "", dtype=object)
        seconds = np.full(len(inputs), np.nan)
        features = self._features(inputs, errors, seconds, heard)
        self._refuse_alone(inputs, errors)
        return errors, seconds, self._shares(inputs, features, errors)

    def judge_together(self, asked: Sequence[Inputs]) -> list[Answer]:
        """Give each of some inputs of recordings the answer that `judge` gives to it.

        Their features are computed in common batches, on which features do not depend; the head answers each by itself.

        Raises:
            EncoderError: the encoder failed, at one of them or at all.
        """
        for inputs in asked:
            self._refuse(inputs)
        recordings = [recording for inputs in asked for recording in inputs.recordings or []]
        errors = np.full(len(recordings), "", dtype=object)
        seconds = np.full(len(recordings), np.nan)
        features = self._features_together(recordings, errors, seconds)
        answers, first = [], 0
        for inputs in asked:
            own = slice(first, first + len(inputs))
            first += len(inputs)
            self._refuse_alone(inputs, errors[own])
            answers.append((errors[own], seconds[own], self._shares(inputs, features[own], errors[own])))
        return answers

    def _refuse(self, inputs: Inputs) -> None:
        """Refuse inputs that the head cannot answer."""
        modalities = {i.modality for i in self.head.inputs}
        if "text" in modalities and inputs.texts is None:
            raise ConfigError(
                "this head was trained on text too" if "audio" in modalities else "this head was trained on text",
                expected="one text for each file (--texts FILE, or a column text in --list FILE)",
            )
        if "audio" in modalities and inputs.recordings is None:
            raise ConfigError("this head was trained on audio", expected="audio files")
        how = self.head.standardises_by
        if how == "speaker" and inputs.speakers and "" in inputs.speakers:
            raise ConfigError(
                "this head was normalised per speaker",
                expected="the speaker of every row, or of none",
                found=f"row {inputs.speakers.index('') + 1} has none",
            )
        if how and len(inputs) < 2:
            raise ConfigError(
                f"this head was normalised per {how}", expected=f"several recordings of one {how}", found="1 file"
            )

    def _features(
        self, inputs: Inputs, errors: NDArray[Any], seconds: NDArray[np.float64], heard: dict[int, Heard] | None
    ) -> list[list[NDArray[Any]]]:
        """Compute the features of each row for each encoder; where a row cannot be used, note the error and give none.

        Where all encoders can, a few rows are encoded at once in threads, of long recordings fewer; their values are the same.
        """
        jobs = cores() if len(inputs) > 1 and all(encoder.threads for encoder in self.encoders) else 1
        some = 1 if jobs == 1 else ROWS * jobs
        found: list[list[NDArray[Any]]] = []
        units: list[tuple[list[Any], int, NDArray[Any]]] = []
        for row in range(len(inputs)):
            units.append((self._read(inputs, row, errors, seconds, heard), row, errors))
            held = np.nansum(seconds[row + 1 - len(units) : row + 1])
            if len(units) < some and held < HELD and row + 1 < len(inputs):
                continue
            if len(units) == 1:
                found.append(self._encoded(*units[0]))
            else:
                encoded = thread_pool.finished(self._encoded, units, jobs)
                found += [features for _, features in sorted(encoded, key=itemgetter(0))]
            units = []
        return found

    def _read(
        self,
        inputs: Inputs,
        row: int,
        errors: NDArray[Any],
        seconds: NDArray[np.float64],
        heard: dict[int, Heard] | None = None,
    ) -> list[Any]:
        """What each encoder reads of a row; where it cannot be used, note the error."""
        found: list[Any] = []
        try:
            sound = None
            for encoder in self.encoders:
                if encoder.modality == "text":
                    found.append(inputs.texts[row] if inputs.texts else "")
                    continue
                assert inputs.recordings is not None
                sound = sound or inputs.recordings[row].decode()
                name, seconds[row] = inputs.recordings[row].name, len(sound.audio) / sound.rate
                if heard is not None and row not in heard:
                    heard[row] = Heard.of(name, sound, measured=len(heard) < LOOKED_AT)
                found.append(audio_for(encoder, sound.audio, sound.rate, name))
        except AudioError as error:
            errors[row] = error.line()
        return found

    def _encoded(self, given: list[Any], row: int, errors: NDArray[Any]) -> list[NDArray[Any]]:
        """Compute the features of a row of what the encoders read, as `_features`."""
        found: list[NDArray[Any]] = []
        try:
            for encoder, one in zip(self.encoders, given if not errors[row] else (), strict=False):
                found.append(encoder.encode([one])[0])
                if not np.isfinite(found[-1]).all():
                    raise _not_finite(encoder)
        except AudioError as error:
            errors[row] = error.line()
        return found

    def _features_together(
        self, recordings: Sequence[Recording], errors: NDArray[Any], seconds: NDArray[np.float64]
    ) -> list[list[NDArray[Any]]]:
        """Compute the features of recordings as `_features`, each encoder's in batches."""
        sounds: dict[int, Sound] = {}
        for k, recording in enumerate(recordings):
            try:
                sounds[k] = recording.decode()
                seconds[k] = len(sounds[k].audio) / sounds[k].rate
            except AudioError as error:
                errors[k] = error.line()
        found: list[list[NDArray[Any]]] = [[] for _ in recordings]
        for encoder in self.encoders:
            audio: dict[int, reading.Audio] = {}
            for k in (k for k in sounds if not errors[k]):
                try:
                    audio[k] = audio_for(encoder, sounds[k].audio, sounds[k].rate, recordings[k].name)
                except AudioError as error:
                    errors[k] = error.line()
            rows = list(audio)
            costs = encoder.costs([len(audio[k]) for k in rows]) if rows else []
            order = by_cost(costs)
            for group in batches([costs[place] for place in order], encoder.budget, encoder.equal):
                chosen = [rows[order[place]] for place in group]
                for k, result in zip(chosen, encode_each(encoder, [audio[k] for k in chosen], Outcome()), strict=True):
                    if isinstance(result, AudioError):
                        errors[k] = result.line()
                    elif isinstance(result, SerError):
                        raise result  # the encoder's fault, not the recording's: as of `judge`
                    elif not np.isfinite(result).all():
                        errors[k] = _not_finite(encoder).line()
                    else:
                        found[k].append(result)
        return found

    def _refuse_alone(self, inputs: Inputs, errors: NDArray[Any]) -> None:
        """Refuse a recording that would be standardised by itself alone: all its features would be 0."""
        how, good = self.head.standardises_by, np.flatnonzero(errors == "")
        if not how:
            return
        by = inputs.speakers if how == "speaker" and inputs.speakers else [f"the {how}"] * len(inputs)
        for name, rows in pd.Series(good).groupby(np.array([by[k] for k in good], dtype=object)):
            if len(rows) < 2:
                errors[rows] = f"the only recording of {name} that can be used; the head was normalised per {how}"

    def _shares(self, inputs: Inputs, features: list[list[NDArray[Any]]], errors: NDArray[Any]) -> NDArray[np.float64]:
        """Compute the outputs of the rows that can be used, as of `judge`, NaN for the others."""
        good = np.flatnonzero(errors == "")
        outputs = len(self.classes) + len(self.dimensions)
        shares = np.full((len(inputs), outputs + self.knows_novelty), np.nan)
        if not len(good):
            return shares
        try:
            blocks = [_block(i, [features[k][n] for k in good]) for n, i in enumerate(self.head.inputs)]
            turns = inputs.places(good) if self.reads_dialogues else None
            speakers = np.array(inputs.speakers, dtype=object)[good] if inputs.speakers else None
            each = [head.judged(blocks, turns=turns, speakers=speakers) for head in self.heads]
            warm = zip(each, self.temperatures, strict=True)
            shares[good, :outputs] = np.mean([self._warmed(found, t) for (found, _), t in warm], axis=0)
            if self.knows_novelty:
                shares[good, outputs] = np.mean([far for _, far in each if far is not None], axis=0)
        except TrainingError as error:
            errors[good] = error.line()
        odd = good[~np.isfinite(shares[good]).all(axis=1) & (errors[good] == "")]
        errors[odd] = "the head gives probabilities that are not finite"
        shares[errors != ""] = np.nan
        return shares

    def _warmed(self, found: NDArray[np.float64], temperature: float | None) -> NDArray[np.float64]:
        """A head's outputs with its probabilities under a temperature; dimensions stay as they are."""
        if temperature is None:
            return found
        count = len(self.classes)
        return np.concatenate([scaled(found[:, :count], temperature), found[:, count:]], axis=1)


def _not_finite(encoder: Encoder) -> AudioError:
    return AudioError(f"the features of {encoder.name} have values that are not finite")


def _block(source: Input, features: list[NDArray[Any]]) -> Block:
    if not source.framewise:
        return Block(source.name, source.modality, np.stack(features))
    offsets = np.concatenate([[0], np.cumsum([len(f) for f in features])]).astype(np.int64)
    return Block(source.name, source.modality, np.concatenate(features), offsets, source.vocabulary)
