"""One file of a feature store, written and read; its layout is described in `layout`."""

import errno
import os
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores.hdf5_streams import Padded, Sink
from ser.features.stores.layout import (
    ARRAYS,
    DTYPES,
    FRAME,
    SCHEMA,
    VALUES,
    Damaged,
    Facts,
    Index,
    Malformed,
    arrays_of,
    check_store_facts,
    checked_index,
    index_checksum,
    to_json,
)
from ser.files import JsonObject, open_regular, parse_json, why_damaged

ASSETS = "assets/"
_FORMAT = ("v108", "v108")  # HDF5 1.8: the first format whose own structures have check sums


def write_file(path: Path, facts: Facts, provenance: JsonObject, index: Index, blocks: Iterable[NDArray[Any]]) -> None:
    """Write a whole file.

    Args:
        path: where; the caller renames it.
        blocks: the values in the index's order, `(rows, ...)` each, in as many blocks as is convenient.

    Raises:
        OSError: a full disk or the like, without a name: `path` is a temporary one.
        KeyboardInterrupt: when HDF5 has let go of the file.
    """
    sink = Sink(path)
    try:
        # The data lie on disk when the caller has called fsync: the `with` flushes and closes, the sink is unbuffered.
        with sink.keeping_interrupts(), h5py.File(sink, "w", libver=_FORMAT) as file:
            _write_index(file, facts, provenance, index)
            _write_values(file, VALUES[facts.level], int(index.n_frames.sum()), blocks, sink)
    finally:
        sink.close()
    if sink.error is not None:
        raise OSError(sink.error.errno, sink.error.strerror)


def _write_index(file: h5py.File, facts: Facts, provenance: JsonObject, index: Index) -> None:
    attributes = {**asdict(facts), "identity": to_json(facts.identity), "provenance": to_json(provenance), "schema": SCHEMA}
    assets = attributes.pop("assets")
    arrays = arrays_of(index)
    for name, value in attributes.items():
        if isinstance(value, str):
            # Of fixed length: those of variable length lie in a heap without check sums, and HDF5 was seen to loop
            # for ever over one with a flipped bit.
            file.attrs.create(name, value.encode(), dtype=_fixed(value.encode()))
        else:
            file.attrs[name] = value
    for name, array in arrays.items():
        file[name] = array
    for name, text in assets.items():
        file.create_dataset(f"assets/{name}", data=text.encode(), dtype=_fixed(text.encode()))
    if facts.level == FRAME:
        file["offsets"] = index.offsets
    file.attrs["index_crc32"] = index_checksum(attributes, assets, arrays)


def _fixed(content: bytes) -> np.dtype[Any]:
    return cast("np.dtype[Any]", h5py.string_dtype("utf-8", max(1, len(content))))


def _write_values(file: h5py.File, name: str, rows: int, blocks: Iterable[NDArray[Any]], sink: "Sink") -> None:
    dataset, begin = None, 0
    for block in blocks:
        if dataset is None:
            dataset = file.create_dataset(name, (rows, *block.shape[1:]), block.dtype)
            file.flush()  # all else lies before the values: of a truncated file, those that are left can be read
        dataset[begin : begin + len(block)] = block
        begin += len(block)
        if sink.stopped:
            return
    assert begin == rows, f"{rows} rows announced, {begin} given"


class StoreFile:
    """One file, for reading: its index in memory, its values on disk.

    HDF5 reads the index, and says where the values begin. They lie there as one run of bytes, in the memory's own form,
    so they are read by the operating system straight to where they are wanted: without HDF5's buffers and its one lock.

    Args:
        path: the file.
        keep: keep it open (the merged file). Shards, of which there may be thousands, are opened as they are read.
        torn: take what there is of a truncated file whose index is whole; the values that lack are not sound.

    Raises:
        Damaged: it is truncated, or its index has changed since it was written.
        Malformed: it is whole, and not what `ser` writes: a link to another file, a wrong dim, ids twice.
        StoreError: it is not a feature store of this schema.
        OSError: it is not there, may not be read, or is not a regular file.
    """

    def __init__(self, path: Path, keep: bool = False, torn: bool = False) -> None:
        self.path = path
        self._kept: int | None = None
        with _open(path, torn) as file:
            try:
                self._load(file, torn)
            except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, OSError) as error:
                raise judged(path, error) from None
            if keep:
                # The same open file, whatever becomes of the name: a merge may replace it.
                self._kept = os.dup(file.id.get_vfd_handle())
                self._release = weakref.finalize(self, os.close, self._kept)

    def _load(self, file: h5py.File, torn: bool) -> None:
        own = file.attrs  # made anew each time that it is asked for
        attributes = {name: _attribute(own, name, self.path) for name in own}
        if attributes.get("schema") != SCHEMA:
            raise StoreError(f"{self.path} is not a feature store", expected=SCHEMA, found=attributes.get("schema"))
        datasets = self._datasets(file)
        size = self.path.stat().st_size
        for name, dataset in datasets.items():
            self._refuse_elsewhere(name, dataset, None if torn and name in VALUES.values() else size)
        crc = attributes.pop("index_crc32")
        assets = {n.removeprefix(ASSETS): d[()].decode() for n, d in datasets.items() if n.startswith(ASSETS)}
        arrays = {name: datasets[name][:] for name in ("utt_id", *ARRAYS)}
        if index_checksum(attributes, assets, arrays) != crc:
            raise ValueError("an index that does not match its check sum")
        try:  # from here on nothing is damaged by chance
            self._take(attributes, assets, arrays, datasets)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise Malformed(self.path, error) from None

    def _take(
        self, attributes: JsonObject, assets: dict[str, str], arrays: dict[str, NDArray[Any]], datasets: dict[str, h5py.Dataset]
    ) -> None:
        """Keep what the file holds, checked."""
        del attributes["schema"]
        provenance, identity = (parse_json(attributes.pop(name)) for name in ("provenance", "identity"))
        if not isinstance(provenance, dict):
            raise ValueError("a provenance that is not a JSON object")
        self.provenance: JsonObject = provenance
        self.facts = check_store_facts(attributes, identity, assets)
        self.index = checked_index(arrays, self.facts.level)
        self.offsets, self.crc32 = self.index.offsets, self.index.crc32
        values = datasets[VALUES[self.facts.level]]
        self.tail, self.dtype, self.begin = values.shape[1:], values.dtype, values.id.get_offset() or 0
        if self.dtype.newbyteorder("=") != self.dtype:
            raise ValueError("values in the byte order of another machine")
        if self.dtype.name not in DTYPES[self.facts.level]:
            raise ValueError(f"values of type {self.dtype}")
        if len(self.tail) not in ((1,) if self.facts.level == FRAME else (1, 2)) or self.tail[-1] != self.facts.dim:
            raise ValueError(f"vectors of shape {self.tail} where dim is {self.facts.dim}")
        if len(values) != self.offsets[-1]:
            raise ValueError(f"{len(values)} rows of values where the index has {self.offsets[-1]}")

    def _datasets(self, file: h5py.File) -> dict[str, h5py.Dataset]:
        """The file's own datasets by name. A link to another file is not followed."""
        found: dict[str, h5py.Dataset] = {}
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise Malformed(self.path, f"a link to elsewhere, {name}")
            item = file[name]
            if f"{name}/" == ASSETS and isinstance(item, h5py.Group):
                if not all(isinstance(item.get(asset, getlink=True), h5py.HardLink) for asset in item):
                    raise Malformed(self.path, "an asset that is a link to elsewhere")
                found |= {ASSETS + asset: item[asset] for asset in item}
            else:
                found[name] = item
        wrong = next((name for name, item in found.items() if not isinstance(item, h5py.Dataset)), None)
        if wrong is not None:
            raise Malformed(self.path, f"{wrong}, which is not an array")
        return found

    def _refuse_elsewhere(self, name: str, dataset: h5py.Dataset, size: int | None) -> None:
        """Refuse an array whose bytes do not all lie in the file, as many as it declares; `size` is the file's."""
        if dataset.external or dataset.is_virtual:
            raise Malformed(self.path, f"{name}, whose values lie in another file")
        if dataset.dtype.hasobject:
            raise Malformed(self.path, f"{name} of variable length")
        if not dataset.nbytes:
            return
        begin, stored = dataset.id.get_offset(), dataset.id.get_storage_size()
        if begin is None and (dataset.chunks is not None or stored == dataset.nbytes):
            raise StoreError(
                f"{name} of {self.path} is not in one piece",
                expected="a file as `ser extract` writes it, neither chunked nor compressed",
            )
        if begin is None or stored != dataset.nbytes:
            raise Malformed(self.path, f"{name}, which declares {dataset.nbytes} bytes and has {stored}")
        if size is not None and begin + dataset.nbytes > size:
            raise Damaged(self.path, f"{name} of {dataset.nbytes} bytes in a file of {size}")

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of values: of an utterance, or of a frame."""
        return int(np.prod(self.tail, dtype=np.int64) * self.dtype.itemsize)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Yield the file's number for the operating system; the values begin at byte `begin`."""
        if self._kept is not None:
            yield self._kept
            return
        try:
            handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        except FileNotFoundError:
            raise StoreError(f"{self.path} was merged while it was read", action="Open the store again.") from None
        try:
            yield handle
        finally:
            os.close(handle)

    def close(self) -> None:
        if self._kept is not None:
            self._kept = None
            self._release()


def _open(path: Path, torn: bool) -> h5py.File:
    open_regular(path).close()  # a file that is not there or may not be read is not a damaged one
    try:
        if torn:
            return h5py.File(Padded(path), "r")
        return h5py.File(path, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        raise judged(path, error) from None


def judged(path: Path, error: Exception) -> Exception:
    """Say what an error of reading means. Only a damaged file may be set aside."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EIO):
        return error
    if any(word in str(error) for word in ("lock file", "file locking", "already open")):
        return StoreError(f"the feature store {path} is in use elsewhere", action="Close it there.")
    return Damaged(path, why_damaged(path, error))


def _attribute(attributes: h5py.AttributeManager, name: str, path: Path) -> Any:
    """An attribute in Python's own types. Texts of variable length are not written, and HDF5 was seen to loop over one."""
    if attributes.get_id(name).dtype.hasobject:
        raise Malformed(path, f"the attribute {name} of variable length")
    value = attributes[name]
    if isinstance(value, bytes):  # also np.bytes_
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
