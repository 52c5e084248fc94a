"""Reading any choice of utterances, however the reads are batched, in bounded memory, compared with the check sums."""

import itertools
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores import bulk_reading
from ser.features.stores.bulk_reading import Ragged
from ser.features.stores.layout import Facts, Record
from ser.features.stores.store import FeatureStore, store_files
from ser.features.stores.writer import StoreWriter
from ser.features.tensors import load_tensors

MIB = 2**20


def write(path: Path, values: dict[str, NDArray[Any]], shards: int = 1, merge: bool = True) -> None:
    first = next(iter(values.values()))
    level = "frame" if first.ndim == 2 else "utterance"
    records = [Record(name, v, bytes(32), 1) for name, v in values.items()]
    with StoreWriter(path, Facts("toy", "audio", level, first.shape[-1], {"plugin": "toy"})) as writer:
        for part in np.array_split(np.arange(len(records)), shards):
            writer.commit([records[row] for row in part])
        if merge:
            writer.merge(list(values))


def frames(count: int, dtype: str, most: int = 9, dim: int = 3) -> dict[str, NDArray[Any]]:
    rng = np.random.default_rng(count)
    return {f"u{n}": rng.normal(size=(rng.integers(1, most), dim)).astype(dtype) for n in range(count)}


@settings(max_examples=60, deadline=None)
@given(
    chosen=st.lists(st.integers(0, 29), unique=True, max_size=30),
    shards=st.sampled_from([0, 1, 4]),
    limits=st.fixed_dictionaries(
        {
            "_CALL_BYTES": st.sampled_from([1, 50, 2**21]),
            "_CALL_PARTS": st.sampled_from([1, 3, 500]),
            "_GAP_BYTES": st.sampled_from([0, 40, 2**14]),
            "_ALONE_BYTES": st.sampled_from([0, 2**15]),
            "BLOCK_BYTES": st.sampled_from([1, 100, 2**24]),
        }
    ),
)
def test_any_choice_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[int], shards: int, limits: dict[str, int]
) -> None:
    path = tmp_path_factory.mktemp("reading") / "toy.h5"
    there = frames(30, "float16")
    write(path, there, shards or 1, merge=not shards)
    ids = [f"u{n}" for n in chosen]
    with pytest.MonkeyPatch.context() as patch, FeatureStore(path) as store:
        for name, value in limits.items():
            patch.setattr(bulk_reading, name, value)
        read, widened = store.read(ids), store.read(ids, np.float32)
        blocks = list(store.blocks(ids))
    assert isinstance(read, Ragged)
    assert isinstance(widened, Ragged)
    assert read.values.dtype == np.float16
    assert widened.values.dtype == np.float32
    assert len(read.offsets) == len(ids) + 1
    for name, (begin, end) in zip(ids, itertools.pairwise(read.offsets), strict=True):
        np.testing.assert_array_equal(read.values[begin:end], there[name])
    np.testing.assert_array_equal(widened.values, read.values.astype(np.float32))
    np.testing.assert_array_equal(widened.offsets, read.offsets)
    parts: list[Any] = [np.empty((0, 3)), *(block.values for block in blocks)]
    np.testing.assert_array_equal(np.concatenate(parts), read.values)
    np.testing.assert_array_equal([length for b in blocks for length in np.diff(b.offsets)], np.diff(read.offsets))


def test_a_read_that_the_system_answers_in_pieces_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = frames(20, "float32")
    write(tmp_path / "toy.h5", there)
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda handle, parts, at: whole(handle, [parts[0][:7]], at))
    with FeatureStore(tmp_path / "toy.h5") as store:
        read = store.read(store.ids)
    assert isinstance(read, Ragged)
    np.testing.assert_array_equal(read.values, np.concatenate(list(there.values())))


def peak(work: Callable[[], Any]) -> int:
    """The most memory that was in use on top of what was, in bytes."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = work()
        most = tracemalloc.get_traced_memory()[1]
        del kept
    finally:
        tracemalloc.stop()
    return most - before


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_is_that_of_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    path = tmp_path / "toy.h5"
    there = frames(300, dtype, most=200, dim=256)
    write(path, there, shards=10, merge=False)
    size = sum(v.nbytes for v in there.values())
    assert size > 12 * MIB
    monkeypatch.setattr(bulk_reading, "BLOCK_BYTES", MIB)
    order = list(reversed(there))

    def merge() -> None:
        with StoreWriter(path, None) as writer:
            writer.merge(order)

    assert peak(merge) < 4 * MIB
    with FeatureStore(path) as store:
        shuffled = [str(i) for i in np.random.default_rng(0).permutation(store.ids)]
        for ids in (store.ids, shuffled):
            assert peak(lambda ids=ids: store.read(ids)) < size + MIB  # type: ignore[misc]
            wide = size * 4 // np.dtype(dtype).itemsize
            assert peak(lambda ids=ids: store.read(ids, np.float32)) < wide + 4 * MIB  # type: ignore[misc]
        assert peak(store.verify) < 4 * MIB


def test_a_file_cut_off_after_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "toy.h5"
    there = frames(20, "float32")
    write(path, there)
    with FeatureStore(path) as store:
        os.truncate(path, path.stat().st_size - there["u19"].nbytes - 1)
        assert store.verify() == ["u18", "u19"]
        np.testing.assert_array_equal(store["u17"], there["u17"])
        with pytest.raises(StoreError, match=r"toy\.h5 is damaged; expected the features of u19, u18 as they were"):
            store.read(["u19", "u3", "u18"])


def test_a_shard_that_was_merged_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "toy.h5"
    there = frames(6, "float32")
    write(path, there, shards=2, merge=False)
    with FeatureStore(path) as store:
        with StoreWriter(path, None) as writer:
            writer.merge(list(there))
        with pytest.raises(StoreError, match=r"was merged while it was read.*Open the store again"):
            store.read(["u0"])


OPEN = Path("/proc/self/fd")


@pytest.mark.skipif(not OPEN.is_dir(), reason="this system does not list open files")
def test_a_closed_store_leaves_nothing_open(tmp_path: Path) -> None:
    write(tmp_path / "toy.h5", frames(6, "float32"))
    before = len(list(OPEN.iterdir()))
    store = FeatureStore(tmp_path / "toy.h5")
    store.read(store.ids)
    store.close()
    store.close()
    FeatureStore(tmp_path / "toy.h5").verify()  # closed when it is no longer used
    assert len(list(OPEN.iterdir())) == before


def test_a_file_that_another_program_has_packed_is_refused(tmp_path: Path) -> None:
    import h5py

    path = tmp_path / "toy.h5"
    write(path, frames(6, "float32"))
    with h5py.File(path, "r+") as file:
        values = file["frames"][:]
        del file["frames"]
        file.create_dataset("frames", data=values, compression="gzip")
    with pytest.raises(StoreError, match=r"not in one piece.*neither chunked nor compressed"):
        FeatureStore(path)
    assert store_files(path) == [path]


def test_frames_stored_in_float16_are_trained_on_in_float32(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", framewise=True)
    path = maker.space.store("toy", "toy")
    with FeatureStore(path) as store:
        halved = [Record(i, store[i].astype(np.float16), bytes(32)) for i in store.ids]
        facts = store.facts
    with StoreWriter(path, facts, overwrite=True) as writer:
        writer.commit(halved)
    block = load_tensors("toy", maker.space).blocks[0]
    assert block.values.dtype == np.float32
    np.testing.assert_array_equal(block.values, np.concatenate([r.values for r in halved]).astype(np.float32))
    with FeatureStore(path) as store:
        assert store.dtype == np.float16
        assert store.read(store.ids[:3]).values.dtype == np.float16  # type: ignore[union-attr]
