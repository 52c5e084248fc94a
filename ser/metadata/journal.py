"""A file of JSON lines below a header, to which lines are added as work is done; they are then safely on the disk.

A process that is killed may leave its last line cut off: it is passed over, and the next process goes on behind it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ser.files import JsonObject, parse_json, read_bytes
from ser.workspace import writing


class Journal:
    """One such file. Reading changes nothing: another process may append at the same time.

    Args:
        path: the file; made when something is first appended.
        header: the first line: a mapping with `schema`.

    Attributes:
        found: the header that is there; None where there is no file, {} where its first line is no header of this schema:
            the first append then starts the file again.
        entries: the content below the header, without damaged lines.
        lines: their number, with damaged ones and those appended since.
    """

    def __init__(self, path: Path, header: JsonObject) -> None:
        self.path, self.header = path, header
        self.found: JsonObject | None = None
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
        """Write the file again, of the header and these values."""
        new = list(values)
        with writing(self.path) as temporary, temporary.open("w", encoding="utf-8", newline="") as handle:
            handle.write(_line(self.header))
            handle.writelines(map(_line, new))
        self.found, self.lines = self.header, len(new)

    def _read(self) -> None:
        first, *below = read_bytes(self.path).splitlines() or [b""]
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
        return parse_json(line)
    except ValueError:
        return None
