"""An upload: written to a temporary file that is always deleted, decoded within limits, and answered by a head."""

import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from ser.audio.decoding import Limits
from ser.audio.streams import Stream, open_file
from ser.errors import AudioError, ConfigError
from ser.predict.inputs import MIX, SPLIT, Inputs, channel_numbers
from ser.predict.long_recordings import Opened, timeline_table, told
from ser.predict.predictions import Heard, abstain, check_confidence, prediction_table, rows_of
from ser.predict.recordings import Recording, Sound, advised
from ser.predict.timeline import Timeline, TimelineOptions
from ser.predict.turns import Diarizer, Turns
from ser.service.batching import ANSWER_SECONDS, Batcher, QueuedPredictor

AT_ONCE = 60.0  # s that one answer hears at most: what attention costs grows with their square
DECODERS = 4  # uploads that are decoded at the same moment
MOST_WINDOWS = 2000  # of a timeline, in all channels
OVERLAP = 20  # windows that hear the same moment
TOLD_CHANNELS = 8  # in which speakers are told apart
LONGEST_NAME = 200

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Question:
    """The parameters of a request.

    Attributes:
        model: the name of a head.
        channels: see `ser.predict.timeline.TimelineOptions`; of one answer `mix` or a number.
        least: a probability, under which there is no answer.
        timeline: None asks for one answer.
    """

    model: str
    channels: str = MIX
    least: float = 0.0
    timeline: TimelineOptions | None = None


class Uploads:
    """Answers to uploads; called from several threads.

    Args:
        batcher: the thread that infers.
        seconds: of a recording.
        diarizer: tells speakers apart; None where the service does not.
    """

    def __init__(self, batcher: Batcher, seconds: float, diarizer: Diarizer | None = None) -> None:
        self.batcher, self.seconds, self.diarizer = batcher, seconds, diarizer
        self._decoding = threading.Semaphore(DECODERS)

    def answer(self, content: IO[bytes], name: str, question: Question) -> tuple[Rows, list[str]]:
        """Answer one upload.

        Args:
            content: of the file, from its beginning.
            name: that the client gave it.

        Returns:
            The rows, as `ser predict --format jsonl` writes them, and notes for the user.

        Raises:
            AudioError: it cannot be used.
            ConfigError: parameters that do not fit.
        """
        with _file(content) as path:
            ask = self._alone if question.timeline is None else self._over_time
            return ask(path, shown_name(name), question)

    def _alone(self, path: Path, name: str, question: Question) -> tuple[Rows, list[str]]:
        predictor, channel = self.batcher.predictors[question.model], None
        check_confidence(question.least, predictor.head.target)
        if question.channels != MIX:
            if not question.channels.isdecimal():
                raise ConfigError(
                    "channels",
                    expected="mix, or the number of one, from 0",
                    found=question.channels,
                    action="Follow the channels over time: window=4." if question.channels == SPLIT else None,
                )
            channel = int(question.channels)
        recording = Recording(name, path, channel=channel, limits=Limits(min(self.seconds, AT_ONCE)))
        with self._decoding:
            sound = _decode(recording, self.seconds > AT_ONCE)
        inputs = Inputs([replace(recording, source=(sound.audio[:, None], sound.rate), channel=None)])
        answer = self.batcher.ask(question.model, inputs).result(ANSWER_SECONDS)
        errors, _, shares = answer
        if errors[0]:
            raise AudioError(str(errors[0]))
        shown = replace(inputs, recordings=[replace(recording, source=None)])
        target, dimensions, novelty = predictor.head.target, predictor.dimensions, predictor.knows_novelty
        found = prediction_table(shown, errors, shares, predictor.classes, False, target, dimensions, novelty)
        notes = predictor.warnings([name], answer, {0: Heard.of(name, sound)})
        return rows_of(abstain(found, question.least)), list(notes)

    def _over_time(self, path: Path, name: str, question: Question) -> tuple[Rows, list[str]]:
        options, notes = question.timeline, list[str]()
        assert options is not None
        _refuse_costly(options)
        predictor = QueuedPredictor(self.batcher, question.model, notes.append, MOST_WINDOWS)
        limits = Limits(self.seconds, values=max(Limits.values, round(96000 * self.seconds)))

        @contextmanager
        def opened() -> Iterator[Stream]:
            with ExitStack() as stack:
                with self._decoding:  # not longer: while the head answers, others decode
                    stream = stack.enter_context(open_file(path, limits))
                yield replace(stream, name=name)

        def read() -> Rows:
            turns = self._turns(opened, options, notes.append) if options.diarize else None
            with opened() as stream:
                rows = told(predictor, name, Timeline(predictor, stream, options, turns).rows(), options)
                return rows_of(timeline_table(rows, predictor, options))

        return advised(read, str(path), name), notes

    def _turns(self, opened: Opened, options: TimelineOptions, say: Callable[[str], None]) -> Turns:
        """The turns of the speakers in an upload; several take turns, see `Diarizer`."""
        if self.diarizer is None:
            raise ConfigError("this service does not tell speakers apart", action="Leave diarize out.")
        diarizer = self.diarizer.asked(options.speakers, say)
        with opened() as stream:
            channels = channel_numbers(options.channels, stream.channels)
            if len(channels) > TOLD_CHANNELS:
                raise ConfigError("diarize", expected=f"{TOLD_CHANNELS} channels at most", found=len(channels))
            return diarizer.turns(stream, channels)


def _refuse_costly(options: TimelineOptions) -> None:
    """Refuse windows that would keep the service busy for long."""
    if options.window > AT_ONCE:
        raise ConfigError("window", expected=f"{AT_ONCE:g} s at most", found=f"{options.window:g} s")
    least = options.window / OVERLAP
    if options.every < least:
        raise ConfigError(
            "hop", expected=f"{least:g} s or more, of windows of {options.window:g} s", found=f"{options.every:g} s"
        )


def _decode(recording: Recording, windows_may: bool) -> Sound:
    try:
        return recording.decode()
    except AudioError as error:
        if error.fault != "too-long" or not windows_may:
            raise
        raise AudioError(
            error.problem + " for one answer",
            expected=error.expected,
            found=error.found,
            action="Follow it over time: window=4.",
            fault=error.fault,
        ) from None


@contextmanager
def _file(content: IO[bytes]) -> Iterator[Path]:
    """A file with the content, which is deleted at the end; the decoders need a path."""
    with tempfile.TemporaryDirectory(prefix="ser-upload-") as folder:
        path = Path(folder) / "recording"
        with path.open("wb") as file:
            shutil.copyfileobj(content, file, 2**20)
        yield path


def shown_name(name: str) -> str:
    r"""The name of an upload as it is shown: without folders, and without signs that could not be written.

    >>> shown_name("../../etc/passwd"), shown_name(r"C:\\calls\\a.wav"), shown_name("")
    ('passwd', 'a.wav', 'upload')
    """
    last = re.split(r"[/\\]", name)[-1]
    clean = "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in last).strip()
    return clean[:LONGEST_NAME] or "upload"
