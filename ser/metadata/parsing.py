"""What the corpus plugins share: walking a folder, reading old text files, looking labels up, and telling what was left out."""

import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from ser.errors import CorpusError

AUDIO = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au", ".m4a")

# Plugins say here what a user should know of a parse: files left out, lines that are malformed. Whoever parses for a
# command collects it (`ser.metadata.build`); elsewhere Python prints it on standard error.
LOG = logging.getLogger("ser.metadata")

# Windows-1252 bytes that were taken for Latin-1: U+0080..U+009F are no characters of any text.
_WINDOWS = {
    code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)
}


def files_below(root: Path, *suffixes: str) -> Iterator[str]:
    """Paths of files below a folder, relative to it and with `/`, in a stable order.

    Hidden files are left out (macOS leaves `._NAME.wav` beside `NAME.wav` in archives). Links to folders are followed.

    Args:
        suffixes: lower-case endings, `.wav`; none is all files.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if below == "." else below + "/"
        for name in sorted(names):
            if not name.startswith(".") and (not suffixes or name.lower().endswith(suffixes)):
                yield prefix + name


def stem(path: str) -> str:
    """File name without folder and ending.

    >>> stem("wav/03a01Fa.wav")
    '03a01Fa'
    """
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def named_as(
    root: Path, pattern: re.Pattern[str], corpus: str, *suffixes: str, name: Callable[[str], str] = stem
) -> Iterator[tuple[str, re.Match[str]]]:
    """Audio files that are named as a corpus's are, anywhere below a folder, each name once; the others are noted.

    Archives are often unpacked into folders of their own, and some public copies hold every file twice.

    Args:
        pattern: of the whole name.
        corpus: whose files they are, for the note.
        suffixes: lower-case endings; `.wav` by default.
        name: path -> what the pattern is compared with, and what tells files apart.

    Yields:
        The path relative to the root, and the match.
    """
    seen: set[str] = set()
    strange = copies = 0
    for path in files_below(root, *(suffixes or (".wav",))):
        match = pattern.fullmatch(name(path))
        if match is None:
            strange += 1
        elif match[0] in seen:
            copies += 1
        else:
            seen.add(match[0])
            yield path, match
    left_out(copies, "second copies of a file")
    left_out(strange, f"audio files that are not named as {corpus}'s are")


def read_text(path: Path) -> str:
    """A text file in UTF-8, else in Windows-1252 (which older corpora are in), with line ends as they are."""
    content = path.read_bytes()
    try:
        return mended(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return mended(content.decode("latin-1"))


def mended(text: str) -> str:
    """Windows-1252 characters where a wrong decoding left control characters.

    >>> mended("he\\x92s")
    'he’s'
    """
    return text.translate(_WINDOWS)


def canonical(labels: dict[str, str], label: str, where: object) -> str:
    """The canonical emotion of a corpus's label.

    Args:
        labels: the plugin's `LABELS`.
        where: the file or utterance, for the error.

    Raises:
        CorpusError: the corpus has no such label.
    """
    if label not in labels:
        raise CorpusError(
            f"{where}: unknown label {label!r}",
            expected=f"one of {', '.join(labels)}",
            action="Correct it, or take that utterance out of the corpus folder.",
        )
    return labels[label]


def few(words: Iterable[str], most: int = 10) -> str:
    """A list for people, cut where it is long.

    >>> few(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    listed = list(words)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def left_out(number: int, what: str) -> None:
    """Note files or lines that a plugin does not use, if there are any."""
    if number:
        LOG.warning("%s left out: %d", what, number)


def optional(package: str) -> ModuleType:
    """An optional package, whose extra is called as it is.

    Raises:
        CorpusError: it is not installed; the message has the command that installs it.
    """
    if find_spec(package) is None:
        raise CorpusError(f"the package {package} is not installed", action=f"Install it: pip install 'ser[{package}]'")
    return import_module(package)
