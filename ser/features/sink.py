"""What HDF5 writes to: a plain file whose errors wait until HDF5 has let go of it."""

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Sink(io.RawIOBase):
    """The file that HDF5 writes to. An error is kept for after the file was closed.

    HDF5 that meets a full disk while it closes a file is left in a state that ends the process with a segmentation
    fault (seen with HDF5 2.0). So it is told that all is well, nothing more is written, and the error is raised then.
    An interrupt that falls into one of the calls below would come out of HDF5 as another error: it waits as well.
    """

    def __init__(self, path: Path) -> None:
        self.file = path.open("w+b", buffering=0)
        self.error: OSError | None = None
        self.interrupted = False

    @property
    def stopped(self) -> bool:
        """Whether nothing more is written."""
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

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def readinto(self, buffer: Any) -> int | None:
        return self.file.readinto(buffer)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        size = len(view)
        try:
            while view and not self.stopped:
                view = view[self.file.write(view) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0
