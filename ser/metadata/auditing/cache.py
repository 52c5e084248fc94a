"""Measurements kept in the workspace, a line each, appended as they are made: a second audit reads no audio.

A line counts as long as its file has the size and the time of change that it had. A killed audit leaves a last line cut
off, which is passed over; the next audit goes on behind it.
"""

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio.measure import Measured
from ser.workspace import writing

SCHEMA = "ser.audio/1"
Key = tuple[str, float | None, float | None, float | None]  # path, start, end, channel
State = tuple[int, int]  # bytes, time of change in ns


class Cache:
    """Measurements of one dataset's audio.

    Args:
        path: the file; made when something is first added.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known: dict[Key, tuple[State, Measured]] = {}
        self._lines = 0
        self._read()

    def get(self, key: Key, state: State) -> Measured | None:
        """What was measured of a file in this state; None where nothing was."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] == state else None

    def add(self, measured: list[tuple[Key, State, Measured]]) -> None:
        """Append lines: they are there when this returns."""
        new = not self._lines
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = [_line(*item) for item in measured]
        with self.path.open("w" if new else "a", encoding="utf-8") as handle:
            handle.write("".join([json.dumps({"schema": SCHEMA}) + "\n"] if new else []) + "".join(lines))
        self._known |= {key: (state, found) for key, state, found in measured}
        self._lines += len(lines)

    def tidy(self) -> None:
        """Write the file anew where half of its lines are of files that have changed since."""
        if self._lines > 2 * len(self._known):
            with writing(self.path) as temporary, temporary.open("w", encoding="utf-8") as handle:
                handle.write(json.dumps({"schema": SCHEMA}) + "\n")
                handle.writelines(_line(key, *known) for key, known in self._known.items())
            self._lines = len(self._known)

    def _read(self) -> None:
        if not self.path.is_file():
            return
        content = self.path.read_bytes()
        lines = content.splitlines(keepends=True)
        if not lines or not _of_this_schema(lines[0]):
            return
        for line in lines[1:]:
            entry = _entry(line)
            if entry is not None:
                self._known[entry[0]] = entry[1:]
        self._lines = len(lines) - 1 or 1
        if not content.endswith(b"\n"):  # cut off: what comes next must not be joined to it
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write("\n")


def _of_this_schema(line: bytes) -> bool:
    try:
        return bool(json.loads(line)["schema"] == SCHEMA)
    except (ValueError, KeyError, TypeError):
        return False


def _line(key: Key, state: State, found: Measured) -> str:
    words = base64.b64encode(found.words.astype("<u4").tobytes()).decode()
    numbers = [found.seconds, found.rate, found.peak, found.clipped]
    return json.dumps([*key, *state, found.fault, *numbers, found.sha256, words], ensure_ascii=False) + "\n"


def _entry(line: bytes) -> tuple[Key, State, Measured] | None:
    """A line's content; None for one that is damaged."""
    try:
        values: list[Any] = json.loads(line)
        path, start, end, channel, size, changed, fault, seconds, rate, peak, clipped, sha256, words = values
        fingerprint = np.frombuffer(base64.b64decode(words), dtype="<u4").astype(np.uint32)
        found = Measured(fault, float(seconds), int(rate), float(peak), float(clipped), sha256, fingerprint)
        return (path, start, end, channel), (int(size), int(changed)), found
    except (ValueError, TypeError):
        return None
