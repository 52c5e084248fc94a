"""An interrupt at any moment of writing comes out as an interrupt, and leaves what was committed."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.features.stores import hdf5_streams
from ser.features.stores.layout import Facts, Record
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter

FACTS = Facts("toy", "audio", "utterance", 3, {"plugin": "toy"})


def record(name: str) -> Record:
    return Record(name, np.arange(3, dtype=np.float32), bytes(32))


def press(monkeypatch: pytest.MonkeyPatch, method: str, call: int) -> list[int]:
    """Ctrl-C in the call of that number of one of the methods that HDF5 calls; the list's length is how many there were."""
    real, calls = getattr(hdf5_streams.Sink, method), list[int]()

    def pressed(self: hdf5_streams.Sink, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == call:
            signal.raise_signal(signal.SIGINT)
        return real(self, *arguments)

    monkeypatch.setattr(hdf5_streams.Sink, method, pressed)
    return calls


@pytest.mark.parametrize("method", ["write", "seek", "truncate"])
def test_an_interrupt_in_a_callback_of_hdf5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    path = tmp_path / "toy.h5"
    with StoreWriter(path, FACTS) as writer:
        writer.commit([record("a")])
        for call in range(1, 100):
            calls = press(monkeypatch, method, call)
            try:
                writer.commit([record("b")])
            except KeyboardInterrupt:
                assert len(calls) >= call
            else:
                assert len(calls) < call
                break
            finally:
                monkeypatch.undo()
            assert list(writer.stored) == ["a"]
            with FeatureStore(path) as store:
                assert store.ids == ["a"]
            assert not list(tmp_path.rglob("*.tmp"))
        assert call > 2
        press(monkeypatch, method, 1)
        with pytest.raises(KeyboardInterrupt):
            writer.merge(["a", "b"])
        monkeypatch.undo()
        writer.merge(["a", "b"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with FeatureStore(path) as store:
        assert store.ids == ["a", "b"]
        assert store.verify() == []


def test_interrupts_that_are_ignored_stay_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        press(monkeypatch, "write", 3)
        with StoreWriter(tmp_path / "toy.h5", FACTS) as writer:
            writer.commit([record("a")])
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    with FeatureStore(tmp_path / "toy.h5") as store:
        assert store.ids == ["a"]
