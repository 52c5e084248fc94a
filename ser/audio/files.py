"""Files that may hold audio: the known endings, and faults of a file that show before it is decoded."""

import re
from codecs import getincrementaldecoder
from pathlib import Path

from ser.errors import AudioError
from ser.files import ABSENT, open_regular, why

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
LFS_POINTER = b"version https://git-lfs"
SIGNS = (b"NIST_1A", b"#!AMR", b"RIFF", b"FORM", b"fLaC", b"OggS", b"ID3")  # of audio, before anything that is not text
_WEB_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)


def refuse_other_files(path: Path) -> None:
    """Refuse a file that cannot be audio, each kind with its own message.

    Raises:
        AudioError: it is not there, may not be read, is not a regular file (a folder, a named pipe, a device), is empty,
            a Git LFS pointer, a page of HTML, or a text.
    """
    try:
        with open_regular(path) as file:
            head = file.read(512)
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
    if head.startswith(LFS_POINTER):
        raise AudioError(
            f"{path} is a Git LFS pointer, not audio",
            found=f"{path.stat().st_size} bytes of text",
            action="Get the audio with: git lfs install && git lfs pull (in the corpus's repository)",
            fault="pointer",
        )
    if _WEB_PAGE.match(head):
        raise AudioError(
            f"{path} is a page of HTML, not audio",
            action="The download gave a web page (a login or an error): download the file again.",
            fault="web-page",
        )
    if path.suffix.lower() not in CONTAINERS and not head.startswith(SIGNS) and _is_text(head):
        raise AudioError(
            f"{path} cannot be decoded: it is a text file, not audio",
            expected="audio",
            found=repr(head[:40].decode(errors="ignore")),
            action=AGAIN,
        )


def _is_text(head: bytes) -> bool:
    """True for the beginning of a text in UTF-8: without control characters, which all kinds of audio have early."""
    try:
        text = getincrementaldecoder("utf-8-sig")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return all(char.isprintable() or char in "\t\n\r\f" for char in text)
