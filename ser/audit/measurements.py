"""Measurements of every utterance's audio, made by several processes and kept in the workspace.

The file `metadata/NAME.audio.jsonl` has one line for each utterance, appended as it is measured, so that a second audit
reads no audio. A line counts as long as its file has the size and the time of change that it had.
"""

import base64
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.audio.measure import Measured, measure
from ser.audio.reading import none_if_nan
from ser.audit.near_copies import find_copies
from ser.errors import CorpusError
from ser.metadata.copies import Copies
from ser.metadata.journal import Journal
from ser.metadata.table import Table
from ser.progress import progress
from ser.workers.processes import in_order
from ser.workers.threads import cores
from ser.workspace import Workspace

BATCH = 32  # utterances that a worker measures between two reports
FEW = 2 * BATCH  # not worth starting processes for
SCHEMA = "ser.audio/2"  # 2: with the faults scale and cancelling
Key = tuple[str, float | None, float | None, float | None]  # path, start, end, channel
State = tuple[int, int]  # bytes, time of change in ns


class MeasurementCache:
    """The measurements of one dataset's audio, in a file that is written when something is first added."""

    def __init__(self, path: Path) -> None:
        self._known: dict[Key, tuple[State, Measured]] = {}
        self._journal = Journal(path, {"schema": SCHEMA})
        for values in self._journal.entries:
            entry = _entry(values)
            if entry is not None:
                self._known[entry[0]] = entry[1:]
        self._journal.entries = []  # once is enough in memory

    def get(self, key: Key, state: State) -> Measured | None:
        """The measurement of a file in this state; None where there is none."""
        known = self._known.get(key)
        return known[1] if known is not None and known[0] == state else None

    def add(self, measured: list[tuple[Key, State, Measured]]) -> None:
        """Append lines; they are on the disk when this returns."""
        self._journal.append(_values(*item) for item in measured)
        self._known |= {key: (state, found) for key, state, found in measured}

    def tidy(self) -> None:
        """Write the file again where half of its lines are of files that have changed since."""
        if self._journal.lines > 2 * len(self._known):
            self._journal.rewrite(_values(key, *known) for key, known in self._known.items())


def _values(key: Key, state: State, found: Measured) -> list[Any]:
    words = base64.b64encode(found.words.astype("<u4").tobytes()).decode()
    numbers = [found.seconds, found.rate, found.peak, found.clipped]
    return [*key, *state, found.fault, *numbers, found.sha256, words]


def _entry(values: Any) -> tuple[Key, State, Measured] | None:
    """Read a line; None for one that is damaged, whose file is then measured again."""
    try:
        path, start, end, channel, size, changed, fault, seconds, rate, peak, clipped, sha256, words = values
        times = [None if t is None else float(t) for t in (start, end, channel)]
        numbers = [float(seconds), float(peak), float(clipped), *(t for t in times if t is not None)]
        if not all(map(math.isfinite, numbers)) or not all(isinstance(t, str) for t in (path, fault, sha256)):
            return None
        fingerprint = np.frombuffer(base64.b64decode(words), dtype="<u4").astype(np.uint32)
        found = Measured(fault, float(seconds), int(rate), float(peak), float(clipped), sha256, fingerprint)
        return (path, times[0], times[1], times[2]), (int(size), int(changed)), found
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(frozen=True, eq=False)
class Sound:
    """The audio of a table.

    Attributes:
        frame: the rows that have audio, in table order.
        measured: the measurements of each of them.
        copies: pairs with the same audio.
        fresh: the number that was measured now, and not taken from an earlier audit.
    """

    frame: pd.DataFrame
    measured: list[Measured]
    copies: Copies
    fresh: int


def measure_audio(table: Table, workspace: Workspace, jobs: int | None = None, quiet: bool = False) -> Sound | None:
    """Measure all audio of a table; None where it has none.

    Args:
        jobs: worker processes; None is one for each core.

    Raises:
        CorpusError: the corpus folder is gone.
    """
    frame = table.frame[table.frame["path"] != ""].reset_index(drop=True)
    if frame.empty:
        return None
    if not table.root.is_dir():
        raise CorpusError(
            f"the audio of {table.dataset} is gone: there is no folder {table.root}",
            action="Say with --root where the corpus lies now, or leave the audio out with --no-audio.",
        )
    keys: list[Key] = [
        (path, none_if_nan(start), none_if_nan(end), none_if_nan(channel))
        for path, start, end, channel in zip(frame["path"], frame["start"], frame["end"], frame["channel"], strict=True)
    ]
    cache = MeasurementCache(workspace.table(table.dataset).with_name(f"{table.dataset}.audio.jsonl"))
    states = {path: _state(table.root / path) for path in dict.fromkeys(key[0] for key in keys)}
    wanted = [key for key in dict.fromkeys(keys) if (state := states[key[0]]) is not None and cache.get(key, state) is None]
    fresh = _measured(table.root, wanted, jobs or cores(), lambda found: cache.add(_with_states(found, states)))
    for _ in progress(fresh, len(wanted), "audio", "utterance", quiet):
        pass
    cache.tidy()
    measured = [_of(cache, key, states[key[0]]) for key in keys]
    return Sound(frame, measured, find_copies(list(frame["utterance_id"]), measured), len(wanted))


def _measured(
    root: Path, keys: Sequence[Key], jobs: int, keep: Callable[[list[tuple[Key, Measured]]], None]
) -> Iterator[Measured]:
    """Yield measurements as they come; each batch is kept before any of it is yielded."""
    batches = [keys[k : k + BATCH] for k in range(0, len(keys), BATCH)]
    units = [(root, batch) for batch in batches]
    if len(keys) <= FEW or jobs == 1:
        results: Iterator[list[Measured]] = (_batch(*unit) for unit in units)
    else:
        results = in_order(_batch, units, jobs, "ser audit")
    for batch, found in zip(batches, results, strict=True):
        keep(list(zip(batch, found, strict=True)))
        yield from found


def _batch(root: Path, keys: Sequence[Key]) -> list[Measured]:
    return [measure(root / path, start, end, channel) for path, start, end, channel in keys]


def _state(path: Path) -> State | None:
    """The size and the time of change of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _with_states(found: list[tuple[Key, Measured]], states: dict[str, State | None]) -> list[tuple[Key, State, Measured]]:
    return [(key, state, one) for key, one in found if (state := states[key[0]]) is not None]


def _of(cache: MeasurementCache, key: Key, state: State | None) -> Measured:
    found = None if state is None else cache.get(key, state)
    return Measured("missing") if found is None else found
