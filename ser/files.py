"""Files that come from outside: only regular files are opened, and JSON is parsed within stated limits."""

import errno
import hashlib
import json
import os
import re
import stat
from codecs import getincrementaldecoder
from pathlib import Path
from typing import Any, BinaryIO

from ser.errors import ConfigError, UnusableError

JsonObject = dict[str, Any]  # whose keys are not ours to name
ABSENT = (FileNotFoundError, NotADirectoryError)  # errors at a path where there is nothing
MAX_DEPTH = 64  # levels of lists and objects in JSON: what is written here has fewer than ten
_KINDS = ((stat.S_ISFIFO, "a named pipe"), (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"), (stat.S_ISSOCK, "a socket"))
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_PAIR = re.compile(rb"\[\]|\{\}")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
HEAD = 512  # bytes by which a file is known to be a text
POINTER, WEB_PAGE, TEXT = "a Git LFS pointer", "a page of HTML", "a text file"  # what may lie in place of a binary file
LFS_POINTER = b"version https://git-lfs"
_WEB_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL)


def open_regular(path: Path | str) -> BinaryIO:
    """Open a regular file for reading; links are followed. A named pipe would wait for ever, a device never ends.

    Raises:
        OSError: as of `open`; also where it is a folder, a named pipe, a device or a socket, which `strerror` says.
    """
    _refuse_irregular(Path(path).stat(), path)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_irregular(os.fstat(handle), path)  # the name may have become another file's meanwhile
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def sha256_of(path: Path | str) -> "hashlib._Hash":
    """A hashlib object that has read a regular file.

    Raises:
        OSError: as of `open_regular`.
    """
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest


def why(error: BaseException) -> str:
    """The reason that an error gives for a file that cannot be read, without the file's name.

    >>> why(PermissionError(13, "Permission denied", "a.csv")), why(ValueError("embedded null byte")), why(MemoryError())
    ('Permission denied', 'embedded null byte', 'MemoryError')
    """
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is {error.object[error.start]:#04x}, which is no text in {error.encoding.upper()}"
    said = error.strerror if isinstance(error, OSError) else ""
    return said or str(error) or type(error).__name__


def text_in(head: bytes) -> str:
    """`POINTER`, `WEB_PAGE` or `TEXT` for the first `HEAD` bytes of a text; "" for all else, an empty file too.

    A text is in UTF-8 and has no control characters, which files of other kinds have early.

    >>> text_in(b"version https://git-lfs.github.com/spec/v1"), text_in(b"a,b\\n1,2\\n"), text_in(b"RIFF\\x24\\x08\\x00\\x00")
    ('a Git LFS pointer', 'a text file', '')
    """
    if head.startswith(LFS_POINTER):
        return POINTER
    if _WEB_PAGE.match(head):
        return WEB_PAGE
    try:
        text = getincrementaldecoder("utf-8-sig")().decode(head)  # the last letter may be cut
    except UnicodeDecodeError:
        return ""
    return TEXT if text and all(char.isprintable() or char in "\t\n\r\f" for char in text) else ""


def why_damaged(path: Path | str, error: BaseException) -> str:
    """The reason why a binary file that was opened cannot be read: that it is empty or a text, or else what the error says."""
    try:
        with open_regular(path) as file:
            head = file.read(HEAD)
    except (OSError, ValueError):
        return why(error)
    return text_in(head) or (why(error) if head else "an empty file")


def unreadable(what: str, error: OSError | ValueError, action: str | None = None) -> ConfigError:
    """The error of a file that a user named and that cannot be read; that there is none is wrong usage.

    Args:
        what: the kind of file, and its path.
    """
    kind = ConfigError if isinstance(error, ABSENT) else UnusableError
    return kind(f"cannot read {what}", found=why(error), action=action)


def kind_of(path: Path | str) -> str:
    """Words for what there is at a path, links followed: `a folder`, `a file`, `a named pipe` ...; `nothing`."""
    try:
        state = Path(path).stat()
    except ABSENT:
        return "nothing"
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or has a NUL
        return why(error)
    if stat.S_ISDIR(state.st_mode):
        return "a folder"
    return "a file" if stat.S_ISREG(state.st_mode) else _odd(state)


def require_folder(path: Path | str, or_file: bool = False, made: bool = False) -> None:
    """Refuse a path at which there is no folder.

    Args:
        or_file: a regular file will do too.
        made: there may be nothing yet.

    Raises:
        ConfigError: there is something else; it says what.
    """
    found = kind_of(path)
    if found not in ("a folder", *["a file"][:or_file], *["nothing"][:made]):
        expected = "a folder or a file" if or_file else "a folder"
        raise ConfigError(f"{path} is not {expected}", found="nothing there" if found == "nothing" else found)


def exact_floats() -> dict[str, Any]:
    """Options of `pandas.read_csv` that make each number the float nearest to its text, as pandas 3 does without them."""
    import pandas as pd

    return {} if int(pd.__version__.split(".")[0]) >= 3 else {"float_precision": "round_trip"}


def require_new(path: Path | str, overwrite: bool) -> None:
    """Refuse a path of the user's for a file to write where a file is that would be lost.

    Args:
        overwrite: a regular file may be written over.

    Raises:
        ConfigError: there is one; or something that is not a file.
    """
    found = kind_of(path)
    if found not in ("nothing", "a file"):
        raise ConfigError(f"{path} cannot be written", expected="the name of a file", found=found)
    if found == "a file" and not overwrite:
        raise ConfigError(f"{path} is there already", action="Name another file, or write over it: --overwrite.")


def require_new_beside(record: Path, *others: Path) -> None:
    """Refuse a name of the user's for a new record beside which other files are to lie, where one is that would be lost.

    Where the record is there, they are those of an earlier one, and are written again with it.

    Raises:
        ConfigError: there is one.
    """
    found = None if record.exists() else next((path for path in others if os.path.lexists(path)), None)
    if found is not None:
        raise ConfigError(
            f"{found} is there already, and would be lost: it would lie beside {record.name}",
            action="Choose another --output, or move that file away.",
        )


def read_bytes(path: Path | str) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as of `open_regular`.
    """
    with open_regular(path) as file:
        return file.read()


def read_text(path: Path | str) -> str:
    """The content of a regular file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: as of `open_regular`.
        ValueError: it is not in UTF-8; or is a Git LFS pointer or a page of HTML in place of the file.
    """
    content = read_bytes(path)
    kind = text_in(content[:HEAD])
    if kind in (POINTER, WEB_PAGE):
        raise ValueError(kind)
    return content.decode("utf-8-sig")


def parse_json(text: str | bytes, every_key_once: bool = False) -> Any:
    """Parse JSON from outside.

    Args:
        every_key_once: refuse an object that has a key twice; else the last counts, as in JavaScript.

    Raises:
        ValueError: it is no JSON, is nested more than `MAX_DEPTH` levels deep, has a key twice, or has text that is not
            Unicode (half a surrogate pair).
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig")
    refuse_deep(text.encode(errors="surrogatepass"))
    try:
        value = json.loads(text, object_pairs_hook=_with_every_key_once if every_key_once else None)
    except RecursionError:  # brackets that do not close
        raise _too_deep() from None
    if _SURROGATE.search(text):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise ValueError("text that is not Unicode (half a surrogate pair)") from None
    return value


def _with_every_key_once(pairs: list[tuple[str, Any]]) -> JsonObject:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice = next(key for key in made if [k for k, _ in pairs].count(key) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return made


def refuse_deep(text: bytes) -> None:
    """Refuse JSON that is nested more than `MAX_DEPTH` levels deep: what works on it later would fail, if not the parser.

    Raises:
        ValueError: it is.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):  # each time the innermost level goes; what does not close is left to the parser
        brackets = _PAIR.sub(b"", brackets)
    if _PAIR.search(brackets):
        raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"lists or objects nested more than {MAX_DEPTH} levels deep")


def _refuse_irregular(state: os.stat_result, path: Path | str) -> None:
    if stat.S_ISREG(state.st_mode):
        return
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, "a folder, not a file", str(path))
    raise OSError(errno.EINVAL, f"{_odd(state)}, not a regular file", str(path))


def _odd(state: os.stat_result) -> str:
    return next((words for fits, words in _KINDS if fits(state.st_mode)), "something else")
