"""Setting a damaged file of a store aside, and keeping what is sound of it under its name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.file import StoreFile, write_file
from ser.features.layout import some
from ser.features.ragged import batches, fill
from ser.workspace import writing


def salvage(path: Path, aside: Path) -> str:
    """Rename a damaged file, and write its sound utterances anew in its place.

    Returns:
        A line that says what was done and which utterances are lost.

    Raises:
        FileNotFoundError: another process of the same work was faster.
        OSError: a full disk or the like; the file is as it was.
    """
    try:
        file = StoreFile(path, torn=True)
    except StoreError:  # not even its index
        path.replace(aside)
        return f"{path} is damaged: set aside as {aside.name}; its utterances are extracted again"
    sound = np.concatenate([flags for _, flags in _blocks(file)])
    lost = [file.index.ids[row] for row in np.flatnonzero(~sound)]
    if sound.any():
        kept = file.index.take(np.flatnonzero(sound))
        with writing(path) as temporary:
            write_file(temporary, file.facts, file.provenance, kept, (values for values, _ in _blocks(file)))
            path.replace(aside)
    else:
        path.replace(aside)
    verb = "is" if len(lost) == 1 else "are"
    what = f"{len(lost)} of its {len(sound)} utterances {verb} extracted again: {some(lost)}"
    return f"{path} is damaged: set aside as {aside.name}; {what}"


def _blocks(file: StoreFile) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The sound values of a file, some at a time, and which utterances they are of."""
    for first, last in batches(file.index.n_frames * file.row_bytes):
        begins = file.offsets[first : last + 1] - file.offsets[first]
        values = np.empty((int(begins[-1]), *file.tail), file.dtype)
        sound = fill(file, np.arange(first, last), values, begins[:-1])
        yield values[np.repeat(sound, np.diff(begins))], sound
