"""Files that may hold audio: the known endings, and faults of a file that show before it is decoded."""

from pathlib import Path

from ser.errors import AudioError
from ser.files import ABSENT, HEAD, POINTER, WEB_PAGE, open_regular, text_in, why

# The one list of endings that folders are searched for, in a corpus and by `ser predict`. libsndfile reads those of SOUND.
SOUND = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".sph",
)  # fmt: skip
# Those of CONTAINERS are read by ffmpeg.
CONTAINERS = (
    ".3g2", ".3gp", ".aac", ".ac3", ".amr", ".asf", ".avi", ".eac3", ".flv", ".m4a", ".m4b", ".m4v", ".mka", ".mkv", ".mov",
    ".mp2", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wma", ".wmv",
)  # fmt: skip
ENDINGS = (*SOUND, *CONTAINERS)
FAULTS = (
    "missing", "unreadable", "irregular", "pointer", "web-page", "empty", "truncated", "not-finite", "scale", "cancelling",
    "too-long", "segment", "channel", "needs-ffmpeg", "undecodable",
)  # fmt: skip
AGAIN = "Download or copy the file again."
PIPE, IN_WORDS = "-", "standard input"  # its name in answers, and in messages
SIGNS = (b"NIST_1A", b"#!AMR", b"RIFF", b"FORM", b"fLaC", b"OggS", b"ID3")  # of audio, before anything that is not text


def again(name: Path | str) -> str:
    """The advice on a recording that is not whole, by its name in messages."""
    return "Did the program that writes it end with an error?" if str(name) == IN_WORDS else AGAIN


def refuse_other_files(path: Path) -> None:
    """Refuse a file that cannot be audio, each kind with its own message.

    Raises:
        AudioError: it is not there, may not be read, is not a regular file (a folder, a named pipe, a device), is empty,
            a Git LFS pointer, a page of HTML, or a text.
    """
    try:
        with open_regular(path) as file:
            head = file.read(HEAD)
    except ABSENT:
        raise AudioError(
            f"{path} is not there", action="Is its corpus where the table says that it is?", fault="missing"
        ) from None
    except PermissionError:
        raise AudioError(
            f"{path} may not be read", action="Give yourself permission: chmod u+r FILE.", fault="unreadable"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise AudioError(f"cannot read {path}", found=why(error), fault="irregular") from None
    if not head:
        raise AudioError(f"{path} is empty", expected="audio", found="0 bytes", action=AGAIN, fault="empty")
    kind = text_in(head)
    if kind == POINTER:
        raise AudioError(
            f"{path} is a Git LFS pointer, not audio",
            found=f"{path.stat().st_size} bytes of text",
            action="Get the audio with: git lfs install && git lfs pull (in the corpus's repository)",
            fault="pointer",
        )
    if kind == WEB_PAGE:
        raise AudioError(
            f"{path} is a page of HTML, not audio",
            action="The download gave a web page (a login or an error): download the file again.",
            fault="web-page",
        )
    if kind and not head.startswith(SIGNS):
        raise AudioError(
            f"{path} cannot be decoded: it is a text file, not audio",
            expected="audio",
            found=repr(head[:40].decode(errors="ignore")),
            action=AGAIN,
        )
