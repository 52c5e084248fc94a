"""Files of features as arrays: tables, NPY, NPZ, an entry of a pickle, a folder of `UTTERANCE_ID.npy`."""

import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.importing.columns import numbered, of_words
from ser.features.importing.feature_files import MAX_RATIO, MAX_UNPACKED, Beside, Content, FeatureFile
from ser.features.importing.pickles import read_pickle
from ser.features.importing.tables import open_table, read_table
from ser.features.label_leaks import IDENTITY, refuse_exported
from ser.files import open_regular, why_damaged
from ser.metadata.column_names import choose
from ser.metadata.labels import from_word
from ser.metadata.parsing import few, read_text

PICKLES = (".pkl", ".pickle")
ARRAYS = (".npy", ".npz", *PICKLES)
LISTS = (".txt", ".lengths", ".emo", ".lst", ".list")  # one line for each utterance
TABLES = (".csv", ".tsv", ".tab", ".parquet", ".pq", ".gz", ".bz2", ".xz", ".arff")


def read(
    source: FeatureFile, id_column: str | None = None, label: str | None = None, columns: Sequence[str] | None = None
) -> Content:
    """Read features with what the file says of their utterances.

    Args:
        id_column, label: name of a column, or its number (from 0; from -1 backwards).
        columns: those that are features, of a table: names, numbers, or FIRST:LAST; None takes all that may be.

    Raises:
        CorpusError: it cannot be read, or is not of numbers.
        ConfigError: it holds several arrays and none is named, or there is no such column.
    """
    arrays = source.path.is_dir() or source.path.suffix.lower() in ARRAYS
    if columns and arrays:
        raise ConfigError(f"--columns, and {source.name} is not a table", expected="CSV, TSV or Parquet")
    if not arrays:
        return read_table(source, id_column, label, columns)
    if source.path.is_dir():
        files = sorted(f for f in source.path.glob("*.npy") if not f.name.startswith("."))
        if not files:
            raise CorpusError(f"there is no .npy file in {source.path}", expected="UTTERANCE_ID.npy for each utterance")
        return Content(Folder(files), [f.stem for f in files])
    return _split(array(source), source, label)


def array(source: FeatureFile) -> Any:
    """Read the array that a source names: `(n, D)`, `(n, frames, D)`, texts, or a list.

    Raises:
        CorpusError: it cannot be read, or there is no such entry.
        ConfigError: it holds several and none is named.
    """
    suffix = source.path.suffix.lower()
    if suffix == ".npy":
        return read_npy(source.path)
    if suffix == ".npz":
        return _npz(source)
    return _entry(pickled(source.path), source)


def read_facts(source: FeatureFile) -> Beside:
    """Read labels, ids, lengths or speakers: an array, a list in a text file, or a table.

    A table of several columns has one of ids, as has a list whose lines are an id and a value (`train.emo`, `utt2spk`).

    Raises:
        CorpusError: it cannot be read, or a table has no such column.
        ConfigError: it holds several arrays and none is named.
    """
    suffix = source.path.suffix.lower()
    if suffix in ARRAYS:
        return Beside(source, array(source))
    if suffix in LISTS or suffix not in TABLES:
        return _listed(source)
    table = open_table(source.path)
    if len(table.names) == 1:
        return Beside(source, table.read(table.names).iloc[:, 0].to_numpy())
    known = choose(table.names)[0] if table.header else {}
    ids, column = _columns_of_facts(source, table.names, known, table.header)
    words = known.get("emotion") if source.what == "labels" else None
    frame = table.read([name for name in (ids, column, words) if name is not None])
    labels = frame[column].tolist()
    return Beside(source, labels if words is None else of_words(labels, frame[words].tolist()), frame[ids].tolist())


def _listed(source: FeatureFile) -> Beside:
    lines = read_text(source.path).rstrip().splitlines()
    for fields in ([line.split("\t") for line in lines], [line.split() for line in lines]):
        pairs = [(f[0].strip(), f[1].strip()) for f in fields if len(f) == 2]
        ids = [i for i, _ in pairs]
        labels = all(from_word(value) != "other" for _, value in pairs)  # else two words may be one label
        if len(lines) > 1 and len(pairs) == len(lines) and (labels or len(set(ids)) == len(ids)):
            return Beside(source, [value for _, value in pairs], ids)
    return Beside(source, [line.strip() for line in lines])


def _columns_of_facts(source: FeatureFile, names: Sequence[str], known: Mapping[str, str], header: bool) -> tuple[str, str]:
    """Columns of ids and of what a source is to hold, of a table of several columns."""
    if not names:
        raise CorpusError(f"{source.name} is empty", expected=source.what)
    ids = known.get("utterance_id") or ("" if "" in names else None if header else names[0])
    wanted = {"labels": ("label", "emotion"), "speakers": ("speaker",), "ids": ("utterance_id",), "lengths": ()}
    column = next((known[name] for name in wanted[source.what] if name in known), None)
    others = [name for name in names if name != ids]
    column = column or next((n for n in others if n.lower() in ("lengths", "length", "frames", "n_frames")), None)
    column = column or (others[0] if len(others) == 1 else None)
    if ids is None or column is None:
        raise CorpusError(
            f"{source.name}: which of its columns are ids and {source.what}?",
            expected=f"columns utterance_id and {source.what.removesuffix('s')}",
            found=few(map(repr, names)),
        )
    return ids, column


def pickled(path: Path) -> Any:
    """Read a pickle; it is kept while its entries are used one after another."""
    state = path.stat()
    return _pickled(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _pickled(path: Path, *_: int) -> Any:
    return read_pickle(path)


def _npz(source: FeatureFile) -> Any:
    with open_npz(source.path) as archive:
        names = archive.names
        refuse_exported(source.name, archive.read(IDENTITY) if IDENTITY in names else None)
        key = source.key or ("features" if "features" in names else names[0] if len(names) == 1 else "")
        if not names:
            raise ConfigError(f"{source.name} holds no arrays", expected="an archive that np.savez wrote")
        if key not in names:
            raise ConfigError(
                f"{source.name}: " + ("there is no such array" if source.key else "which of its arrays?"),
                expected=f"FILE.npz:KEY, KEY one of {', '.join(names)}",
            )
        values = archive.read(key)
        if key == "features" and "offsets" in names:  # as `ser store export` writes frames
            return _at_offsets(values, archive.read("offsets"), source)
        return values


def _at_offsets(values: NDArray[Any], offsets: NDArray[Any], source: FeatureFile) -> list[NDArray[Any]]:
    """Frames of several utterances, one after another, as one array for each."""
    fits = offsets.ndim == 1 and offsets.dtype.kind in "iu" and len(offsets) > 0 and values.ndim == 2
    if not fits or offsets[0] != 0 or offsets[-1] != len(values) or (np.diff(offsets.astype(np.int64)) < 0).any():
        raise CorpusError(
            f"{source.name}: offsets that do not fit the features",
            expected=f"whole numbers from 0 to {len(values)}, none less than the one before",
        )
    return np.split(values, offsets[1:-1])


def _entry(value: Any, source: FeatureFile) -> Any:
    """Follow `train/vision` through dicts, lists and tuples."""
    for step in source.key.split("/") if source.key else ():
        keys = {str(k): k for k in value} if isinstance(value, dict) else {}
        if step in keys:
            value = value[keys[step]]
        elif isinstance(value, (list, tuple)) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            there = few(keys) if keys else f"{type(value).__name__} of {len(value) if hasattr(value, '__len__') else 1}"
            raise ConfigError(f"{source.name}: there is no entry {step!r}", found=there)
    if isinstance(value, (dict, set)):
        raise ConfigError(f"{source.name}: which entry?", expected=f"FILE:KEY, KEY one of {few(map(str, value), 30)}")
    return value


def _split(values: Any, source: FeatureFile, label: str | None) -> Content:
    """Separate ids that lie beside, as `ser store export` writes them, and a column of labels."""
    ids = _ids_beside(source)
    if ids is not None and (len(ids) != len(values) or len(set(ids)) < len(ids)):
        raise CorpusError(
            f"{source.name}: ids that do not fit the features",
            expected=f"{len(values)} of them, each once",
            found=f"{len(ids)}, {len(set(ids))} different ones",
        )
    if isinstance(values, list):
        values = [np.asarray(v) for v in values]
        return Content(values, ids)
    values = np.asarray(values)
    _refuse_texts(values, source)
    if label is None or values.ndim != 2:
        return Content(values, ids)
    column = numbered(label, values.shape[1], source.name)
    return Content(np.delete(values, column, axis=1), ids, values[:, column].tolist())


def _ids_beside(source: FeatureFile) -> list[str] | None:
    if source.path.suffix.lower() != ".npz" or source.key not in ("", "features"):
        return None
    with open_npz(source.path) as archive:
        if "ids" not in archive.names:
            return None
        ids = archive.read("ids")
    if ids.ndim != 1:
        raise CorpusError(f"{source.name}: ids of shape {ids.shape}", expected="one for each utterance")
    return [i.decode("utf-8", "replace") if isinstance(i, bytes) else str(i) for i in ids.tolist()]


def _refuse_texts(values: NDArray[Any], source: FeatureFile) -> None:
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise CorpusError(
            f"{source.name} holds no features",
            expected="an array (utterances, features), or with frames or turns between",
            found=f"{values.dtype} {values.shape}",
        )


_NPY, _NPZ = "an array of numbers or texts, as np.save writes it", "arrays of numbers or texts, as np.savez writes them"


class Folder(Sequence[NDArray[Any]]):
    """Arrays of a folder of NPY files, each read when it is used."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "Folder": ...
    def __getitem__(self, index: int | slice) -> "NDArray[Any] | Folder":
        if isinstance(index, slice):
            return Folder(self.files[index])
        return read_npy(self.files[index])


def read_npy(path: Path) -> NDArray[Any]:
    """Read an NPY file.

    Raises:
        CorpusError: it cannot be read, holds objects, or has not as many bytes as it declares.
    """
    try:
        with open_regular(path) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            return _array(file, size)
    except (ValueError, EOFError, OSError, MemoryError) as error:
        raise CorpusError(f"cannot read {path}", expected=_NPY, found=why_damaged(path, error)) from None


class Archive:
    """The arrays of an open NPZ file.

    Attributes:
        names: of the arrays.
    """

    def __init__(self, archive: zipfile.ZipFile, size: int) -> None:
        self._archive, self._size = archive, size
        self._entries = {e.filename.removesuffix(".npy"): e for e in archive.infolist() if e.filename.endswith(".npy")}
        self.names = list(self._entries)

    def read(self, name: str) -> NDArray[Any]:
        """Read an array.

        Raises:
            ValueError, EOFError, OSError, zipfile.BadZipFile: it is damaged, holds objects, or unpacks to too much.
        """
        entry = self._entries[name]
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is compressed in a way that np.savez_compressed does not use")
        most = max(MAX_UNPACKED, MAX_RATIO * self._size)
        if entry.compress_type != zipfile.ZIP_STORED and entry.file_size > most:
            raise ValueError(
                f"{name} declares {entry.file_size} bytes in a file of {self._size}: {most} are read at most "
                "(np.savez, without compression, writes any)"
            )
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size > self._size:
            raise ValueError(f"{name} declares {entry.file_size} bytes in a file of {self._size}")
        with self._archive.open(entry) as file:
            return _array(file, entry.file_size)


@contextmanager
def open_npz(path: Path) -> Iterator[Archive]:
    """Open an NPZ file; errors within the block become a `CorpusError` that names the file."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            with zipfile.ZipFile(file) as archive:
                yield Archive(archive, size)
    except (ValueError, EOFError, OSError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise CorpusError(f"cannot read {path}", expected=_NPZ, found=why_damaged(path, error)) from None
    except Exception as error:
        if isinstance(error, CorpusError) or type(error).__module__.startswith("ser."):
            raise
        # zlib.error, struct.error and the like, of a damaged archive
        raise CorpusError(f"cannot read {path}", expected=_NPZ, found=why_damaged(path, error)) from None


def _array(file: IO[bytes], size: int) -> NDArray[Any]:
    """An array in NPY's format of `size` bytes, header included."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    if dtype.hasobject or dtype.kind not in "biufUS":
        raise ValueError(f"an array of type {dtype}")
    if not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of shape {shape}")
    count = math.prod(shape)
    begin = file.tell()
    if begin + count * dtype.itemsize != size:
        raise ValueError(f"an array of {count * dtype.itemsize} bytes in {size - begin}")
    content = file.read(count * dtype.itemsize)
    if len(content) < count * dtype.itemsize:
        raise ValueError("it is cut short")
    values: NDArray[Any] = np.frombuffer(content, dtype, count).reshape(shape, order="F" if fortran else "C")
    return values
