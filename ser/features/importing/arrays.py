"""Files of features as arrays: tables, NPY, NPZ, an entry of a pickle, a folder of `UTTERANCE_ID.npy`."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.features.importing.columns import numbered
from ser.features.importing.feature_files import Content, FeatureFile
from ser.features.importing.pickles import read_pickle
from ser.features.importing.tables import open_table, read_table
from ser.features.label_leaks import IDENTITY, refuse_exported
from ser.metadata.parsing import few

PICKLES = (".pkl", ".pickle")


class Folder(Sequence[NDArray[Any]]):
    """Arrays of a folder, each read when it is asked for."""

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
        return _npy(self.files[index])


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
    arrays = source.path.is_dir() or source.path.suffix.lower() in (".npy", ".npz", *PICKLES)
    if columns and arrays:
        raise ConfigError(f"--columns, and {source.name} is no table", expected="CSV, TSV or Parquet")
    if not arrays:
        return read_table(source, id_column, label, columns)
    if source.path.is_dir():
        files = sorted(source.path.glob("*.npy"))
        if not files:
            raise CorpusError(f"there is no .npy file in {source.path}", expected="UTTERANCE_ID.npy for each utterance")
        return Content(Folder(files), [f.stem for f in files])
    return _split(array(source), source, label)


def array(source: FeatureFile) -> Any:
    """The array that a source names: `(n, D)`, `(n, frames, D)`, texts, or a list; a table of one column as `(n,)`.

    Raises:
        CorpusError: it cannot be read, or there is no such entry.
        ConfigError: it holds several and none is named.
    """
    suffix = source.path.suffix.lower()
    if suffix == ".npy":
        return _npy(source.path)
    if suffix == ".npz":
        return _npz(source)
    if suffix in PICKLES:
        return _entry(pickled(source.path), source)
    table = open_table(source.path)
    if len(table.names) != 1:
        raise CorpusError(f"{source.path} is of several columns", expected="one", found=len(table.names))
    return table.read(table.names).iloc[:, 0].to_numpy()


def pickled(path: Path) -> Any:
    """What a pickle holds, kept while its entries are asked for one after another."""
    state = path.stat()
    return _pickled(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _pickled(path: Path, *_: int) -> Any:
    return read_pickle(path)


def _npy(path: Path) -> NDArray[Any]:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise CorpusError(f"cannot read {path}", expected="an array of numbers or texts, as np.save writes it",
                          found=error) from None  # fmt: skip


def _npz(source: FeatureFile) -> Any:
    try:
        with np.load(source.path, allow_pickle=False) as archive:
            names = list(archive)
            refuse_exported(source.name, archive[IDENTITY] if IDENTITY in names else None)
            key = source.key or ("features" if "features" in names else names[0] if len(names) == 1 else "")
            if key not in names:
                raise ConfigError(
                    f"{source.name}: " + ("there is no such array" if source.key else "which of its arrays?"),
                    expected=f"FILE.npz:KEY, KEY one of {', '.join(names)}",
                )
            if key == "features" and "offsets" in names:  # as `ser store export` writes frames
                return np.split(archive[key], archive["offsets"][1:-1])
            return archive[key]
    except (ValueError, EOFError, OSError) as error:
        raise CorpusError(f"cannot read {source.name}", expected="arrays of numbers or texts, as np.savez writes them",
                          found=error) from None  # fmt: skip


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
    """Ids that lie beside, as `ser store export` writes them, and a column of labels."""
    ids = None
    if source.path.suffix.lower() == ".npz" and source.key in ("", "features"):
        with np.load(source.path, allow_pickle=False) as archive:
            ids = [str(i) for i in archive["ids"]] if "ids" in archive else None
    if isinstance(values, list):
        values = [np.asarray(v) for v in values]
        return Content(values, ids)
    values = np.asarray(values)
    _refuse_texts(values, source)
    if label is None or values.ndim != 2:
        return Content(values, ids)
    column = numbered(label, values.shape[1], source.name)
    return Content(np.delete(values, column, axis=1), ids, values[:, column].tolist())


def _refuse_texts(values: NDArray[Any], source: FeatureFile) -> None:
    if values.dtype.kind not in "biuf" or values.ndim < 2:
        raise CorpusError(
            f"{source.name} holds no features",
            expected="an array (utterances, features), or with frames or turns between",
            found=f"{values.dtype} {values.shape}",
        )
