"""Reading an audio file with soundfile, and by way of ffmpeg where soundfile cannot."""

import io
import os
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from ser.audio.files import AGAIN, CONTAINERS, SOUND, again, refuse_other_files
from ser.errors import AudioError
from ser.files import open_regular

FFMPEG_SECONDS = 900
INSTALL_FFMPEG = "Install ffmpeg (apt install ffmpeg, brew install ffmpeg, or conda install -c conda-forge ffmpeg)."

# A wav written to a pipe has a data size of 0 or one near 2 or 4 GiB: its writer could not go back to fill it in.
UNKNOWN_SIZE = 0x7FFFF000
_TENTH = 1600  # bytes of a tenth of a second where the header does not say how many: 8 kHz, 16 bits
_TAGS = (b"TAG", b"ID3", b"APETAGEX")  # behind the audio, of music players
# ffmpeg's names of the containers that a stranger may send.
_UPLOADED = "aac,ac3,amr,asf,avi,eac3,flv,matroska,mov,mp3,mp4,mpeg,mpegts,ogg,webm"
_MAX_UNFINISHED = 2**30  # bytes of a wav file whose header is completed in memory

Result = TypeVar("Result")


@dataclass(frozen=True)
class Limits:
    """The most that is read of a recording that a stranger sent, whatever its header says.

    Attributes:
        seconds: its length.
        rates: Hz, the lowest and the highest.
        values: samples of all channels together.
    """

    seconds: float
    rates: tuple[int, int] = (1000, 400_000)
    values: int = 2**26

    def refuse(self, path: Path, sound: Any) -> None:
        """Refuse an open sound that is larger, before anything of it is read.

        Raises:
            AudioError: it is too long, or its rate is none of a recording.
        """
        if not self.rates[0] <= sound.samplerate <= self.rates[1]:
            raise AudioError(
                f"{path} has a sample rate of {sound.samplerate} Hz", expected=f"{self.rates[0]} to {self.rates[1]}"
            )
        if sound.frames > self.seconds * sound.samplerate:
            found = f"{sound.frames / sound.samplerate:.1f} s" if sound.frames < 2**62 else "a header without the length"
            raise AudioError(f"{path} is too long", expected=f"{self.seconds:g} s at most", found=found, fault="too-long")
        if sound.frames * sound.channels > self.values:
            raise AudioError(
                f"{path} has too many samples",
                expected=f"{self.values} at most in all channels together",
                found=f"{sound.frames} in each of {sound.channels}",
                fault="too-long",
            )


def read_sound(path: Path, take: Callable[[Any], Result], limits: Limits | None = None) -> Result:
    """Read something of an audio file.

    Args:
        take: reads the open `soundfile.SoundFile`; called a second time where soundfile fails and ffmpeg can
            convert the file.
        limits: of a recording that a stranger sent.

    Raises:
        AudioError: the file is not there, empty, a Git LFS pointer, HTML, cut short, or cannot be decoded.
    """
    import soundfile

    try:
        with open_sound(path, limits) as sound:
            return take(sound)
    except soundfile.LibsndfileError as error:
        said = str(error.error_string)
        if path.suffix.lower() in CONTAINERS or shutil.which("ffmpeg") is None:
            raise _undecodable(path, said) from None
    try:
        with _by_ffmpeg(path, said, limits) as sound:
            return take(sound)
    except soundfile.LibsndfileError:
        raise _undecodable(path, said) from None


def open_sound(path: Path, limits: Limits | None = None) -> Any:
    """Open an audio file of any length, or within limits, as a `soundfile.SoundFile`, whose reading may still fail.

    Raises:
        AudioError: as of `read_sound`.
    """
    import soundfile

    refuse_other_files(path)
    if path.suffix.lower() in CONTAINERS:
        return _by_ffmpeg(path, None, limits)
    try:
        sound = soundfile.SoundFile(_completed(path) or _encoded(path))
    except soundfile.LibsndfileError as error:
        said = str(error.error_string)
        if shutil.which("ffmpeg") is None:
            raise _undecodable(path, said) from None
        return _by_ffmpeg(path, said, limits)
    try:
        _refuse_cut(path, sound)
        if limits is not None:
            limits.refuse(path, sound)
    except AudioError:
        sound.close()
        raise
    return sound


def _by_ffmpeg(path: Path, said: str | None, limits: Limits | None = None) -> Any:
    """Open what ffmpeg makes of a file.

    Args:
        said: the message of soundfile about the file, if it was asked.
    """
    import soundfile

    wav = tempfile.TemporaryFile()  # noqa: SIM115 - without a name, and open as long as the sound: a kill leaves nothing
    try:
        _convert(path, wav, said, limits)
        sound = soundfile.SoundFile(wav)
        if limits is not None:
            limits.refuse(path, sound)
        return sound
    except soundfile.LibsndfileError as error:
        wav.close()
        raise _undecodable(path, said or str(error.error_string)) from None
    except BaseException:
        wav.close()
        raise


class AudioHeader(NamedTuple):
    """The length of a recording in s, its rate in Hz, and the number of its channels."""

    seconds: float
    rate: int
    channels: int


def header(path: Path) -> AudioHeader | None:
    """Read a file's header; None where the file has to be decoded by ffmpeg.

    Raises:
        AudioError: as of `read_sound`; a file that is cut short has the length of what is there.
    """
    import soundfile

    refuse_other_files(path)
    if path.suffix.lower() not in SOUND:
        return None
    try:
        found = soundfile.info(_completed(path) or _encoded(path))
        return AudioHeader(float(found.duration), int(found.samplerate), int(found.channels))
    except soundfile.LibsndfileError as error:
        if shutil.which("ffmpeg") is not None:
            return None
        raise _undecodable(path, str(error.error_string)) from None


def read_frames(sound: Any, first: int, last: int) -> Any:
    """Samples `[first, last)` of an open sound, float32 `(samples, channels)`; fewer where the file ends before.

    Some codecs (GSM 6.10, G.721) cannot seek, not even to the beginning: they are read from there.
    """
    if sound.seekable():
        sound.seek(first)
        return sound.read(last - first, dtype="float32", always_2d=True)
    return sound.read(last, dtype="float32", always_2d=True)[first:]


def _encoded(path: Path) -> str | bytes:
    """The name as soundfile takes it, who encodes text strictly: a name may be of bytes that are not UTF-8."""
    return str(path) if os.name == "nt" else os.fsencode(path)


def _completed(path: Path) -> io.BytesIO | None:
    """A wav or au file with its header completed, where the writer was stopped before it filled in the size of the data.

    libsndfile takes a size of 0 at its word. None where there is nothing to complete.

    Raises:
        AudioError: the header declares some of the audio only.
    """
    if path.suffix.lower() not in (".wav", ".au", ".snd", ""):
        return None
    with open_regular(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        head = file.read(12)
        if head.startswith(b".snd") and len(head) == 12:
            begin, length = struct.unpack(">4xII", head)
            if 0 < length < size - begin:
                _refuse_more(path, file, begin + length, length, _TENTH)
            if length or begin >= size or size > _MAX_UNFINISHED:
                return None
            file.seek(0)
            return io.BytesIO(_with(file.read(), (8, ">I", size - begin)))
        if not head.startswith(b"RIFF"):
            return None
        tenth = _TENTH
        while len(chunk := file.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            begin = file.tell()
            if name == b"fmt ":
                tenth = int.from_bytes(file.read(16)[8:12], "little") // 10
                file.seek(begin)
            if name == b"data":
                if 0 < length < size - begin:
                    _refuse_more(path, file, begin + length, length, tenth)
                    return None
                following = file.read(8)
                if length or not following or _is_chunk(following, size - begin) or size > _MAX_UNFINISHED:
                    return None
                file.seek(0)
                return io.BytesIO(_with(file.read(), (begin - 4, "<I", size - begin), (4, "<I", size - 8)))
            file.seek(length + length % 2, io.SEEK_CUR)
    return None


def _refuse_more(path: Path, file: IO[bytes], end: int, declared: int, tenth: int) -> None:
    """Refuse audio behind the declared end of the audio of a file; `end` is the first byte behind it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(end)
    refuse_audio_behind(path, file.read(max(tenth, 16)), declared, tenth, size - end)


def refuse_audio_behind(name: Path | str, rest: bytes, declared: int, tenth: int, room: int | None = None) -> None:
    """Refuse audio behind the declared end of the audio, of which libsndfile reads nothing and says nothing.

    Other chunks, tags of music players and padding with zeros are not audio, nor are a few stray bytes.

    Args:
        name: of the recording, for messages.
        rest: the first bytes behind the declared audio, `tenth` of them or what there is.
        declared: bytes of audio.
        tenth: bytes of a tenth of a second.
        room: bytes from there to the end of the recording; None where it is not known.
    """
    if len(rest) < tenth:
        return
    most = 2**32 if room is None else room
    chunks = (_is_chunk(rest[k : k + 8], most - k) for k in (0, 1))  # an odd length is followed by a byte
    other = rest.startswith(_TAGS) or not any(rest) or (any(chunks) and not rest.startswith(b"RIFF"))
    if not other:
        raise AudioError(
            f"{name} has audio behind the end that its header declares",
            expected=f"{declared} bytes of audio",
            found="more" if room is None else f"{room} more",
            action="Write it again with all of it, as sox --ignore-length does, or without what is behind.",
        )


def _with(content: bytes, *numbers: tuple[int, str, int]) -> bytes:
    """The content with numbers written at places: `(offset, format, number)`."""
    changed = bytearray(content)
    for offset, form, number in numbers:
        struct.pack_into(form, changed, offset, number)
    return bytes(changed)


def _is_chunk(head: bytes, room: int) -> bool:
    """True for bytes that begin a chunk of a RIFF file which ends within the file."""
    if len(head) < 8 or not all(32 <= byte < 127 for byte in head[:4]):
        return False
    return int(struct.unpack("<I", head[4:])[0]) <= room - 8


# What libsndfile's log says of a file that ends too early, by format: what the header declares, and what there is.
_SIZES = r" *(?:data|SSND|BODY|Data Size) *: (\d+) \(should be (\d+)\)"
_CUT = {
    "W64": r"riff : (\d+) \(should be (\d+)\)",  # the whole file, of 8-byte aligned chunks
    "RF64": r" *Riff size : (\d+) \(should be (\d+)\)",
}


def _refuse_cut(path: Path, sound: Any) -> None:
    """libsndfile reads what there is of a file that ends too early, and says so only in its log."""
    unit = "bytes"
    cut = re.search(f"^{_CUT.get(sound.format, _SIZES)}", sound.extra_info, re.MULTILINE)
    declared, there = (int(cut[1]), int(cut[2])) if cut else (0, 0)
    if sound.format == "NIST":  # of which the log says nothing
        with open_regular(path) as file:
            count = re.search(rb"^sample_count -i (\d+)", file.read(1024), re.MULTILINE)
        declared, there, unit = int(count[1]) if count else 0, int(sound.frames), "samples"
    if there < declared < UNKNOWN_SIZE:
        raise cut_short(path, declared, there, unit)


def cut_short(name: Path | str, declared: int, there: int, unit: str = "bytes") -> AudioError:
    """The error of a recording that has less audio than its header declares."""
    expected = f"{declared} {unit} of audio"
    return AudioError(f"{name} is cut short", expected=expected, found=there, action=again(name), fault="truncated")


def _convert(path: Path, wav: IO[bytes], before: str | None, limits: Limits | None = None) -> None:
    """Write the file's first audio track as a float32 wav, by ffmpeg.

    Args:
        wav: an empty file, to which ffmpeg writes by its descriptor.
        before: the message of soundfile about the file, if it was asked.
        limits: then no more than they allow is written, and a playlist, which may name other files and addresses, is none.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(
            f"{path.suffix} files need ffmpeg, which is not installed: {path}", action=INSTALL_FFMPEG, fault="needs-ffmpeg"
        )
    # `file:` keeps ffmpeg from reading a colon in a file's name as a protocol.
    source = ["-i", f"file:{path}", "-map", "0:a:0"]
    if limits is not None:
        source = ["-protocol_whitelist", "file", "-format_whitelist", _UPLOADED, *source]
        source += ["-t", f"{limits.seconds + 1:g}", "-fs", str(4 * limits.values + _TENTH)]
    command = [ffmpeg, "-nostdin", "-v", "error", *source, "-c:a", "pcm_f32le", "-f", "wav", "-y"]
    command.append(f"/dev/fd/{wav.fileno()}")
    try:
        done = subprocess.run(command, capture_output=True, timeout=FFMPEG_SECONDS, check=False, pass_fds=[wav.fileno()])
    except subprocess.TimeoutExpired:
        raise AudioError(f"{path} cannot be decoded", found=f"ffmpeg took over {FFMPEG_SECONDS} s") from None
    if done.returncode or not wav.seek(0, io.SEEK_END):
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["ffmpeg failed"]
        raise _undecodable(path, before or _short(said))
    wav.seek(0)


def _undecodable(path: Path, said: str) -> AudioError:
    other = "" if shutil.which("ffmpeg") else f" If its format is uncommon, ffmpeg may read it. {INSTALL_FFMPEG}"
    return AudioError(
        f"{path} cannot be decoded",
        expected="audio that libsndfile or ffmpeg reads",
        found=said.rstrip("."),
        action=AGAIN + other,
    )


def _short(lines: list[str]) -> str:
    """ffmpeg's first complaint; one about a missing track in plain words."""
    if any("matches no streams" in line for line in lines):
        return "no audio track"
    return lines[0]
