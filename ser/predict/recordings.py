"""Recordings for a saved head: files, samples with their rate, or the bytes of a file; all are decoded in one way."""

import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audio import reading
from ser.audio.decoding import Limits
from ser.audio.files import AGAIN, IN_WORDS, PIPE, again
from ser.audio.streams import RATES, open_pipe
from ser.errors import AudioError, ConfigError

Result = TypeVar("Result")
MOST_BYTES = 2**30  # of standard input as one recording: half an hour of stereo at 48 kHz has a third of it
EXPECTED = "a path, a pair (samples, rate in Hz), the bytes of a file, or a file opened in binary mode"
# Advice on single files; that of `ser.audio` is on the files of a corpus.
ADVICE = {
    "missing": None,
    "too-long": "Cut it into utterances, or follow it over time: --window 4.",
    "segment": "Check its start and end.",
    "cancelling": "Take one of its channels: --channels 0, or the column channel of a list.",
    "not-finite": "Write it again from its source.",
}


class Sound(NamedTuple):
    """A decoded recording.

    Attributes:
        audio: float32 `(samples,)`, full scale 1.
        rate: Hz.
        channels: of which it is the mean; 1 where one was chosen.
    """

    audio: reading.Audio
    rate: int
    channels: int


@dataclass(frozen=True, eq=False)
class Recording:
    """One recording.

    Attributes:
        name: its name in the answer: the path, or the kind and the number of its row.
        source: the path, the bytes of a file, an open file, or samples and their rate; None where a row has none.
        start, end: s within it; None is its beginning and its end.
        channel: 0-based; None is the mean of all.
        limits: of a file that a stranger sent.
    """

    name: str
    source: Any
    start: float | None = None
    end: float | None = None
    channel: int | None = None
    limits: Limits | None = None

    def decode(self) -> Sound:
        """Decode the recording as mono.

        Raises:
            AudioError: it cannot be used.
        """
        if self.source is None:
            raise AudioError("there is no file", expected="audio")
        if isinstance(self.source, tuple):
            return advised(lambda: _of_samples(self, *self.source), self.name, self.name)
        if isinstance(self.source, Path):
            return self._decode_file(self.source)
        content = self.source if isinstance(self.source, bytes) else self._read()
        with tempfile.TemporaryDirectory(prefix="ser-") as folder:  # ffmpeg and the checks of files need a path
            path = Path(folder) / "recording"
            path.write_bytes(content)
            return self._decode_file(path)

    def _read(self) -> bytes:
        try:
            content = self.source.read()
        except (OSError, ValueError) as error:  # ValueError: a file that is closed
            raise AudioError(f"cannot read {self.name}", found=error) from None
        if not isinstance(content, bytes):
            raise AudioError(f"{self.name} does not give bytes", expected="a file opened in binary mode")
        return content

    def _decode_file(self, path: Path) -> Sound:
        return advised(lambda: self._of_file(path), str(path), self.name)

    def _of_file(self, path: Path) -> Sound:
        data, rate = reading.read_channels(path, start=self.start, end=self.end, limits=self.limits)
        return self._mono(path, data, rate)

    def _mono(self, name: Path | str, data: NDArray[np.float32], rate: int) -> Sound:
        """Take the channel of `(samples, channels)`, or the mean of all."""
        channels = data.shape[1] if self.channel is None else 1
        return Sound(reading.to_mono(name, data, self.channel), rate, channels)


RecordingLike: TypeAlias = Recording | Path | str | bytes | BinaryIO | tuple[NDArray[Any], float] | None


def standard_input(raw: tuple[int, int] | None) -> Recording:
    """The recording on standard input, which is read to its end.

    Args:
        raw: rate in Hz and number of channels of raw samples; None: it is a file of any kind.

    Raises:
        ConfigError: nothing is connected to it but a terminal.
        AudioError: it is too long to be one utterance, or is not raw samples.
    """
    content = pipe().read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise AudioError(
            f"{IN_WORDS} is too long", expected=f"{MOST_BYTES >> 20} MiB at most", action=ADVICE["too-long"], fault="too-long"
        )
    if raw is None or not content:
        return Recording(PIPE, content)
    stream = open_pipe(io.BytesIO(content), raw)
    samples = np.concatenate([np.zeros((0, stream.channels), dtype=np.float32), *stream.blocks])
    return Recording(PIPE, (samples, stream.rate))


def pipe() -> BinaryIO:
    """Standard input, in binary mode.

    Raises:
        ConfigError: nothing is connected to it but a terminal.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise ConfigError(
            f"nothing comes over {IN_WORDS} (-)", expected="a recording from a file or a program: ser predict - < FILE ..."
        )
    return sys.stdin.buffer


def advised(read: Callable[[], Result], path: str, name: str) -> Result:
    """Read a recording; where that fails, name it as its user does, with advice on a single one.

    Args:
        path: its name in messages, which its user may not know.
        name: the name that its user gave it.

    Raises:
        AudioError: it cannot be used.
    """
    try:
        return read()
    except AudioError as error:
        action, shown = ADVICE.get(error.fault, error.action), IN_WORDS if name == PIPE else name
        problem, found = (str(text).replace(path, shown) for text in (error.problem, error.found))
        raise AudioError(
            problem,
            expected=error.expected,
            found=None if error.found is None else found,
            action=None if action is None else action.replace(AGAIN, again(shown)),
            fault=error.fault,
        ) from None


def _of_samples(recording: Recording, samples: Any, rate: Any) -> Sound:
    """Take the segment and the channel of samples, `(samples,)` or `(samples, channels)`."""
    data = full_scale(recording.name, samples, rate)
    first, last = reading.bounds(recording.name, len(data), int(rate), recording.start, recording.end)
    return recording._mono(recording.name, data[first:last], int(rate))


def full_scale(name: str, samples: Any, rate: Any) -> NDArray[np.float32]:
    """Check samples, and bring them to full scale 1.

    Args:
        name: for messages.
        samples: `(samples,)` or `(samples, channels)`: floats of full scale 1, or integers of their type's range.
        rate: Hz.

    Returns:
        float32 `(samples, channels)`.

    Raises:
        AudioError: another shape or type, or a rate that is none.
    """
    data = np.asarray(samples)
    if data.ndim not in (1, 2) or not data.size or (data.ndim == 2 and data.shape[0] < data.shape[1]):
        raise AudioError(f"{name} has the shape {data.shape}", expected="(samples,) or (samples, channels)")
    if data.dtype.kind not in "iuf":
        raise AudioError(f"{name} is of the type {data.dtype}", expected="numbers: floats of full scale 1, or integers")
    if not RATES[0] <= rate <= RATES[1] or rate != int(rate):
        raise AudioError(f"{name} has a sample rate of {rate:g} Hz", expected=f"a whole number, {RATES[0]} to {RATES[1]}")
    if data.dtype.kind in "iu":
        limits = np.iinfo(data.dtype)
        middle = 0 if data.dtype.kind == "i" else (limits.max + 1) // 2
        data = (data.astype(np.float64) - middle) / ((int(limits.max) - int(limits.min) + 1) // 2)
    return data.astype(np.float32).reshape(len(data), -1)


def as_recordings(values: Sequence[RecordingLike] | RecordingLike) -> list[Recording]:
    """Check recordings; a single one is a list of one.

    Raises:
        ConfigError: a value cannot be read as a recording.
    """
    single = isinstance(values, str | os.PathLike | bytes) or hasattr(values, "read") or _is_pair(values)
    if isinstance(values, np.ndarray):
        raise _strange(1, values)
    rows = [values] if single else list(cast("Sequence[RecordingLike]", values))
    return [_as_recording(value, row) for row, value in enumerate(rows, start=1)]


def _as_recording(value: Any, row: int) -> Recording:
    if isinstance(value, str | os.PathLike):
        path = os.fsdecode(value)
        shown = path.encode("utf-8", "backslashreplace").decode()  # a name may be of bytes that are not UTF-8
        return Recording(shown, Path(path) if path else None)
    if isinstance(value, Recording):
        return value
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return Recording("", None)
    if isinstance(value, bytes | bytearray | memoryview):
        return Recording(f"bytes {row}", bytes(value))
    if hasattr(value, "read"):
        name = getattr(value, "name", None)
        return Recording(name if isinstance(name, str) else f"file {row}", value)
    if _is_pair(value):
        return Recording(f"samples {row}", tuple(value))
    raise _strange(row, value)


def _is_pair(value: Any) -> bool:
    """True for samples and their rate."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    samples, rate = value
    return hasattr(samples, "__array__") and np.ndim(samples) > 0 and np.isscalar(rate) and not isinstance(rate, str)


def _strange(row: int, value: Any) -> ConfigError:
    found = f"an array of the shape {np.shape(value)} without its rate" if hasattr(value, "__array__") else repr(value)
    return ConfigError(f"recording {row}", expected=EXPECTED, found=found if len(found) < 100 else type(value).__name__)
