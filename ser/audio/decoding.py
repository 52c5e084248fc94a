"""Opening an audio file with soundfile, or by way of ffmpeg, and telling apart the files that are no audio."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ser.errors import AudioError

CONTAINERS = frozenset(
    {".3g2", ".3gp", ".aac", ".ac3", ".amr", ".asf", ".avi", ".eac3", ".flv", ".m4a", ".m4v", ".mka", ".mkv", ".mov"}
    | {".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wma", ".wmv"}
)
FFMPEG_SECONDS = 900
INSTALL_FFMPEG = "Install ffmpeg (apt install ffmpeg, brew install ffmpeg, or conda install -c conda-forge ffmpeg)."
AGAIN = "Download or copy the file again."

LFS_POINTER = b"version https://git-lfs"
# A wav written to a pipe has a data size of 0 or one near 2 or 4 GiB: its writer could not go back to fill it in.
UNKNOWN_SIZE = 0x7FFFF000


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A `soundfile.SoundFile` of the file.

    Raises:
        AudioError: the file is gone, empty, a Git LFS pointer, HTML, cut short, or cannot be decoded. Also raised for
            decoding errors within the block.
    """
    import soundfile

    refuse_other_files(path)
    try:
        if path.suffix.lower() in CONTAINERS:
            with _converted(path) as wav, soundfile.SoundFile(wav) as sound:
                yield sound
            return
        try:
            sound = soundfile.SoundFile(path)
        except soundfile.LibsndfileError as error:
            if shutil.which("ffmpeg") is None:
                raise
            with _converted(path, str(error.error_string)) as wav, soundfile.SoundFile(wav) as sound:
                yield sound
            return
        with sound:
            _refuse_cut(path, sound)
            yield sound
    except soundfile.LibsndfileError as error:
        raise _undecodable(path, str(error.error_string)) from None


def refuse_other_files(path: Path) -> None:
    """Refuse what is no audio at all, each with its own message.

    Raises:
        AudioError: gone, a folder, empty, a Git LFS pointer, or a page of HTML.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except FileNotFoundError:
        raise AudioError(
            f"{path} is gone", action="Is --root the corpus folder that the table was made from?"
        ) from None
    except OSError as error:
        raise AudioError(f"cannot read {path}", found=error.strerror) from None
    if not head:
        raise AudioError(f"{path} is empty", expected="audio", found="0 bytes", action=AGAIN)
    if head.startswith(LFS_POINTER):
        raise AudioError(
            f"{path} is a Git LFS pointer, not audio",
            found=f"{path.stat().st_size} bytes of text",
            action="Get the audio with: git lfs install && git lfs pull (in the corpus's repository)",
        )
    if re.match(
        rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", head, re.IGNORECASE | re.DOTALL
    ):
        raise AudioError(
            f"{path} is a page of HTML, not audio",
            action="The download gave a web page (a login or an error): download the file again.",
        )


def _refuse_cut(path: Path, sound: Any) -> None:
    """libsndfile reads what there is of a wav file that ends too early, and says so only in its log."""
    cut = re.search(r"^data : (\d+) \(should be (\d+)\)", sound.extra_info, re.MULTILINE)
    if cut and int(cut[2]) < int(cut[1]) < UNKNOWN_SIZE:
        raise AudioError(
            f"{path} is cut short",
            expected=f"{cut[1]} bytes of audio",
            found=cut[2],
            action=AGAIN,
        )


@contextmanager
def _converted(path: Path, before: str | None = None) -> Iterator[Path]:
    """The file's first audio track as a temporary float32 wav, by ffmpeg.

    Args:
        before: what soundfile said of the file, if it was asked.
    """
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise AudioError(f"{path.suffix} files need ffmpeg, which is not installed: {path}", action=INSTALL_FFMPEG)
    with tempfile.TemporaryDirectory(prefix="ser-") as folder:
        wav = Path(folder) / "audio.wav"
        # `file:` keeps ffmpeg from reading a colon in a file's name as a protocol.
        command = [
            ffmpeg,
            "-nostdin",
            "-v",
            "error",
            "-i",
            f"file:{path}",
            "-map",
            "0:a:0",
            "-c:a",
            "pcm_f32le",
            str(wav),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=FFMPEG_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise AudioError(f"{path} cannot be decoded", found=f"ffmpeg took over {FFMPEG_SECONDS} s") from None
        if done.returncode or not wav.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines() or ["ffmpeg failed"]
            raise _undecodable(path, before or _short(said))
        yield wav


def _undecodable(path: Path, said: str) -> AudioError:
    other = "" if shutil.which("ffmpeg") else f" If its format is an uncommon one: {INSTALL_FFMPEG}"
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
