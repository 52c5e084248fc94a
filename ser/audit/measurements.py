"""Every utterance's audio measured, over processes, with what is known from an earlier audit."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ser.audio.measure import Measured, measure
from ser.audit.measurement_cache import Cache, Key, State
from ser.audit.near_copies import find_copies
from ser.errors import CorpusError
from ser.metadata.copies import Copies
from ser.metadata.table import Table
from ser.parallel import cores, in_order
from ser.progress import progress
from ser.workspace import Workspace

BATCH = 32  # utterances that a worker measures between two reports
FEW = 2 * BATCH  # not worth starting processes for


@dataclass(frozen=True, eq=False)
class Sound:
    """The audio of a table.

    Attributes:
        frame: the rows that have audio, in table order.
        measured: facts of each of them.
        copies: pairs with the same audio.
        fresh: how many were measured now, not taken from an earlier audit.
    """

    frame: pd.DataFrame
    measured: list[Measured]
    copies: Copies
    fresh: int


def listen(table: Table, workspace: Workspace, jobs: int | None = None, quiet: bool = False) -> Sound | None:
    """Measure all audio of a table; None where it has none.

    Args:
        jobs: worker processes; by default one a core.

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
        (path, _given(start), _given(end), _given(channel))
        for path, start, end, channel in zip(frame["path"], frame["start"], frame["end"], frame["channel"], strict=True)
    ]
    cache = Cache(workspace.table(table.dataset).with_name(f"{table.dataset}.audio.jsonl"))
    states = {path: _state(table.root / path) for path in dict.fromkeys(key[0] for key in keys)}
    wanted = [
        key for key in dict.fromkeys(keys) if (state := states[key[0]]) is not None and cache.get(key, state) is None
    ]
    fresh = _measured(table.root, wanted, jobs or cores(), lambda found: cache.add(_with_states(found, states)))
    for _ in progress(fresh, len(wanted), "audio", "utterance", quiet):
        pass
    cache.tidy()
    measured = [_of(cache, key, states[key[0]]) for key in keys]
    return Sound(frame, measured, find_copies(list(frame["utterance_id"]), measured), len(wanted))


def _measured(
    root: Path, keys: Sequence[Key], jobs: int, keep: Callable[[list[tuple[Key, Measured]]], None]
) -> Iterator[Measured]:
    """Measurements as they come; each batch is kept before any of it is given."""
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
    """Size and time of change of a file; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


def _with_states(
    found: list[tuple[Key, Measured]], states: dict[str, State | None]
) -> list[tuple[Key, State, Measured]]:
    return [(key, state, one) for key, one in found if (state := states[key[0]]) is not None]


def _of(cache: Cache, key: Key, state: State | None) -> Measured:
    found = None if state is None else cache.get(key, state)
    return Measured("missing") if found is None else found


def _given(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
