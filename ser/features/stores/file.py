"""One file of a feature store, written and read. What lies where: `layout`."""

import errno
import json
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
from ser.features.stores.layout import FRAME, SCHEMA, VALUES, Damaged, Facts, Index, arrays_of, index_checksum, to_json

_FORMAT = ("v108", "v108")  # HDF5 1.8: the first format whose own structures have check sums


def write_file(
    path: Path, facts: Facts, provenance: dict[str, Any], index: Index, blocks: Iterable[NDArray[Any]]
) -> None:
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
        sink.file.close()
    if sink.error is not None:
        raise OSError(sink.error.errno, sink.error.strerror)


def _write_index(file: h5py.File, facts: Facts, provenance: dict[str, Any], index: Index) -> None:
    attributes = {
        **asdict(facts),
        "identity": to_json(facts.identity),
        "provenance": to_json(provenance),
        "schema": SCHEMA,
    }
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
        Damaged: it is truncated, or its index is not what was written.
        StoreError: it is no feature store of this schema.
        OSError: it is not there or may not be read.
    """

    def __init__(self, path: Path, keep: bool = False, torn: bool = False) -> None:
        self.path = path
        self._kept: int | None = None
        with _open(path, torn) as file:
            try:
                self._load(file)
            except (KeyError, ValueError, TypeError, RuntimeError, OSError) as error:
                raise judged(path, error) from None
            if keep:
                # The same open file, whatever becomes of the name: a merge may replace it.
                self._kept = os.dup(file.id.get_vfd_handle())
                self._release = weakref.finalize(self, os.close, self._kept)

    def _load(self, file: h5py.File) -> None:
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        if attributes.get("schema") != SCHEMA:
            raise StoreError(f"{self.path} is no feature store", expected=SCHEMA, found=attributes.get("schema"))
        crc = attributes.pop("index_crc32")
        assets = {name: item[()].decode() for name, item in file["assets"].items()} if "assets" in file else {}
        arrays = {name: file[name][:] for name in ("utt_id", "source_sha256", "n_samples", "n_frames", "crc32")}
        if index_checksum(attributes, assets, arrays) != crc:
            raise ValueError("an index that does not match its check sum")
        self.provenance: dict[str, Any] = json.loads(attributes.pop("provenance"))
        attributes["identity"] = json.loads(attributes["identity"])
        del attributes["schema"]
        self.facts = Facts(**attributes, assets=assets)
        ids = [i.decode() for i in arrays["utt_id"].tolist()]
        self.index = Index(ids, *(arrays[n] for n in ("source_sha256", "n_samples", "n_frames", "crc32")))
        self.offsets = self.index.offsets
        values = file[VALUES[self.facts.level]]
        self.tail, self.dtype, self.begin = values.shape[1:], values.dtype, values.id.get_offset()
        if len(values) != self.offsets[-1]:
            raise ValueError(f"{len(values)} rows of values where the index has {self.offsets[-1]}")
        if self.begin is None:
            raise StoreError(
                f"the values of {self.path} are not in one piece",
                expected="a file as `ser extract` writes it, neither chunked nor compressed",
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of values: of an utterance, or of a frame."""
        return int(np.prod(self.tail, dtype=np.int64) * self.dtype.itemsize)

    @contextmanager
    def opened(self) -> Iterator[int]:
        """The file's number for the operating system; the values begin at byte `begin`."""
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
    path.open("rb").close()  # a file that is not there or may not be read is not a damaged one
    try:
        if torn:
            return h5py.File(Padded(path), "r")
        return h5py.File(path, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        raise judged(path, error) from None


def judged(path: Path, error: Exception) -> Exception:
    """What an error of reading means. Only of damage may it be concluded that a file be set aside."""
    if isinstance(error, OSError) and error.errno not in (None, errno.EIO):
        return error
    if any(word in str(error) for word in ("lock file", "file locking", "already open")):
        return StoreError(f"the feature store {path} is in use elsewhere", action="Close it there.")
    return Damaged(path, error)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):  # also np.bytes_
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value
