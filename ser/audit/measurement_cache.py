"""Measurements kept in the workspace, a line each, appended as they are made: a second audit reads no audio.

A line counts as long as its file has the size and the time of change that it had.
"""

import base64
from pathlib import Path
from typing import Any

import numpy as np

from ser.audio.measure import Measured
from ser.metadata.journal import Journal

SCHEMA = "ser.audio/1"
Key = tuple[str, float | None, float | None, float | None]  # path, start, end, channel
State = tuple[int, int]  # bytes, time of change in ns


class Cache:
    """Measurements of one dataset's audio.

    Args:
        path: the file; made when something is first added.
    """

    def __init__(self, path: Path) -> None:
        self._known: dict[Key, tuple[State, Measured]] = {}
        self._journal = Journal(path, {"schema": SCHEMA})
        for values in self._journal.entries:
            entry = _entry(values)
            if entry is not None:
                self._known[entry[0]] = entry[1:]
        self._journal.entries = []  # once is enough in memory

    def get(self, key: Key, state: State) -> Measured | None:
        """What was measured of a file in this state; None where nothing was."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] == state else None

    def add(self, measured: list[tuple[Key, State, Measured]]) -> None:
        """Append lines: they are there when this returns."""
        self._journal.append(_values(*item) for item in measured)
        self._known |= {key: (state, found) for key, state, found in measured}

    def tidy(self) -> None:
        """Write the file anew where half of its lines are of files that have changed since."""
        if self._journal.lines > 2 * len(self._known):
            self._journal.rewrite(_values(key, *known) for key, known in self._known.items())


def _values(key: Key, state: State, found: Measured) -> list[Any]:
    words = base64.b64encode(found.words.astype("<u4").tobytes()).decode()
    numbers = [found.seconds, found.rate, found.peak, found.clipped]
    return [*key, *state, found.fault, *numbers, found.sha256, words]


def _entry(values: Any) -> tuple[Key, State, Measured] | None:
    """A line's content; None for one that is damaged."""
    try:
        path, start, end, channel, size, changed, fault, seconds, rate, peak, clipped, sha256, words = values
        fingerprint = np.frombuffer(base64.b64decode(words), dtype="<u4").astype(np.uint32)
        found = Measured(fault, float(seconds), int(rate), float(peak), float(clipped), sha256, fingerprint)
        return (path, start, end, channel), (int(size), int(changed)), found
    except (ValueError, TypeError):
        return None
