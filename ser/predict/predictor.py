"""A trained head and its encoders, applied to new audio and text."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import AudioError
from ser.predict.inputs import MIX, Inputs, check_inputs
from ser.predict.judge import Answer, Judge
from ser.predict.long_recordings import table_of
from ser.predict.predictions import (
    Heard,
    beyond_note,
    form_notes,
    long_note,
    notes,
    novelty_note,
    output_columns,
    prediction_table,
    telephone_note,
)
from ser.predict.recordings import RecordingLike, as_recordings
from ser.predict.timeline import TimelineOptions
from ser.predict.turns import CAMPPLUS

if TYPE_CHECKING:
    from ser.results.plotting.style import Figure


class Predictor(Judge):
    """A predictor of the emotions of new recordings, by a head that `ser fit --save` wrote.

    Args:
        model: the head's file; or the files of several heads of one experiment, its result, its folder, its name where its
            results are those of the current folder, or the folder of a model that was handed on, whose answers are averaged.
        weights: a folder of encoder weights, used before cache and network.
        device: `auto`, `cpu`, `cuda`, ...
        encoders: store name -> encoder name or folder, where the weights have moved since training.
        say: called with each line that a user should see.

    Raises:
        ConfigError: there is no such head, or heads that read or answer something else than the first.
        EncoderError: an encoder's weights or package are missing, or are not those of the head.
    """

    def __repr__(self) -> str:
        heads = f"{self.averaged} heads" if self.averaged > 1 else "a head"
        reads = ", ".join(source.name for source in self.head.inputs)
        return f"Predictor of {', '.join(self.classes)} by {heads} {self.head.config.head} on {reads}"

    def predict(
        self,
        files: Sequence[RecordingLike] | RecordingLike = None,
        texts: Sequence[str] | str | None = None,
        dialogues: Sequence[Any] | None = None,
        *,
        turns: Sequence[int] | None = None,
        speakers: Sequence[str] | None = None,
        segments: Mapping[str, Sequence[Any]] | None = None,
    ) -> pd.DataFrame:
        """Predict the emotions of recordings, or of texts.

        Args:
            files: paths of audio files in any format that can be decoded; or samples and their rate, `(samples, rate)`, as
                floats of full scale 1 or integers, `(samples,)` or `(samples, channels)`; or the bytes of a file, or a file
                opened in binary mode. A single one stands for a list of one. None for heads that were trained on text alone.
            texts: the words that are said in each, for heads that were trained on text.
            dialogues: the dialogue that each is a turn of, for heads that were trained on dialogues; None: all are one.
            turns: their order in it, whole numbers; None: the order given.
            speakers: names of the speakers. A head that was normalised per speaker standardises the recordings of each by
                their own statistics; None: all are one speaker's.
            segments: `start` and `end` in s and `channel`, 0-based, of each file, as far as they are given: then only that part
                of it is read. None in a row is the beginning, the end, the mean of all channels.

        Returns:
            One row for each file, in the order given: `file` (`text` where there are no files), the columns of `segments`,
            for dialogues `dialogue` and `turn`, then `predicted`, `probability`, `error`, and `p_<class>` columns. Where a
            recording cannot be used (the file is missing, say), `error` gives the reason, the other columns are empty, and the
            rest of its dialogue is predicted without it. A head on dimensions gives a column for each in place of the last but
            `error`. The last column is `novelty`, above 1 for what is unlike the training, where the heads know it.

        Raises:
            ConfigError: the head wants files or texts and there are none, or not one for each row; or a turn is there twice.
        """
        return self.answer(
            check_inputs(files, texts, dialogues, turns, speakers, segments=segments, reads_dialogues=self.reads_dialogues)
        )

    def plot(self, recording: Path | str | tuple[NDArray[Any], float], text: str | None = None) -> "Figure":
        """Draw a recording as a spectrogram, with its answer beside it.

        Args:
            recording: a file's path; or samples and their rate in Hz.
            text: the words that are said, for heads that were trained on text.

        Raises:
            AudioError: the recording cannot be used.
        """
        from ser.predict.pictures import draw

        (one,) = as_recordings([recording])
        sound, rate, _ = one.decode()
        row = self.predict([recording], None if text is None else [text]).iloc[0]
        if row["error"]:
            raise AudioError(str(row["error"]))
        return draw(sound, rate, row, self.head.target, one.name, self.head.about.scales or {})

    def timeline(
        self,
        recording: Path | str | tuple[NDArray[Any], float],
        window: float,
        *,
        hop: float | None = None,
        channels: str | int = MIX,
        rows: str = "segments",
        smooth: float = 0.0,
        min_confidence: float = 0.0,
        vad: str = "",
        diarize: bool = False,
        speakers: int | None = None,
        speaker_encoder: str = CAMPPLUS,
    ) -> pd.DataFrame:
        """Predict a long recording over time.

        Args:
            recording: a file's path; or samples, `(samples,)` or `(samples, channels)`, and their rate in Hz.
            window: s that are heard at once.
            hop: s between two windows; None is a quarter of the window.
            channels: `mix`, the mean of all; `split`, each by itself; or the number of one, from 0.
            rows: `segments`, or `windows`: one row for each window.
            smooth: s of a moving average over steps; 0 is none.
            min_confidence: a probability; a segment or window whose largest is below it has no answer.
            vad: `silero`, a detector of speech; "" hears all that is not silent.
            diarize: true tells speakers apart; the detector of speech is on then.
            speakers: their number in the recording; None: a limit of the distance decides.
            speaker_encoder: the name or folder of the encoder whose features tell speakers apart.

        Returns:
            One row for each segment (or window): `file`, `start` and `end` in s, `channel` where channels are split or one was
            chosen, `speaker` where they are told apart, and what `predict` gives.

        Raises:
            ConfigError: options that do not fit, or a head that cannot hear windows.
            AudioError: the recording cannot be read.
        """
        options = TimelineOptions(
            window, hop, str(channels), rows, smooth, min_confidence, vad, diarize, speakers, speaker_encoder
        )
        return table_of(self, recording, options)

    def answer(self, inputs: Inputs) -> pd.DataFrame:
        """Predict as `predict`, from inputs that were checked before."""
        heard: dict[int, Heard] = {}
        errors, seconds, shares = self.judge(inputs, None if self.head.audio is None else heard)
        for note in notes(inputs, errors, self.reads_dialogues, self.head.standardises_by):
            self.say(note)
        self.say_scales()
        for note in self.warnings(inputs.names, (errors, seconds, shares), heard):
            self.say(note)
        return prediction_table(
            inputs, errors, shares, self.classes, self.reads_dialogues, self.head.target, self.dimensions, self.knows_novelty
        )

    def warnings(self, names: Sequence[str], answer: Answer, heard: Mapping[int, Heard]) -> Iterator[str]:
        """Warnings of recordings that the head may not be right for, and of answers that it may not be right in.

        Args:
            names: of the recordings, or texts.
            answer: to them.
            heard: what was heard, by row.
        """
        errors, seconds, shares = answer
        rows = np.flatnonzero(errors == "")  # those that cannot be used have a reason of their own
        names, seconds, shares = [names[k] for k in rows.tolist()], seconds[rows], shares[rows]
        columns = output_columns(self.classes, self.head.target, self.dimensions)
        good = [one for row, one in heard.items() if not errors[row]]
        yield from filter(
            None,
            (
                beyond_note(names, shares, columns, self.head.about.scales or {}),
                long_note(names, seconds, None if self.durations is None else self.durations.max),
                telephone_note(good, self.head.audio, self.rate),
                *form_notes(good, self.head.audio, self.rate),
                novelty_note(names, shares[:, -1]) if self.knows_novelty else "",
            ),
        )
