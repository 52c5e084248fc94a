"""NPY and NPZ files from elsewhere, read without pickles; what they declare is compared with their size first."""

import io
import math
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from ser.errors import CorpusError
from ser.files import open_regular, why_damaged

MAX_UNPACKED = 2**26  # bytes that an array of a compressed file may have whatever the file's size
MAX_RATIO = 1100  # and beyond it, times the file's size: deflate, which np.savez_compressed uses, stays below 1032
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
