"""File objects that HDF5 writes to and reads from, which keep its errors from ending the process."""

import io
import os
import signal
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Sink(io.FileIO):
    """The file that HDF5 writes to. An error is kept for after the file was closed.

    HDF5 that meets a full disk while it closes a file is left in a state that ends the process with a segmentation
    fault (seen with HDF5 2.0). So errors are hidden from it, nothing more is written, and the error is raised afterwards.
    An interrupt that falls into one of the calls below would come out of HDF5 as another error: it waits as well.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None
        self.interrupted = False

    @property
    def stopped(self) -> bool:
        """True once nothing more is written."""
        return self.interrupted or self.error is not None

    @contextmanager
    def keeping_interrupts(self) -> Iterator[None]:
        """Within the block an interrupt stops the writing; it is raised at the block's end."""
        before = signal.getsignal(signal.SIGINT)
        if not callable(before) or threading.current_thread() is not threading.main_thread():
            yield  # interrupts are ignored, or are another thread's
            return

        def keep(*_: object) -> None:
            self.interrupted = True

        signal.signal(signal.SIGINT, keep)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            if self.interrupted:
                before(signal.SIGINT, None)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and not self.stopped:
                view = view[super().write(view) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0


_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_END = struct.Struct("<28xQ")  # of the file, in a superblock of version 2 or 3 with addresses of 8 bytes


class Padded(io.FileIO):
    """A file for reading, followed by zeros up to the end that its superblock names (which has a check sum).

    Raises:
        OSError: it is not an HDF5 file, or too little is left of it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        start = self.read(_END.size) or b""
        if len(start) < _END.size or start[:8] != _SIGNATURE or start[8] not in (2, 3) or start[9] != 8:
            self.close()
            raise OSError("not the beginning of an HDF5 file")
        self._size = int(_END.unpack(start)[0])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return super().seek(self._size + offset if whence == os.SEEK_END else offset, whence % os.SEEK_END)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        got = super().readinto(view) or 0
        view[got:] = bytes(len(view) - got)
        return len(view)
