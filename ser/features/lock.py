"""Who may write a feature store: one process alone, or several that share the work. The kernel frees a dead process's lock."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from ser.errors import StoreError


class Lock:
    """The lock of one store, held until `close` or the end of the process.

    Args:
        store: the store's path; the lock is a hidden file beside it.
        shared: whether others that share the work may write too. An exclusive holder is alone.
        clean: called while nobody else has the store, so that temporary files there are a dead process's.

    Raises:
        StoreError: another process is writing the store.
    """

    def __init__(self, store: Path, shared: bool, clean: Callable[[], None]) -> None:
        store.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(store.with_name(f".{store.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        alone = self._take(fcntl.LOCK_EX)
        if alone:
            clean()
        if not (self._take(fcntl.LOCK_SH) if shared else alone):
            self.close()
            raise StoreError(
                f"another process is writing the feature store {store}",
                action="Wait for it to end. To share the work, start every process with --shard I/N.",
            )

    def _take(self, kind: int) -> bool:
        try:
            fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Let others write."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
