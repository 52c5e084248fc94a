"""A truncated HDF5 file as HDF5 will open it: of the length that it says it had."""

import io
import os
import struct
from pathlib import Path
from typing import Any

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END = struct.Struct("<28xQ")  # of the file, in a superblock of version 2 or 3 with addresses of 8 bytes


class Padded(io.RawIOBase):
    """A file for reading, followed by zeros up to the end that its superblock names (which has a check sum).

    Raises:
        OSError: it is no HDF5 file, or too little is left of it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        start = self._file.read(_END.size)
        if len(start) < _END.size or start[:8] != _SIGNATURE or start[8] not in (2, 3) or start[9] != 8:
            self._file.close()
            raise OSError("not the beginning of an HDF5 file")
        self._size = int(_END.unpack(start)[0])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(self._size + offset if whence == os.SEEK_END else offset, whence % os.SEEK_END)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        got = self._file.readinto(view)
        view[got:] = bytes(len(view) - got)
        return len(view)

    def close(self) -> None:
        self._file.close()
        super().close()
