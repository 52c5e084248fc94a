"""Audio files as mono float32 at the rate that an encoder needs, or an `AudioError` that names the fault of the file.

soundfile (libsndfile) decodes wav, flac, ogg, opus, mp3, aiff and the like; ffmpeg, where it is installed, what
libsndfile cannot: mp4, m4a, webm and other containers. Nothing is repaired and nothing is replaced by zeros: audio
that cannot be trusted is refused.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.audio.decoding import Limits, cut_short, read_frames, read_sound
from ser.audio.files import AGAIN, refuse_other_files
from ser.errors import AudioError
from ser.files import sha256_of, why

MAX_SECONDS = 1800.0  # half an hour: longer than that is a whole recording, not an utterance
SILENCE_PEAK = 1e-4  # of full scale, around the mean: three steps of 16 bits, so dither alone counts as silence
SEGMENT_SLACK = 0.05  # s that a segment's end may lie behind the file's: time stamps are rounded
CLIPPED_SHARE = 1e-3  # a share of clipped samples above this deserves a warning
FAR = 10  # lengths of a file: times beyond so many of them are of another unit, not rounded
LOUDEST = 10.0  # of full scale: float samples beyond it are integers that were never divided by their range
# Of the channels' energy: a mean of channels with less is of opposite phases (correlation under -0.98).
CANCELLED = 0.01

Audio = NDArray[np.float32]


def load(
    path: Path | str, sample_rate: int, *, start: float | None = None, end: float | None = None, channel: float | None = None
) -> Audio:
    """Decode a file or a segment of it, as mono, at a sample rate.

    Args:
        path: the file.
        sample_rate: Hz wanted. Other rates are resampled with soxr, quality HQ.
        start, end: s within the file; None (or NaN, as in a table) is its beginning and its end.
        channel: 0-based; None (or NaN) is the mean of all.

    Returns:
        float32 `(samples,)`, full scale 1.

    Raises:
        AudioError: the file is not there, empty, a Git LFS pointer, a page of HTML, cut short, cannot be decoded, is
            longer than `MAX_SECONDS`, has values that are not finite or far above full scale, its channels cancel in
            their mean, or the segment or channel is not in it.
    """
    audio, rate = decode(path, start=start, end=end, channel=channel)
    return resample(audio, rate, sample_rate)


def decode(
    path: Path | str,
    *,
    start: float | None = None,
    end: float | None = None,
    channel: float | None = None,
    limits: Limits | None = None,
) -> tuple[Audio, int]:
    """As `load`, at the file's own sample rate.

    Args:
        limits: of a recording that a stranger sent; of the whole file.

    Returns:
        float32 `(samples,)` and the rate in Hz.
    """
    path = Path(path)
    data, rate = read_channels(path, start=start, end=end, limits=limits)
    return to_mono(path, data, none_if_nan(channel)), rate


def read_channels(
    path: Path, *, start: float | None = None, end: float | None = None, limits: Limits | None = None
) -> tuple[NDArray[np.float32], int]:
    """As `decode`, with all channels.

    Returns:
        float32 `(samples, channels)` and the rate in Hz.
    """
    start, end = none_if_nan(start), none_if_nan(end)

    def take(sound: Any) -> tuple[NDArray[np.float32], int, int]:
        rate = int(sound.samplerate)
        first, last = bounds(path, sound.frames, rate, start, end)
        return read_frames(sound, first, last), last - first, rate

    data, wanted, rate = read_sound(path, take, limits)
    if len(data) < wanted:
        raise cut_short(path, wanted, len(data), "samples")
    return data, rate


def resample(audio: Audio, rate: int, wanted: int) -> Audio:
    """Change the sample rate with soxr, quality HQ.

    Args:
        audio: float32 `(samples,)`.
        rate, wanted: Hz.
    """
    if rate == wanted or not len(audio):
        return audio
    import soxr

    resampled: Audio = soxr.resample(audio, rate, wanted, quality="HQ")
    return resampled


def check(audio: Audio, sample_rate: int, minimum: int, name: str = "the audio") -> None:
    """Refuse audio that no encoder can use.

    Args:
        audio: float32 `(samples,)` at `sample_rate` Hz.
        minimum: the encoder's receptive field, samples.
        name: of the audio, for the message.

    Raises:
        AudioError: no samples, values that are not finite, shorter than the receptive field, or silent.
    """
    if not len(audio):
        raise AudioError(f"{name} is empty", expected="samples", found="none", action=AGAIN)
    if not np.isfinite(audio).all():
        count = int((~np.isfinite(audio)).sum())
        raise AudioError(f"{name} has values that are not finite", found=f"{count} of {len(audio)} samples", action=REWRITE)
    if len(audio) < minimum:
        raise AudioError(
            f"{name} is shorter than the encoder's receptive field",
            expected=f"{minimum} samples at {sample_rate} Hz ({1000 * minimum / sample_rate:.0f} ms) or more",
            found=f"{len(audio)} sample{'s' * (len(audio) > 1)}",
            action="Give a longer piece, or leave it out.",
        )
    if is_silent(audio):
        raise AudioError(
            f"{name} is silent",
            expected=f"a peak of {SILENCE_PEAK:g} of full scale or more",
            found=f"{_peak(audio):.1g}",
            action="Is it the right recording? If so, leave it out.",
        )


def is_silent(audio: Audio) -> bool:
    """True for audio, `(samples,)` of full scale 1, that does not reach `SILENCE_PEAK` around its middle."""
    return _peak(audio) < SILENCE_PEAK


def _peak(audio: Audio) -> float:
    return (float(audio.max()) - float(audio.min())) / 2


def clipped_share(audio: Audio) -> float:
    """Share of samples that are clipped: in runs of three or more at a peak of full scale (0.99 or above).

    Clipping is not an error; a share above `CLIPPED_SHARE` deserves a warning. Measure at the file's own rate (`decode`):
    resampling rounds the flat tops off.

    Args:
        audio: `(samples,)`, full scale 1.

    >>> clipped_share(np.array([0, 1, 1, 1, 0, -0.5, 1, 1], dtype=np.float32))
    0.375
    """
    if not len(audio):
        return 0.0
    flat = 0
    for signed in (audio, -audio):
        peak = float(signed.max())
        if peak >= 0.99:
            at_peak = np.concatenate(([False], signed >= peak - 1e-6, [False]))
            edges = np.flatnonzero(at_peak[1:] != at_peak[:-1])
            runs = edges[1::2] - edges[::2]
            flat += int(runs[runs >= 3].sum())
    return flat / len(audio)


def file_hash(path: Path | str) -> Any:
    """A hashlib object that has read a file.

    Raises:
        AudioError: the file is not there or empty, cannot be read, or is a Git LFS pointer or a page of HTML.
    """
    path = Path(path)
    refuse_other_files(path)
    try:
        return sha256_of(path)
    except OSError as error:
        raise AudioError(f"cannot read {path}", found=why(error)) from None


def segment_hash(file: Any, start: float | None, end: float | None, channel: float | None) -> bytes:
    """SHA-256 of what features are made of: the file's bytes, and the segment and channel where any is given.

    For a whole file it is what `sha256sum` prints.

    Args:
        file: `file_hash` of it, which many utterances may share.
    """
    digest = file.copy()
    segment = [none_if_nan(start), none_if_nan(end), none_if_nan(channel)]
    if any(value is not None for value in segment):
        digest.update(f"\0{segment!r}".encode())
    return bytes(digest.digest())


REWRITE = "Write the file again from its source, or leave it out."


def none_if_nan(value: float | None) -> float | None:
    """A table's empty number is NaN: the same as None."""
    return None if value is None or math.isnan(value) else float(value)


def bounds(path: Path | str, frames: int, rate: int, start: float | None, end: float | None) -> tuple[int, int]:
    """The first sample of a segment and the one behind its last.

    Args:
        path: the name of the recording, for messages.
        frames: samples of the recording, at `rate` Hz.
        start, end: s; None is the beginning and the end.

    Raises:
        AudioError: the segment is reversed, is not in the recording, has no samples, or is longer than `MAX_SECONDS`.
    """
    seconds = frames / rate
    if not frames:
        raise AudioError(f"{path} is empty", expected="samples", found="none", action=AGAIN, fault="empty")
    begin, stop = start or 0.0, seconds if end is None else end
    if end is not None and end <= begin:
        raise AudioError(
            f"the segment {begin:g}-{end:g} s of {path} "
            + ("is reversed: it ends before it starts" if end < begin else "is empty: it ends where it starts"),
            expected="an end after the start",
            action="Check the start and end columns of the table.",
            fault="segment",
        )
    if begin < 0 or begin >= seconds or stop > seconds + SEGMENT_SLACK:
        raise AudioError(
            f"the segment {begin:g}-{stop:g} s is outside of {path}",
            expected=f"times within its {seconds:.3f} s",
            found="times that look like milliseconds" if in_milliseconds(max(begin, stop), seconds) else None,
            action="Check the start and end columns of the table.",
            fault="segment",
        )
    if stop - begin > MAX_SECONDS:
        raise AudioError(
            f"{path} is too long for one utterance",
            expected=f"{MAX_SECONDS:.0f} s at most",
            found=f"{stop - begin:.0f} s",
            action="Give start and end of each utterance in the table.",
            fault="too-long",
        )
    first, last = round(begin * rate), min(round(stop * rate), frames)
    if last <= first:
        raise AudioError(
            f"the segment {begin:g}-{stop:g} s of {path} has no samples", expected="one sample or more", fault="segment"
        )
    return first, last


def in_milliseconds(times: Any, seconds: Any) -> Any:
    """True for times far behind the end of a recording that would lie within it were they milliseconds.

    Args:
        times, seconds: ends of segments and lengths of their recordings in s, numbers or columns of them.

    >>> in_milliseconds(900, 1.0), in_milliseconds(1.2, 1.0), in_milliseconds(16000, 1.0)
    (True, False, False)
    """
    return (times > FAR * seconds) & (times / 1000 <= seconds + SEGMENT_SLACK)


def to_mono(path: Path | str, data: NDArray[np.float32], channel: float | None = None) -> Audio:
    """Take one channel, or the mean of all: `(samples, channels)` -> `(samples,)`.

    Args:
        path: the name of the recording, for messages.
        channel: 0-based; None is the mean.

    Raises:
        AudioError: values that are not finite or far above full scale, no such channel, or channels that cancel each other.
    """
    if not np.isfinite(data).all():
        count = int((~np.isfinite(data)).any(axis=1).sum())
        raise AudioError(
            f"{path} has values that are not finite",
            found=f"{count} of {len(data)} samples",
            action=REWRITE,
            fault="not-finite",
        )
    peak = float(np.abs(data).max())
    if peak > LOUDEST:
        raise AudioError(
            f"{path} has float samples that are not of full scale 1",
            expected=f"values from -1 to 1, {LOUDEST:g} at most",
            found=f"{peak:.6g}, as of integers",
            action=f"{_remedy(data, peak)} and write the file again.",
            fault="scale",
        )
    if channel is not None:
        refuse_channel(path, channel, data.shape[1])
        return np.ascontiguousarray(data[:, int(channel)])
    if data.shape[1] == 1:
        only: Audio = data[:, 0]
        return only
    mean = data.mean(axis=1, dtype=np.float64)
    _refuse_cancelling(path, data, mean)
    averaged: Audio = mean.astype(np.float32)
    return averaged


def refuse_channel(path: Path | str, channel: float, count: int) -> None:
    """Refuse a channel, 0-based, that a recording with a number of channels does not have."""
    if channel != int(channel) or not 0 <= channel < count:
        expected = f"0 to {count - 1}" if count > 1 else "0: the file is mono"
        raise AudioError(f"{path} has no channel {channel:g}", expected=expected, fault="channel")


def _remedy(data: NDArray[np.float32], peak: float) -> str:
    """Guess the type of the integers, and say how to bring them to full scale 1."""
    if peak <= 255 and float(data.min()) >= 0:
        return "Subtract 128, divide by 128"
    return f"Divide them by {next((n for n in (2**15, 2**23, 2**31) if peak <= n), 2**31)}"


def _refuse_cancelling(path: Path | str, data: NDArray[np.float32], mean: NDArray[np.float64]) -> None:
    """Refuse channels of opposite phase: their mean is (nearly) nothing. An offset is not sound and does not count."""
    energy = float(data.var(axis=0, dtype=np.float64).mean())
    if float(mean.var()) < CANCELLED * energy and float(np.abs(data).max()) >= SILENCE_PEAK:
        raise AudioError(
            f"the channels of {path} cancel each other: they are of opposite phase",
            expected="channels whose mean is a recording",
            action="Take one of them: 0 in the table's column channel.",
            fault="cancelling",
        )
