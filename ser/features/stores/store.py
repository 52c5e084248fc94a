"""Reading a feature store: the merged file and any shards beside it, joined by utterance id.

A row of a later shard wins over the same id in an earlier shard or in the merged file.
"""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ser.errors import StoreError
from ser.features.stores.bulk_reading import Ragged, batches, gather
from ser.features.stores.file import StoreFile
from ser.features.stores.layout import FRAME, DamagedRows, Index, concatenated
from ser.features.stores.names import options_of_name
from ser.files import JsonObject, sha256_of
from ser.metadata.parsing import few

if TYPE_CHECKING:
    import pandas as pd


class FeatureStore:
    """A feature store, for reading. A context manager; also closed when it is no longer used.

    Args:
        path: `features/<dataset>/<store>.h5`; shards are looked for beside it.

    Attributes:
        ids: utterance ids, in the order of the merged file.
        attrs: identity and provenance (parsed), schema, encoder, level, modality, dim, vocabulary, sample_rate.
        assets: texts kept with the features.

    Raises:
        StoreError: there is no such store, it is damaged, or its shards are of another encoder.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._files = _open_files(self.path)
        newest = self._files[-1]
        self.facts = newest.facts
        for file in self._files:
            if (file.facts, file.tail, file.dtype) != (self.facts, newest.tail, newest.dtype):
                raise StoreError(
                    f"{file.path} is of another encoder than {newest.path}",
                    action="Start the store again with `ser extract --overwrite`.",
                )
        self._index = concatenated([file.index for file in self._files])
        self._starts = np.cumsum([0, *(len(file.index.ids) for file in self._files)])  # of each file in the index
        self._rows = {utterance: row for row, utterance in enumerate(self._index.ids)}
        self.ids = list(self._rows)
        self.assets = self.facts.assets
        self.attrs: JsonObject = {k: v for k, v in vars(self.facts).items() if k != "assets"}
        self.attrs["provenance"] = newest.provenance

    level = property(lambda self: str(self.facts.level), doc="`utterance` or `frame`.")
    modality = property(lambda self: str(self.facts.modality), doc="`audio`, `text` or `visual`.")
    dim = property(lambda self: int(self.facts.dim), doc="Features in each vector.")
    vocabulary = property(lambda self: int(self.facts.vocabulary), doc="Number of ids; 0 for real-valued features.")
    dtype = property(lambda self: self._files[-1].dtype, doc="Of the values.")
    open_files = property(lambda self: tuple(self._files), doc="The files the store consists of, open.")
    files = property(lambda self: [file.path for file in self._files], doc="The files the store consists of.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one vector: `(D,)`, or `(L, D)` where layers are kept."""
        return tuple(self._files[-1].tail)

    def __repr__(self) -> str:
        """The content in one line."""
        facts, index = self.facts, self.index(self.ids)
        parts = [f"{len(self)} utterances", f"{facts.modality}, {facts.level} level"]
        parts.append(" x ".join(map(str, self.shape)) + f" {self.dtype}")
        if facts.sample_rate:
            parts.append(f"{facts.sample_rate} Hz, {index.n_samples.sum() / facts.sample_rate / 3600:.2f} h")
        if facts.level == FRAME:
            parts.append(f"{index.n_frames.sum()} frames")
        files = [file for file in self.files if file.exists()]
        shards = sum(file != self.path for file in files)
        merged = "merged" if not shards else f"{shards} shards to merge: ser store merge"
        where = f"{self.path.parent.name} {self.path.name.removesuffix('.h5')}"
        return f"{where}: {', '.join(parts)}, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, {merged}"

    def _repr_html_(self) -> str:
        import pandas as pd

        facts = pd.DataFrame(self.facts.identity.items()).to_html(header=False, index=False)
        return f"<p>{escape(repr(self))}</p>{facts}"

    def to_frame(self) -> "pd.DataFrame":
        """The features as a table: one row for each utterance, under its id, and the columns f0, f1, ...

        Raises:
            StoreError: the store has frames or several layers.
        """
        import pandas as pd

        if self.level == FRAME or len(self.shape) != 1:
            raise StoreError(
                f"{self.path} does not have one vector per utterance", action="Take each utterance: store[utterance_id]."
            )
        index = pd.Index(self.ids, name="utterance_id")
        names = [f"f{i}" for i in range(self.dim)]
        frame: pd.DataFrame = pd.DataFrame(self.read(self.ids), index=index, columns=names)
        return frame

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, utterance: object) -> bool:
        return utterance in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __getitem__(self, utterance: str) -> NDArray[Any]:
        """Features of one utterance: `(D,)` or `(L, D)`; framewise `(T, D)`.

        Raises:
            StoreError: it is not in the store, or its bytes are not those that were written.
        """
        values = self._sound([utterance]).values
        return values if self.level == FRAME else np.asarray(values[0])

    def read(self, ids: Sequence[str], dtype: DTypeLike | None = None) -> "NDArray[Any] | Ragged":
        """Read features of some utterances, in the order of the ids. Needs the memory of the result, and 64 MiB.

        Args:
            dtype: of the result; None: as they are stored. float16 becomes float32 a block at a time.

        Returns:
            Utterance level: `(n, D)` or `(n, L, D)`. Frame level: `Ragged`.

        Raises:
            StoreError: an id that is not in the store, or is given twice, or whose bytes are not those that were
                written; named.
        """
        if dtype is None or self.dtype == dtype:
            found = self._sound(ids)
        else:
            offsets = self.offsets(ids)
            found = Ragged(np.empty((int(offsets[-1]), *self.shape), dtype), offsets)
            begin = 0
            for block in self.blocks(ids):
                found.values[begin : begin + len(block.values)] = block.values
                begin += len(block.values)
        return found if self.level == FRAME else found.values

    def offsets(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Row of the values of `read` where each utterance begins, and the end: `(n + 1,)`."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self._index.n_frames[self._locate(ids)])])

    def blocks(self, ids: Sequence[str]) -> Iterator[Ragged]:
        """The features of some utterances, in that order, in blocks of a bounded size (16 MiB).

        Yields:
            Several utterances at once; at utterance level, each has one row.

        Raises:
            StoreError: as of `read`.
        """
        for part in self._batches(ids):
            yield self._sound(part)

    def _batches(self, ids: Sequence[str]) -> Iterator[Sequence[str]]:
        sizes = self._index.n_frames[self._locate(ids)] * self._files[-1].row_bytes
        return (ids[first:last] for first, last in batches(sizes))

    def _sound(self, ids: Sequence[str]) -> Ragged:
        found, sound = self._read(ids)
        if not sound.all():
            damaged = [ids[row] for row in np.flatnonzero(~sound).tolist()]
            raise DamagedRows(self.file_of(damaged[0]), damaged)
        return found

    def _read(self, ids: Sequence[str]) -> tuple[Ragged, NDArray[np.bool_]]:
        """Values of some utterances one after another, as they are on disk, and a flag for each that is as it was written."""
        offsets = self.offsets(ids)
        values = np.empty((int(offsets[-1]), *self.shape), self.dtype)
        return Ragged(values, offsets), gather(self._files, *self.places(ids), values, offsets)

    def places(self, ids: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The file of each of some utterances, by its number in `open_files`, and its number in that file; `(n,)` each."""
        rows = self._locate(ids)
        numbers = np.searchsorted(self._starts, rows, "right") - 1
        return numbers, rows - self._starts[numbers]

    def index(self, ids: Sequence[str]) -> Index:
        """Source hashes, lengths and check sums of some utterances, in the order of the ids."""
        return self._index.take(self._locate(ids))

    def sources(self) -> dict[str, bytes]:
        """SHA-256 of what each utterance's features were made of."""
        return dict(zip(self.ids, map(bytes, self.index(self.ids).sources), strict=True))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file; of the files' hashes where there are shards."""
        hashes = [sha256_of(file.path).hexdigest() for file in self._files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def verify(self) -> list[str]:
        """Ids of the utterances whose bytes are not those that were written.

        Raises:
            StoreError: a file is truncated.
        """
        return self.faults()[0]

    def faults(self) -> tuple[list[str], list[str]]:
        """Ids of the utterances whose bytes are not those that were written, and of those with values that are not finite.

        Raises:
            StoreError: a file is truncated.
        """
        changed: list[str] = []
        not_finite: list[str] = []
        for part in self._batches(self.ids):
            block, sound = self._read(part)
            for number, utterance in enumerate(part):
                if not sound[number]:
                    changed.append(utterance)
                elif not np.isfinite(block.values[block.offsets[number] : block.offsets[number + 1]]).all():
                    not_finite.append(utterance)
        return changed, not_finite

    def file_of(self, utterance: str) -> Path:
        """The file an utterance is read from."""
        (row,) = self._locate([utterance])
        return self._files[int(np.searchsorted(self._starts, row, "right")) - 1].path

    @property
    def provenances(self) -> list[JsonObject]:
        """The origin of the features, one entry for each run of extraction, older first."""
        return [file.provenance for file in self._files]

    def close(self) -> None:
        """Close the files; afterwards only the index can be read."""
        for file in self._files:
            file.close()

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _locate(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Rows of the index."""
        try:
            rows = np.fromiter(map(self._rows.__getitem__, ids), np.int64, len(ids))
        except KeyError:
            missing = [i for i in ids if i not in self._rows]
            raise StoreError(
                f"{self.path} lacks {len(missing)} of {len(ids)} utterances: {few(missing, 5)}",
                action="`ser extract` adds missing utterances.",
            ) from None
        ordered = np.sort(rows)  # `np.unique` would import `numpy.ma`, which takes longer than reading a small store
        if (ordered[1:] == ordered[:-1]).any():
            seen: set[str] = set()
            twice = [i for i in ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
            raise StoreError(f"{self.path}: utterances are to be read twice: {few(twice, 5)}", expected="each id once")
        return rows


def shards_folder(path: Path) -> Path:
    """Folder of the unmerged shards of a store."""
    return path.with_name(path.name.removesuffix(".h5") + ".shards")


def store_files(path: Path) -> list[Path]:
    """The files a store consists of, older first: the merged file, then the shards by number."""
    shards = sorted(shards_folder(path).glob("[0-9]*.h5"))
    return [path, *shards] if path.exists() else shards


def _open_files(path: Path) -> list[StoreFile]:
    for _ in range(10):
        # A merge may end between listing and opening: its shards are gone then, and the merged file is a new one.
        try:
            files = [StoreFile(p, keep=p == path) for p in store_files(path)]
        except FileNotFoundError:
            continue
        if not files:
            raise _absent(path)
        return files
    raise StoreError(f"{path} is being rewritten all the time", action="Wait for the `ser extract` that does so.")


def _absent(path: Path) -> StoreError:
    there = {p.stem for p in path.parent.glob("*.h5")} | {p.parent.stem for p in path.parent.glob("*.shards/*.h5")}
    name, dataset = path.name.removesuffix(".h5"), path.parent.name or "NAME"
    return StoreError(
        f"there is no feature store {path}",
        expected=f"one of those of {path.parent.name}: {', '.join(sorted(there))}" if there else None,
        action=f"Make it with: ser extract --dataset {dataset} --audio {options_of_name(name)} (or --text)",
    )
