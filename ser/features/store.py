"""Reading a feature store: the merged file and any shards beside it, joined by utterance id.

A row of a later shard wins over the same id in an earlier shard or in the merged file.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.file import StoreFile
from ser.features.layout import FRAME, Index, checksum
from ser.features.ragged import Ragged, batches, gather


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
                    action="Start the store afresh with `ser extract --overwrite`.",
                )
        self._rows = {i: (f, row) for f, file in enumerate(self._files) for row, i in enumerate(file.index.ids)}
        self.ids = list(self._rows)
        self.assets = self.facts.assets
        self.attrs: dict[str, Any] = {k: v for k, v in vars(self.facts).items() if k != "assets"}
        self.attrs["provenance"] = newest.provenance

    level = property(lambda self: str(self.facts.level), doc="`utterance` or `frame`.")
    modality = property(lambda self: str(self.facts.modality), doc="`audio` or `text`.")
    dim = property(lambda self: int(self.facts.dim), doc="Features a vector.")
    vocabulary = property(lambda self: int(self.facts.vocabulary), doc="Ids there are; 0 for real-valued features.")
    dtype = property(lambda self: self._files[-1].dtype, doc="Of the values.")
    files = property(lambda self: [file.path for file in self._files], doc="The files the store consists of.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one vector: `(D,)`, or `(L, D)` where layers are kept."""
        return tuple(self._files[-1].tail)

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
        ((file, row),) = self._locate([utterance])
        begin, end = self._files[file].offsets[row : row + 2]
        block = self._files[file].block(int(begin), int(end))
        self._refuse_damage(utterance, block, self._files[file].index.crc32[row])
        return block if self.level == FRAME else np.asarray(block[0])

    def read(self, ids: Sequence[str]) -> "NDArray[Any] | Ragged":
        """Features of some utterances, in the order asked for.

        Returns:
            Utterance level: `(n, D)` or `(n, L, D)`. Frame level: `Ragged`.

        Raises:
            StoreError: an id that is not in the store, or is asked for twice, or whose bytes are not those that were
                written; named.
        """
        found = self._read(ids)
        for row, crc in enumerate(self.index(ids).crc32):
            self._refuse_damage(ids[row], found.values[found.offsets[row] : found.offsets[row + 1]], crc)
        return found if self.level == FRAME else found.values

    def _read(self, ids: Sequence[str]) -> Ragged:
        """Values of some utterances one after another, as they are on disk."""
        where = np.array(self._locate(ids), dtype=np.int64).reshape(-1, 2)
        lengths = self._column("n_frames", where)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        values = np.empty((int(offsets[-1]), *self._files[-1].tail), self.dtype)
        for number, file in enumerate(self._files):
            chosen = np.flatnonzero(where[:, 0] == number)
            if len(chosen):
                gather(file, where[chosen, 1], values, offsets[chosen])
        return Ragged(values, offsets)

    def index(self, ids: Sequence[str]) -> Index:
        """Source hashes, lengths and check sums of some utterances, in the order asked for."""
        where = np.array(self._locate(ids), dtype=np.int64).reshape(-1, 2)
        columns = (self._column(name, where) for name in ("sources", "n_samples", "n_frames", "crc32"))
        return Index(list(ids), *columns)

    def sources(self) -> dict[str, bytes]:
        """SHA-256 of what each utterance's features were made of."""
        return dict(zip(self.ids, map(bytes, self.index(self.ids).sources), strict=True))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file; of the files' hashes where there are shards."""
        hashes = [_sha256(file.path) for file in self._files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()

    def verify(self) -> list[str]:
        """Ids of the utterances whose bytes are not those that were written.

        Raises:
            StoreError: a file is truncated.
        """
        return [utterance for utterance, _, sound in self.checked(self.ids) if not sound]

    def checked(self, ids: Sequence[str]) -> Iterator[tuple[str, NDArray[Any], bool]]:
        """Each utterance's id, rows of values, and whether they match their check sum; a block is read at a time."""
        known = self.index(ids)
        for first, last in batches(known.n_frames * self.row_bytes):
            found = self._read(ids[first:last])
            for row, utterance in enumerate(ids[first:last]):
                part = found.values[found.offsets[row] : found.offsets[row + 1]]
                yield utterance, part, checksum(part) == known.crc32[first + row]

    def file_of(self, utterance: str) -> Path:
        """The file an utterance is read from."""
        return self._files[self._locate([utterance])[0][0]].path

    @property
    def provenances(self) -> list[dict[str, Any]]:
        """Where the features came from, a run each, older first."""
        return [file.provenance for file in self._files]

    def close(self) -> None:
        """Close the files; only the index can be asked for afterwards."""
        for file in self._files:
            file.close()

    def __enter__(self) -> "FeatureStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of values: of an utterance, or of a frame."""
        return int(np.prod(self._files[-1].tail, dtype=np.int64) * self._files[-1].dtype.itemsize)

    def _refuse_damage(self, utterance: str, values: NDArray[Any], crc: int) -> None:
        if checksum(values) != crc:
            raise StoreError(
                f"the feature store {self.file_of(utterance)} is damaged",
                expected=f"the features of {utterance} as they were written",
                found="others, by their check sum",
                action="`ser store verify --repair` drops what is damaged; `ser extract` then makes it again.",
            )

    def _column(self, name: str, where: NDArray[np.int64]) -> NDArray[Any]:
        columns = [getattr(file.index, name) for file in self._files]
        result = np.empty((len(where), *columns[-1].shape[1:]), columns[-1].dtype)
        for number, column in enumerate(columns):
            chosen = where[:, 0] == number
            result[chosen] = column[where[chosen, 1]]
        return result

    def _locate(self, ids: Sequence[str]) -> list[tuple[int, int]]:
        missing = [i for i in ids if i not in self._rows]
        if missing:
            raise StoreError(
                f"{self.path} lacks {len(missing)} of the {len(ids)} utterances asked for: {_some(missing)}",
                action="`ser extract` adds what is missing.",
            )
        if len(set(ids)) < len(ids):
            seen: set[str] = set()
            twice = [i for i in ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
            raise StoreError(
                f"{self.path}: asked for the same utterance twice: {_some(twice)}", expected="each id once"
            )
        return [self._rows[i] for i in ids]


def shards_folder(path: Path) -> Path:
    """Where the unmerged shards of a store lie."""
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
    name = path.name.removesuffix(".h5")
    return StoreError(
        f"there is no feature store {path}",
        expected=f"one of those of {path.parent.name}: {', '.join(sorted(there))}" if there else None,
        action=f"Make it with: ser extract --dataset {path.parent.name} --audio {name} (or --text {name})",
    )


def _some(ids: Iterable[str], most: int = 5) -> str:
    listed = list(ids)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


__all__ = ["FeatureStore", "Ragged", "shards_folder", "store_files"]
