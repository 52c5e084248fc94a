"""A file of JSON lines below a header, appended to as work is done: what was appended is on the disk, whatever happens next.

A process that is killed leaves a last line cut off, which is passed over; the next one goes on behind it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ser.workspace import writing


class Journal:
    """One such file. Reading changes nothing, so it may be read while another process appends.

    Args:
        path: the file; made when something is first appended.
        header: the first line: a mapping with `schema`.

    Attributes:
        found: the header that is there; None where there is no file, {} where its first line is no header of this schema:
            the first append then makes the file anew.
        entries: what is below the header, damaged lines left out.
        lines: how many there are, damaged ones and those appended since counted.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        self.path, self.header = path, header
        self.found: dict[str, Any] | None = None
        self.entries: list[Any] = []
        self.lines = 0
        if path.is_file():
            self._read()

    def append(self, values: Iterable[Any]) -> None:
        """Add lines: they are on the disk when this returns."""
        new = list(values)
        if not self.found:
            self.rewrite(new)
            return
        with self.path.open("ab+") as handle:
            handle.seek(-1, os.SEEK_END)
            cut = handle.read(1) != b"\n"  # what comes next must not be joined to it
            handle.write(b"\n" * cut + "".join(map(_line, new)).encode())
            handle.flush()
            os.fsync(handle.fileno())
        self.lines += len(new)

    def rewrite(self, values: Iterable[Any]) -> None:
        """Make the file anew of the header and these values."""
        new = list(values)
        with writing(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
            handle.write(_line(self.header))
            handle.writelines(map(_line, new))
        self.found, self.lines = self.header, len(new)

    def _read(self) -> None:
        first, *below = self.path.read_bytes().splitlines() or [b""]
        header = _parsed(first)
        same = isinstance(header, dict) and header.get("schema") == self.header["schema"]
        self.found = header if same else {}
        if same:
            self.entries = [entry for entry in map(_parsed, below) if entry is not None]
            self.lines = len(below)


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _parsed(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError:
        return None
