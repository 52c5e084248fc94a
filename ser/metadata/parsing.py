"""Help for corpus plugins: walking a folder, reading old text files, looking labels up, and noting files that are left out."""

import codecs
import csv
import io
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from ser.audio.files import ENDINGS
from ser.errors import CorpusError, NoCorpus
from ser.files import ABSENT, HEAD, POINTER, WEB_PAGE, read_bytes, text_in, why
from ser.optional import need

# Plugins note here what a user should know of a parse: files left out, lines that are malformed. Whoever parses for a
# command collects it (`ser.metadata.build`); elsewhere Python prints it on standard error.
LOG = logging.getLogger("ser.metadata")

# Windows-1252 bytes that were taken for Latin-1: U+0080..U+009F do not occur in any text.
_WINDOWS = {code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
SHARED = 10_000  # different cells of a column that are looked for among those that follow
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def files_below(root: Path, *suffixes: str) -> Iterator[str]:
    """Paths of files below a folder, relative to it and with `/`, in a stable order.

    Hidden files are left out (macOS leaves `._NAME.wav` beside `NAME.wav` in archives). Links to folders are followed. Files
    whose names a table cannot hold, and folders that may not be read, are noted as unusable.

    Args:
        suffixes: lower-case endings, `.wav`; none is all files.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_unreadable_folder):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back up
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        below = os.path.relpath(folder, root).replace(os.sep, "/")
        prefix = "" if below == "." else below + "/"
        for name in sorted(names):
            if name.startswith(".") or (suffixes and not name.lower().endswith(suffixes)):
                continue
            path = prefix + name
            fault = _fault_of_name(path)
            if fault:
                unusable(path, fault)
            else:
                yield path


def audio_below(root: Path) -> Iterator[str]:
    """Paths of audio files below a folder, as `files_below`; other files are noted, by their endings."""
    others: Counter[str] = Counter()
    for path in files_below(root):
        if path.lower().endswith(ENDINGS):
            yield path
        else:
            others[Path(path).suffix.lower() or "no ending"] += 1
    if others:
        left_out(
            others.total(), f"files that are not audio by their ending ({few(f'{e} {n}' for e, n in others.most_common())})"
        )


def unusable(path: str, reason: str) -> None:
    """Note a file that cannot be used, with the reason as words that may follow its name."""
    LOG.warning("cannot be used: %s (%s)", shown(path), reason, extra={"unusable": (reason, shown(path))})


def shown(name: str) -> str:
    """A file's name as it can be printed: control characters and bytes that are not UTF-8 are escaped."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda m: repr(m[0])[1:-1], text)


def _fault_of_name(path: str) -> str:
    """The reason why a table cannot hold a path; "" where it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8: rename it"
    return "a control character in its name: rename it" if _CONTROL.search(path) else ""


def _unreadable_folder(error: OSError) -> None:
    unusable(str(error.filename), f"a folder that cannot be read: {why(error)}")


def stem(path: str) -> str:
    """File name without folder and ending.

    >>> stem("wav/03a01Fa.wav")
    '03a01Fa'
    """
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0]


def read_text(path: Path) -> str:
    """Read a text file, with line ends as they are.

    It is in UTF-8, in UTF-16 or UTF-32 with a byte order mark (as Excel writes "Unicode text"), else in Windows-1252 (as
    older corpora are).

    Raises:
        CorpusError: it cannot be read, is not a regular file, or is not a text; or is a Git LFS pointer or a page of HTML.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise (NoCorpus if isinstance(error, ABSENT) else CorpusError)(f"cannot read {path}", found=why(error)) from None
    if content.startswith(b"PK\x03\x04"):
        raise CorpusError(f"{path} is not a text file", found="a ZIP archive or an Excel file", action="Excel: NAME.xlsx.")
    refuse_stand_in(path, content[:HEAD])
    encoding = next((name for mark, name in MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        text = content.decode("latin-1")
        if encoding != "utf-8":
            raise CorpusError(f"{path} is damaged", expected=f"text in {encoding}, as its first bytes say") from None
    if "\0" in text:
        raise CorpusError(
            f"{path} is not a text file",
            expected="text in UTF-8 (or UTF-16 with a byte order mark)",
            found="bytes that are 0",
            action="Save it again as CSV in UTF-8.",
        )
    return mended(text.lstrip("\ufeff"))  # a file that was marked twice


def refuse_stand_in(path: Path, head: bytes) -> None:
    """Refuse a text in place of another, by its first `HEAD` bytes.

    Raises:
        CorpusError: it is a Git LFS pointer or a page of HTML.
    """
    kind = text_in(head)
    if kind in (POINTER, WEB_PAGE):
        again = "Get the file with: git lfs pull." if kind == POINTER else "Download it again."
        raise CorpusError(f"{path} is {kind}, not the file itself", action=again)


def rows_of_csv(path: Path, *columns: str, **form: Any) -> Iterator[dict[str, str]]:
    """The rows of a CSV file of a release, by column.

    Args:
        columns: those that it must have.
        form: arguments of `csv.DictReader`, such as the delimiter.

    Raises:
        CorpusError: as of `read_text`, or it lacks a column.
    """
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), **form)
    found = reader.fieldnames or ()
    if not set(columns) <= set(found):
        there = "a Git LFS pointer" if "git-lfs" in str(found) else ", ".join(found) or "nothing"
        raise CorpusError(str(path), expected=f"columns {', '.join(columns)}", found=there)
    yield from reader


def shared(cell: str, known: dict[str, str]) -> str:
    """The cell, as the object that an equal one of its column was before; ids, which all differ, are not looked for all along.

    Args:
        known: the cells of its column.
    """
    return known.setdefault(cell, cell) if len(known) < SHARED else known.get(cell, cell)


def mended(text: str) -> str:
    """Windows-1252 characters where a wrong decoding left control characters.

    >>> mended("he\\x92s")
    'he’s'
    """
    return text.translate(_WINDOWS)


def canonical(labels: dict[str, str], label: str, where: object) -> str:
    """Look up the canonical emotion of a corpus's label.

    Args:
        labels: the plugin's `LABELS`.
        where: the file or the utterance, for the error.

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


def shares(counts: Mapping[str, float]) -> dict[str, float] | None:
    """Votes as the table has them: the share of each emotion that has any; None where nobody voted.

    >>> shares({"anger": 3, "fear": 1, "sadness": 0})
    {'anger': 0.75, 'fear': 0.25}
    """
    total = sum(counts.values())
    return {emotion: round(n / total, 6) for emotion, n in counts.items() if n} if total else None


def few(words: Iterable[str], most: int = 10) -> str:
    """A list for people, cut where it is long.

    >>> few(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    listed = list(words)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length as lines, their cells one under another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def left_out(number: int, what: str) -> None:
    """Note files or lines that a plugin does not use, if there are any."""
    if number:
        LOG.warning("%s left out: %d", what, number)


def optional(package: str, extra: str | None = None) -> ModuleType:
    """Import an optional package.

    Args:
        extra: of this program, which brings it; named as the package by default.

    Raises:
        CorpusError: it is not installed; the message has the command that installs it.
    """
    need(package, extra or package, kind=CorpusError)
    return import_module(package)
