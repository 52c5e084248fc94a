"""Recordings of any length, read block by block: files, and what comes over a pipe while it is being recorded."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ser.audio.decoding import UNKNOWN_SIZE, Limits, cut_short, open_sound, refuse_audio_behind
from ser.audio.files import IN_WORDS, PIPE, again
from ser.errors import AudioError, ConfigError

BLOCK = 1.0  # s that are read of a file at once
LIVE_BLOCK = 0.1  # s that are read of a pipe at once
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # wFormatTag of a wav's fmt chunk
_TYPES = {(_PCM, 8): "u1", (_PCM, 16): "<i2", (_PCM, 32): "<i4", (_FLOAT, 32): "<f4", (_FLOAT, 64): "<f8"}
RATES = (100, 1_000_000)  # Hz
MOST_CHANNELS = 256
_RIFF = b"RIFFsizeWAVE"  # how a wav begins
_LONGEST_CHUNK = 1 << 24  # bytes before the audio of a wav on a pipe


@dataclass(frozen=True, eq=False)
class Stream:
    """A recording that is read once, from its beginning.

    Attributes:
        name: for messages and answers.
        rate: Hz.
        channels: their number.
        blocks: float32 `(samples, channels)`, full scale 1.
        live: true where the sound may come no faster than it is recorded.
    """

    name: str
    rate: int
    channels: int
    blocks: Iterator[NDArray[np.float32]]
    live: bool = False


@contextmanager
def open_file(path: Path, limits: Limits | None = None) -> Iterator[Stream]:
    """Open an audio file of any length, or within limits; one that ffmpeg decodes is decoded to a temporary file first.

    Raises:
        AudioError: as of `ser.audio.reading.load`, but for its length; while it is read, too.
    """
    with open_sound(path, limits) as sound:
        if not sound.frames:
            raise AudioError(f"{path} is empty", expected="samples", found="none", fault="empty")
        yield Stream(str(path), int(sound.samplerate), int(sound.channels), _blocks(path, sound))


def _blocks(path: Path, sound: Any) -> Iterator[NDArray[np.float32]]:
    import soundfile

    count = 0
    while True:
        try:
            block = sound.read(round(BLOCK * sound.samplerate), dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"{path} cannot be decoded behind {count / sound.samplerate:.1f} s", found=error.error_string
            ) from None
        if not len(block):
            return
        count += len(block)
        yield block


def open_pipe(pipe: BinaryIO, raw: tuple[int, int] | None) -> Stream:
    """Read sound from a pipe: a wav, or raw samples.

    Args:
        pipe: opened in binary mode.
        raw: rate in Hz and number of channels of raw samples, whole numbers of 16 bits, little endian, channels in turn;
            None: a wav is expected. The sizes in the header of one that is written to a pipe mean nothing: it is read to
            the end of the pipe.

    Raises:
        AudioError: neither a wav nor, where the rate was given, whole samples; while it is read, nothing comes, or a wav that
            ends before its header says so, or has audio behind the end that it declares.
    """
    begun = b"" if raw is None else _exactly(pipe, len(_RIFF))
    if _is_wav(begun):
        raise AudioError(f"{IN_WORDS} is a wav", expected="raw samples, as --raw says", action="Leave --raw out.")
    rate, channels, kind, bits, size = _header(pipe) if raw is None else (*raw, "<i2", 16, None)
    return Stream(PIPE, rate, channels, _samples(pipe, rate, channels, kind, bits, size, begun), live=True)


def raw_format(text: str | None) -> tuple[int, int] | None:
    """The rate in Hz and the number of channels of raw samples, of `RATE` or `RATExCHANNELS`; None of None.

    Raises:
        ConfigError: it is neither.
    """
    if text is None:
        return None
    rate, _, channels = text.partition("x")
    try:
        found = int(rate), int(channels or 1)
    except ValueError:
        found = 0, 0
    if not (RATES[0] <= found[0] <= RATES[1] and 1 <= found[1] <= MOST_CHANNELS):
        raise ConfigError(
            "--raw", expected="the rate in Hz, and the channels where there are several: 16000 or 8000x2", found=repr(text)
        )
    return found


def _is_wav(head: bytes) -> bool:
    """True if a wav begins so."""
    return len(head) == len(_RIFF) and head[:4] in (b"RIFF", b"RF64") and head[8:] == b"WAVE"


def _header(pipe: BinaryIO) -> tuple[int, int, str, int, int | None]:
    """Read the header of a wav: rate, channels, type of the samples, bits, and bytes of audio if they are known."""
    head = _exactly(pipe, len(_RIFF))
    if not head:
        raise _empty()
    if not _is_wav(head):
        raise AudioError(
            f"{IN_WORDS} is not a wav",
            expected="a wav, or raw samples of 16 bits",
            found=repr(head[:12]),
            action="Give the rate of raw samples in Hz, and the channels where there are several: --raw 16000, --raw 8000x2.",
        )
    form: tuple[int, int, str, int] | None = None
    while len(chunk := _exactly(pipe, 8)) == 8:
        kind, length = struct.unpack("<4sI", chunk)
        if kind == b"data":
            if form is None:
                break
            known = 0 < length < UNKNOWN_SIZE and head[:4] == b"RIFF"
            return (*form, length if known else None)
        if length > _LONGEST_CHUNK:
            break
        content = _exactly(pipe, length + length % 2)
        if kind == b"fmt " and len(content) >= 16:
            form = _format(content)
    raise AudioError(f"the header of {IN_WORDS} is damaged", expected="a wav with a format, then its data")


def _empty() -> AudioError:
    return AudioError(f"{IN_WORDS} is empty", expected="audio", found="0 bytes", action=again(IN_WORDS), fault="empty")


def _format(content: bytes) -> tuple[int, int, str, int]:
    tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", content[:16])
    if tag == _EXTENSIBLE and len(content) >= 26:
        (tag,) = struct.unpack("<H", content[24:26])
    kind = "<i3" if (tag, bits) == (_PCM, 24) else _TYPES.get((tag, bits))
    if kind is None:
        raise AudioError(
            f"{IN_WORDS} is a wav of the format {tag} with {bits} bits",
            expected="whole numbers of 8, 16, 24 or 32 bits, or floats",
            action="Write it to a file, which is read in any format.",
        )
    if not 1 <= channels <= MOST_CHANNELS or not RATES[0] <= rate <= RATES[1]:
        raise AudioError(f"the header of {IN_WORDS} is damaged", found=f"{channels} channels at {rate} Hz")
    return rate, channels, kind, bits


def _samples(
    pipe: BinaryIO, rate: int, channels: int, kind: str, bits: int, size: int | None, begun: bytes = b""
) -> Iterator[NDArray[np.float32]]:
    """Read samples to the end of the pipe, or `size` bytes of them; a frame that is cut short at the end is left out.

    Args:
        begun: bytes of samples that were read before.

    Raises:
        AudioError: the pipe ends before `size` bytes, all of which that came were given, or has audio behind them; or nothing
            came.
    """
    frame = channels * bits // 8
    rest, block, count = b"", max(round(LIVE_BLOCK * rate), 1) * frame, 0
    while size is None or count < size:
        content, begun = begun or _exactly(pipe, block if size is None else min(block, size - count)), b""
        if not content:
            if size is not None:
                raise cut_short(IN_WORDS, size, count)
            if not count:
                raise _empty()
            return
        count += len(content)
        rest += content
        whole = len(rest) // frame * frame
        if whole:
            yield _as_floats(rest[:whole], kind, bits).reshape(-1, channels)
        rest = rest[whole:]
    if size is not None:
        tenth = max(rate // 10 * frame, 16)
        refuse_audio_behind(IN_WORDS, _exactly(pipe, tenth), size, tenth)


def _as_floats(content: bytes, kind: str, bits: int) -> NDArray[np.float32]:
    """Bring samples to full scale 1, as libsndfile does."""
    if kind == "<i3":
        padded = np.zeros((len(content) // 3, 4), dtype=np.uint8)
        padded[:, 1:] = np.frombuffer(content, dtype=np.uint8).reshape(-1, 3)
        return (padded.reshape(-1).view("<i4") / 2**31).astype(np.float32)
    values = np.frombuffer(content, dtype=kind)
    if kind == "u1":
        return ((values.astype(np.float32) - 128) / 128).astype(np.float32)
    scale = 1 if "f" in kind else 2 ** (bits - 1)
    return (values / scale).astype(np.float32)


def _exactly(pipe: BinaryIO, count: int) -> bytes:
    """Read a number of bytes, fewer only at the end."""
    parts, missing = [], count
    while missing and (part := pipe.read(missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)
