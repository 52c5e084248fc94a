"""The emotions of a long recording over time: overlapping windows, joined to segments, in constant memory.

A saved head gives one answer for what it hears. A call or an interview is therefore heard through a window that moves by a hop.
The recording is divided into steps of one hop; the probabilities of a step are the mean of those of all windows in which its
middle lies. Neighbouring steps with the same answer are one segment. All is decided as the sound comes, so that a recording may
be endless; a step is decided when no later window can hear it.

What a window gives is what `ser predict` gives for the same samples as a file of their own.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from ser.audio.measure import energies
from ser.audio.reading import is_silent
from ser.audio.streams import Stream
from ser.errors import AudioError, ConfigError
from ser.metadata.targets import DIMENSIONS
from ser.predict.inputs import MIX, Inputs, channel_numbers, check_channels
from ser.predict.judge import Judge
from ser.predict.predictions import (
    LONG,
    TELEPHONE,
    TELEPHONE_WORDS,
    Heard,
    answer,
    check_confidence,
    form_notes,
    is_beyond_chance,
    is_telephone,
    novel_words,
    output_columns,
)
from ser.predict.recordings import Recording
from ser.predict.turns import CAMPPLUS, Turns
from ser.predict.windows import DETECTORS, SpeechDetector, Window, heard, windows

ROWS = ("segments", "windows")
AT_ONCE = 16  # windows of a file that are answered together
SHORT = 0.5  # times the shortest utterance in training
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class TimelineOptions:
    """Options of how a long recording is heard, and of how the answer is written: the arguments of `Predictor.timeline`."""

    window: float
    hop: float | None = None
    channels: str = MIX
    rows: str = "segments"
    smooth: float = 0.0
    min_confidence: float = 0.0
    vad: str = ""
    diarize: bool = False
    speakers: int | None = None
    speaker_encoder: str = CAMPPLUS

    def __post_init__(self) -> None:
        for name in ("window", "hop", "smooth", "min_confidence"):
            value = getattr(self, name)
            if not isinstance(value, Real) and not (name == "hop" and value is None):
                raise ConfigError(f"--{name.replace('_', '-')}", expected="a number", found=repr(value))
        if not 0 < self.window < float("inf"):
            raise ConfigError("--window", expected="seconds, more than 0", found=self.window)
        if not 0 < self.every <= self.window:
            raise ConfigError(
                "--hop", expected=f"more than 0 s, and at most the window's {self.window:g} s", found=f"{self.every:g} s"
            )
        check_channels(self.channels)
        if self.rows not in ROWS:
            raise ConfigError("rows", expected=" or ".join(ROWS), found=repr(self.rows))
        if not (0 <= self.smooth < float("inf") and 0 <= self.min_confidence <= 1):
            raise ConfigError(
                "--smooth and --min-confidence",
                expected="seconds, 0 or more, and a probability",
                found=f"{self.smooth:g} and {self.min_confidence:g}",
            )
        if self.rows == "windows" and self.smooth:
            raise ConfigError("--smooth is of segments", expected="no --smooth with --rows windows")
        if self.vad not in ("", *DETECTORS):
            raise ConfigError("--vad", expected=" or ".join(DETECTORS), found=repr(self.vad))
        if not self.diarize and (self.speakers is not None or self.speaker_encoder != CAMPPLUS):
            raise ConfigError("--speakers and --speaker-encoder", expected="--diarize beside them")
        if self.speakers is not None and self.speakers < 1:
            raise ConfigError("--speakers", expected="a whole number, 1 or more", found=self.speakers)

    @property
    def every(self) -> float:
        return self.window / 4 if self.hop is None else self.hop

    @property
    def detector(self) -> str:
        return self.vad or ("silero" if self.diarize else "")


@dataclass
class TimelineRow:
    """One segment or window, or the reason why a recording has none or no more.

    Attributes:
        start, end: s; None where nothing was heard.
        channel: None where channels are mixed.
        speaker: its number; None where speakers are not told apart, or none was found.
        predicted: "" where there is no answer.
        probability: the largest; None without classes.
        outputs: by column, see `output_columns`.
    """

    file: str
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    speaker: int | None = None
    predicted: str = ""
    probability: float | None = None
    error: str = ""
    outputs: dict[str, float] = field(default_factory=dict)

    def cells(self) -> dict[str, str | float]:
        """What is known, by column."""
        found = {**vars(self), **self.outputs}
        return {name: value for name, value in found.items() if name != "outputs" and value is not None}

    @property
    def seconds(self) -> float:
        """The length; 0 where nothing was heard."""
        return (self.end or 0.0) - (self.start or 0.0)


@dataclass(eq=False)
class _Step:
    """One hop of a channel: the sum of the probabilities of the windows that heard it, and an error that one had."""

    total: Shares
    count: int = 0
    error: str = ""

    @property
    def shares(self) -> Shares | None:
        return self.total / self.count if self.count else None


@dataclass(eq=False)
class _Channel:
    """The steps of one channel that are not decided yet, and the segment that is not closed yet."""

    number: int | None
    detector: SpeechDetector | None
    steps: dict[int, _Step] = field(default_factory=dict)
    waiting: deque[tuple[int, Shares | None, str]] = field(default_factory=deque)  # steps before they are smoothed
    done: int = 0  # of the waiting steps, how many at the left were written
    first: int = 0  # the open segment's first step
    count: int = 0  # of its steps
    total: Shares | None = None  # of their probabilities
    says: tuple[str, str, int | None] | None = None  # prediction, error and speaker of the open segment


class Timeline:
    """The rows of one recording, as they are decided.

    Args:
        predictor: a saved head and its encoders.
        stream: the recording.
        options: how it is heard.
        turns: who speaks when, where speakers are told apart.

    Raises:
        ConfigError: a head that needs texts, dialogues or the statistics of other recordings, or a limit that means nothing.
    """

    def __init__(self, predictor: Judge, stream: Stream, options: TimelineOptions, turns: Turns | None = None) -> None:
        self.predictor, self.stream, self.options, self.turns = predictor, stream, options, turns
        self._outputs = len(predictor.classes) + len(predictor.dimensions) + predictor.knows_novelty
        self._windows = self._novel = 0  # that were answered and do not overlap; of these, unlike the training
        self._energy = np.zeros(2)  # of the former, above `TELEPHONE` and all
        refuse_heads(predictor)
        check_confidence(options.min_confidence, predictor.head.target)
        self.length, self.hop = (max(round(s * stream.rate), 1) for s in (options.window, options.every))
        self.channels = [
            _Channel(number, SpeechDetector(options.detector, stream.rate, self.hop) if options.detector else None)
            for number in channel_numbers(options.channels, stream.channels)
        ]
        self.ended = False
        note = far_note(options.window, predictor)
        if note:
            predictor.say(note)
        heard = Heard(stream.name, stream.rate, stream.channels if options.channels == MIX else 1)
        for line in form_notes([heard], predictor.head.audio, predictor.rate):
            predictor.say(line)

    def rows(self) -> Iterator[TimelineRow]:
        """Yield the rows, each as soon as it is decided.

        Raises:
            AudioError: the recording cannot be read on.
        """
        batch: list[Window] = []
        end, fault = 0, None
        blocks = heard(self.stream, [c.number for c in self.channels], [c.detector for c in self.channels])
        try:
            for window in windows(blocks, self.length, self.hop):
                batch.append(window)
                end = window.last
                if self.stream.live or len(batch) == AT_ONCE:
                    yield from self._answer(batch)
                    batch = []
        except AudioError as error:
            fault = error  # what was heard before it is answered
        yield from self._answer(batch)
        self.ended = True
        if self.options.rows == "segments":
            for channel in self.channels:
                yield from self._decide(channel, -(-end // self.hop), end)
                yield from self._smoothed(channel, end, last=True)
                yield from self._close(channel, end)
        if is_beyond_chance(self._novel, self._windows):
            self.predictor.say(f"{self.stream.name}: {novel_words(self._novel, self._windows, 'separate windows')}")
        if is_telephone(self._energy, self.stream.rate, self.predictor.head.audio, self.predictor.rate):
            self.predictor.say(f"{self.stream.name}: {TELEPHONE_WORDS}")
        if fault is not None:
            raise fault

    def _answer(self, batch: list[Window]) -> Iterator[TimelineRow]:
        """Answer some windows in every channel."""
        asked = [
            (window, k)
            for window in batch
            for k, channel in enumerate(self.channels)
            if not is_silent(window.sound[:, k])
            and (channel.detector is None or channel.detector.speaks_within(window.first, window.last))
        ]
        found: dict[tuple[int, int], tuple[str, Shares]] = {}
        if asked:
            errors, _, shares = self.predictor.judge(Inputs([self._recording(*one) for one in asked]))
            for (window, k), error, row in zip(asked, errors, shares, strict=True):
                found[window.first, k] = (str(error), row)
                if window.first // self.hop % -(-self.length // self.hop):
                    continue  # it overlaps with one that is counted: the same sound would count twice
                self._windows += 1
                self._novel += bool(self.predictor.knows_novelty and row[-1] > 1)
                self._energy += energies(window.sound[:, k], self.stream.rate, TELEPHONE)
        for window in batch:
            for k, channel in enumerate(self.channels):
                error, shares_of = found.get((window.first, k), ("", None))
                if self.options.rows == "segments":
                    self._add(channel, window, error, shares_of)
                    yield from self._decide(channel, window.first // self.hop, window.last)
                elif shares_of is not None:
                    yield self._row(channel, window.first, window.last, error, shares_of, self._of_window(k, window))

    def _recording(self, window: Window, k: int) -> Recording:
        rate = self.stream.rate
        name = f"{self.stream.name}, {window.first / rate:.1f} to {window.last / rate:.1f} s"
        return Recording(name, (np.ascontiguousarray(window.sound[:, k]), rate))

    def _add(self, channel: _Channel, window: Window, error: str, shares: Shares | None) -> None:
        """Add the answer to a window to the steps whose middle it hears."""
        whole = window.last - window.first < self.length  # all of a short recording
        for k in range(window.first // self.hop, -(-window.last // self.hop)):
            if not whole and not window.first <= (k + 0.5) * self.hop < window.last:
                continue
            step = channel.steps.setdefault(k, _Step(np.zeros(self._outputs)))
            if error:
                step.error = step.error or error
            elif shares is not None:
                step.total += shares
                step.count += 1

    def _decide(self, channel: _Channel, before: int, end: int) -> Iterator[TimelineRow]:
        """Decide the steps before a number: no window that is to come can hear them."""
        for k in sorted(k for k in channel.steps if k < before):
            step = channel.steps.pop(k)
            silent = channel.detector is not None and not channel.detector.speaks(k)
            shares = None if silent else step.shares
            channel.waiting.append((k, shares, "" if silent or shares is not None else step.error))
        yield from self._smoothed(channel, end)

    def _smoothed(self, channel: _Channel, end: int, last: bool = False) -> Iterator[TimelineRow]:
        """Take the waiting steps that have all their neighbours, and join each to the open segment."""
        reach = int(min(self.options.smooth / self.options.every / 2, 2**62))  # steps on each side
        while channel.done < len(channel.waiting) and (last or len(channel.waiting) - channel.done > reach):
            here = channel.done
            k, shares, error = channel.waiting[here]
            if shares is not None:
                around = islice(channel.waiting, max(here - reach, 0), here + reach + 1)
                shares = np.mean([s for _, s, _ in around if s is not None], axis=0)
            yield from self._join(channel, k, shares, error, end)
            channel.done += 1
            if channel.done > reach:
                channel.waiting.popleft()
                channel.done -= 1

    def _join(self, channel: _Channel, k: int, shares: Shares | None, error: str, end: int) -> Iterator[TimelineRow]:
        answered = shares is not None or error != ""
        says = (self._named(shares), error, self._speaker(channel, k)) if answered else None
        follows = channel.first + channel.count == k
        if channel.count and (says != channel.says or not follows or self.predictor.head.target == DIMENSIONS):
            yield from self._close(channel, end)
        if says is None:
            return
        if not channel.count:
            channel.first, channel.says = k, says
        shares = np.full(self._outputs, np.nan) if shares is None else shares
        channel.total = shares if channel.total is None else channel.total + shares
        channel.count += 1

    def _close(self, channel: _Channel, end: int) -> Iterator[TimelineRow]:
        """Give the open segment; what is left of the recording behind it is its own where it is at most half a step."""
        if channel.says is not None and channel.total is not None:
            last = (channel.first + channel.count) * self.hop
            last = end if last > end or (self.ended and end - last <= self.hop / 2) else last
            best, error, speaker = channel.says
            shares = channel.total / channel.count
            yield self._row(channel, channel.first * self.hop, last, error, shares, speaker, best)
        channel.count, channel.total, channel.says = 0, None, None

    def _speaker(self, channel: _Channel, step: int) -> int | None:
        """The speaker of a step."""
        if self.turns is None:
            return None
        return self.turns.at(self.channels.index(channel), (step + 0.5) * self.hop / self.stream.rate)

    def _of_window(self, k: int, window: Window) -> int | None:
        """The speaker of a window."""
        if self.turns is None:
            return None
        return self.turns.within(k, window.first / self.stream.rate, window.last / self.stream.rate)

    def _named(self, shares: Shares | None) -> str:
        if shares is None:
            return ""
        return answer(shares, self.predictor.classes, self.predictor.head.target, self.options.min_confidence)

    def _row(
        self, channel: _Channel, first: int, last: int, error: str, shares: Shares, speaker: int | None, best: str | None = None
    ) -> TimelineRow:
        """One row.

        Args:
            best: the prediction of all steps of a segment, whose mean may name another; None names that of the shares.
        """
        predictor, rate = self.predictor, self.stream.rate
        row = TimelineRow(self.stream.name, first / rate, last / rate, channel.number, speaker, error=error)
        if predictor.head.target != DIMENSIONS:
            row.predicted = self._named(shares) if best is None else best
            row.probability = float(shares[: len(predictor.classes)].max())
        row.outputs = dict(zip(_outputs_of(predictor), shares.tolist(), strict=True))
        return row


def columns_of(predictor: Judge, options: TimelineOptions) -> list[str]:
    """The columns of a timeline."""
    heard = [*([] if options.channels == MIX else ["channel"]), *(["speaker"] if options.diarize else [])]
    answered = [] if predictor.head.target == DIMENSIONS else ["predicted", "probability"]
    return ["file", "start", "end", *heard, *answered, "error", *_outputs_of(predictor)]


def _outputs_of(predictor: Judge) -> list[str]:
    return output_columns(predictor.classes, predictor.head.target, predictor.dimensions, predictor.knows_novelty)


def refuse_heads(predictor: Judge) -> None:
    """Refuse heads that cannot hear a recording window by window.

    Raises:
        ConfigError: a head on text or dialogues, or one that needs other recordings to standardise features.
    """
    if any(i.modality != "audio" for i in predictor.head.inputs):
        problem = "this head was trained on text too, and the words of a window are not known"
    elif predictor.reads_dialogues:
        problem = "this head reads dialogues, and the turns of a recording are not known"
    elif by := predictor.head.standardises_by:
        problem = f"this head was normalised per {by}: it needs all features before the first answer"
    else:
        return
    raise ConfigError(
        problem,
        expected="a head on audio, one utterance at a time, normalised by the training set",
        action="Give the pieces in a list: --list FILE with the columns file, start, end.",
    )


def far_note(seconds: float, predictor: Judge) -> str:
    """A warning of windows far from the lengths that the head was trained on; "" where there is nothing to say."""
    known = predictor.durations
    if known is None or SHORT * known.min <= seconds <= LONG * known.max:
        return ""
    return (
        f"windows of {seconds:g} s are far from the utterances in training ({known.min:.1f} to {known.max:.1f} s, median "
        f"{known.median:.1f} s): take --window {known.median:.1f}"
    )
