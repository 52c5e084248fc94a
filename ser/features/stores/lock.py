"""Locks of feature stores: one process writes alone, or several share the work. The kernel frees a dead process's lock."""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from ser.errors import StoreError
from ser.files import why

SHARE = " To share the work, start every process with --shard I/N."
PATIENCE = 5.0  # s: processes that share the work and start at once are each alone for a moment, to clean


class Lock:
    """The lock of one store, held until `close` or the end of the process.

    Args:
        store: the store's path; the lock is a hidden file beside it.
        shared: others that share the work may write too. An exclusive holder is alone.
        clean: called while nobody else has the store, so that temporary files there are a dead process's.
        what, hint: for the message, where the lock is not of a feature store.

    Raises:
        StoreError: another process is writing the store, or its file system has no locks.
    """

    def __init__(
        self, store: Path, shared: bool, clean: Callable[[], None], what: str = "feature store", hint: str = SHARE
    ) -> None:
        store.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(store.with_name(f".{store.name}.lock"), os.O_RDWR | os.O_CREAT, 0o666)
        try:
            alone = self._take(fcntl.LOCK_EX)
            if alone:
                clean()
            if not (self._share() if shared else alone):
                raise StoreError(f"another process is writing the {what} {store}", action=f"Wait for it to end.{hint}")
        except OSError as error:
            self.close()
            if error.errno in (errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK):
                raise StoreError(
                    f"the file system of {store.parent} has no file locks",
                    found=why(error),
                    action="Choose a folder on another disk with --workspace (Lustre has locks if mounted with `flock`).",
                ) from None
            raise
        except BaseException:
            self.close()
            raise

    def _take(self, kind: int) -> bool:
        try:
            fcntl.flock(self._handle, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _share(self) -> bool:
        """Take the lock that all who share the work hold, once nobody is alone."""
        until = time.monotonic() + PATIENCE
        while not (taken := self._take(fcntl.LOCK_SH)) and time.monotonic() < until:
            time.sleep(0.02)
        return taken

    def close(self) -> None:
        """Let others write."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
