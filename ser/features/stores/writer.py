"""Writing a feature store: immutable shards as the work goes on, one contiguous file in the table's order at the end.

A shard and the merged file are written aside, synchronised, and renamed: a kill at any time leaves every committed
utterance readable. Appending in place was measured to lose committed rows.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores.bulk_reading import batches, fill
from ser.features.stores.file import StoreFile, write_file
from ser.features.stores.layout import Damaged, Facts, Record, merged_provenance, pack, refuse_other, to_json
from ser.features.stores.lock import Lock
from ser.features.stores.store import FeatureStore, shards_folder, store_files
from ser.files import JsonObject
from ser.metadata.parsing import few
from ser.workspace import sync, writing


class StoreWriter:
    """Adds utterances to a feature store. A context manager that holds the store's lock.

    Args:
        path: `features/<dataset>/<store>.h5`.
        facts: of the store; None takes those of the existing store.
        provenance: device, threads, versions, time of this run; JSON-able.
        shared: other processes write other utterances at the same time; such a writer does not merge.
        overwrite: start again; the first commit removes the old store.
        say: called with a line for each damaged file that is set aside.

    Attributes:
        stored: id -> SHA-256 of its source, of all that is committed and not damaged.

    Raises:
        StoreError: the store there is of another identity (the message names what differs), another process is
            writing it, or `facts` is None and there is none.
    """

    def __init__(
        self,
        path: Path,
        facts: Facts | None,
        *,
        provenance: JsonObject | None = None,
        shared: bool = False,
        overwrite: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.path, self._say, self._shared, self._fresh = path, say, shared, overwrite
        self._lock = Lock(path, shared, self._clean)
        try:
            self.stored: dict[str, bytes] = {}
            self._damaged: set[str] = set()
            found = None if overwrite else self._look()
            if facts is None:
                self.facts = found if found is not None else FeatureStore(path).facts
            else:
                self.facts = replace(facts, identity=json.loads(to_json(facts.identity)))
                if found is not None:
                    refuse_other(path, found, self.facts)
        except BaseException:
            self._lock.close()
            raise
        self.provenance = provenance or {}
        self._number = 1 + max((int(p.name[:6]) for p in store_files(path) if p != path), default=0)
        self._token = f"{os.getpid()}-{secrets.token_hex(3)}"  # process numbers repeat between containers

    def __enter__(self) -> "StoreWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def commit(self, records: Sequence[Record]) -> None:
        """Write one immutable shard; when this returns, it is on disk.

        Raises:
            StoreError: values of another shape or type than the store's, not finite, or an id twice.
            OSError: a full disk or the like. What was committed before is untouched.
        """
        if not records:
            return
        index, values = pack(records, self.facts)
        if self._fresh:
            self._remove(store_files(self.path))
            self._fresh = False
        folder = shards_folder(self.path)
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
            sync(folder.parent)
        with writing(folder / f"{self._number:06d}-{self._token}.h5") as temporary:
            write_file(temporary, self.facts, self.provenance, index, [values])
        self._number += 1
        self.stored.update({r.id: r.source for r in records})
        self._damaged -= set(index.ids)

    def check(self) -> list[str]:
        """Compare all that is stored with its check sums, and look for values that are not finite.

        Shards that hold damage are written again without it, the merged file by the next merge.

        Returns:
            Ids that were stored and no longer are.
        """
        before = set(self.stored)
        while store_files(self.path):
            try:
                with FeatureStore(self.path) as store:
                    self._damaged = {i for ids in store.faults() for i in ids}
                    at_fault = {store.file_of(i) for i in self._damaged} - {self.path}
            except Damaged as error:
                self._set_aside(error.path)
                continue
            for path in at_fault:
                self._set_aside(path)
            if not at_fault:
                break
        self._look()
        return sorted(before - set(self.stored))

    def merge(self, order: Sequence[str], again: bool = False) -> None:
        """Write everything into one contiguous file and remove the shards.

        Args:
            order: utterance ids, the table's. What is stored and not among them is dropped.
            again: write the file also where nothing has changed but the provenance.

        Raises:
            StoreError: this writer shares the store, bytes do not match their check sum, or nothing would be left.
            OSError: a full disk or the like. The shards are untouched.
        """
        if self._shared:
            raise StoreError(f"{self.path}: a writer of a part of the work does not merge", action="`ser store merge`.")
        files = store_files(self.path)
        if not files or self._fresh:
            return
        with FeatureStore(self.path) as store:
            keep = [i for i in order if i in store and i not in self._damaged]
            if not keep:
                raise StoreError(
                    f"none of the {len(store)} utterances of {self.path} is in the table",
                    action="Is it the right table? `ser extract --overwrite` starts the store again.",
                )
            if again or files != [self.path] or store.ids != keep:
                provenance = merged_provenance(store.provenances, self.provenance)
                with writing(self.path) as temporary:
                    values = (block.values for block in store.blocks(keep))
                    write_file(temporary, self.facts, provenance, store.index(keep), values)
        self._remove([f for f in files if f != self.path])
        self.stored = {i: self.stored[i] for i in keep}

    def _look(self) -> Facts | None:
        """Read the store, and set aside files that cannot be read."""
        self.stored = {}
        while store_files(self.path):
            try:
                with FeatureStore(self.path) as store:
                    self.stored = {i: s for i, s in store.sources().items() if i not in self._damaged}
                    return store.facts
            except Damaged as error:
                self._set_aside(error.path)
        return None

    def _set_aside(self, path: Path) -> None:
        aside = path.with_name(f"{path.name}.damaged")
        if path != self.path:
            aside = self.path.with_name(f"{self.path.stem}.{path.name}.damaged")
        with suppress(FileNotFoundError):  # another process of the same work was faster
            self._say(salvage(path, aside))

    def _clean(self) -> None:
        for folder, pattern in ((self.path.parent, f".{self.path.name}.*.tmp"), (shards_folder(self.path), ".*.tmp")):
            for left_over in folder.glob(pattern):
                left_over.unlink(missing_ok=True)

    def _remove(self, files: Sequence[Path]) -> None:
        for file in files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # not empty, or not there
            shards_folder(self.path).rmdir()


def salvage(path: Path, aside: Path) -> str:
    """Rename a damaged file, and write its sound utterances in its place.

    Returns:
        A line that names the file set aside and the utterances that are lost.

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
    what = f"{len(lost)} of its {len(sound)} utterances {verb} extracted again: {few(lost, 5)}"
    return f"{path} is damaged: set aside as {aside.name}; {what}"


def _blocks(file: StoreFile) -> Iterator[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The sound values of a file, some at a time, and which utterances they are of."""
    for first, last in batches(file.index.n_frames * file.row_bytes):
        begins = file.offsets[first : last + 1] - file.offsets[first]
        values = np.empty((int(begins[-1]), *file.tail), file.dtype)
        sound = fill(file, np.arange(first, last), values, begins[:-1])
        yield values[np.repeat(sound, np.diff(begins))], sound
