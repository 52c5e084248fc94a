"""The lock of a store: one process writes it, or several that share the work, even if they start at the same moment."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ser.errors import StoreError
from ser.features.stores import lock
from ser.features.stores.lock import Lock


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "corpus" / "toy.h5"


@contextmanager
def alone(store: Path) -> Iterator[int]:
    """Another process has the store to itself. (Two open files of one process are as good as two processes.)"""
    store.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(store.with_name(f".{store.name}.lock"), os.O_RDWR | os.O_CREAT)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield handle
    finally:
        os.close(handle)


def never() -> None:
    raise AssertionError("another process's temporary files are removed")


def test_a_process_that_shares_the_work_waits_while_another_cleans(store: Path) -> None:
    with alone(store) as handle:
        later = threading.Timer(0.3, fcntl.flock, (handle, fcntl.LOCK_SH))
        later.start()
        Lock(store, shared=True, clean=never).close()
        later.join()


def test_it_does_not_wait_for_ever(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    with alone(store), pytest.raises(StoreError, match="another process is writing"):
        Lock(store, shared=True, clean=never)
    with alone(store), pytest.raises(StoreError, match="another process is writing"):
        Lock(store, shared=False, clean=never)


def test_sharing_and_being_alone_exclude_each_other(store: Path) -> None:
    cleaned: list[int] = []
    first = Lock(store, shared=True, clean=lambda: cleaned.append(1))
    second = Lock(store, shared=True, clean=never)
    with pytest.raises(StoreError, match="--shard I/N"):
        Lock(store, shared=False, clean=never)
    first.close()
    second.close()
    Lock(store, shared=False, clean=lambda: cleaned.append(2)).close()
    assert cleaned == [1, 2]


def test_a_file_system_without_locks_is_said(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    opened = Path("/proc/self/fd")
    before = len(list(opened.iterdir())) if opened.is_dir() else 0
    with pytest.raises(StoreError, match=r"has no file locks; .*--workspace"):
        Lock(store, shared=False, clean=never)
    if before:
        assert len(list(opened.iterdir())) == before
