"""The feature store against what went in: every kind of array, any order of commits, damage of every kind."""

import errno
import io
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ser.errors import StoreError
from ser.features.stores import file as store_file
from ser.features.stores import hdf5_streams
from ser.features.stores.bulk_reading import Ragged
from ser.features.stores.layout import Damaged, Facts, Record
from ser.features.stores.store import FeatureStore, shards_folder, store_files
from ser.features.stores.writer import StoreWriter

KINDS = {
    "pooled": ("utterance", "float32", (3,)),
    "layers": ("utterance", "float32", (4, 3)),
    "frames": ("frame", "float32", (3,)),
    "half": ("frame", "float16", (3,)),
    "ids": ("frame", "int32", (1,)),
}
IDENTITY = {"plugin": "toy", "model": "none", "layers": [6], "versions": {"toy": "1"}}


def facts(kind: str = "pooled", **changes: Any) -> Facts:
    level, dtype, tail = KINDS[kind]
    rate = 0 if kind == "ids" else 16000
    given = {"encoder": "toy", "modality": "audio", "level": level, "dim": tail[-1], "identity": IDENTITY}
    return Facts(**{**given, "sample_rate": rate, "vocabulary": 50 * (dtype == "int32"), **changes})


def record(name: str, kind: str = "pooled", seed: int = 0) -> Record:
    level, dtype, tail = KINDS[kind]
    rng = np.random.default_rng([seed, *name.encode()])
    shape = (int(rng.integers(1, 6)), *tail) if level == "frame" else tail
    values = rng.integers(0, 50, shape) if dtype == "int32" else rng.normal(size=shape)
    return Record(name, values.astype(dtype), rng.bytes(32), int(rng.integers(1, 99)))


def write(path: Path, names: str, kind: str = "pooled", seed: int = 0, merge: bool = False) -> list[Record]:
    """Commit one shard an utterance; the names are letters."""
    records = [record(n, kind, seed) for n in names]
    with StoreWriter(path, facts(kind)) as writer:
        for r in records:
            writer.commit([r])
        if merge:
            writer.merge([*names])
    return records


def flip(path: Path, needle: bytes) -> None:
    """Change one bit of the bytes given, wherever they lie in the file."""
    content = bytearray(path.read_bytes())
    where = content.find(needle)
    assert where >= 0
    content[where] ^= 1
    path.write_bytes(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "features" / "corpus" / "toy.h5"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", ["shards", "merged", "both"])
def test_what_is_read_is_what_was_written(path: Path, kind: str, state: str) -> None:
    records = {r.id: r for r in write(path, "abcdefg", kind, merge=state != "shards")}
    if state == "both":
        records |= {r.id: r for r in write(path, "cx", kind, seed=1)}
    wanted = ["e", "a", "c", *("x" for _ in [0] if state == "both")]
    with FeatureStore(path) as store:
        assert sorted(store.ids) == sorted(records)
        assert store.dtype == KINDS[kind][1]
        assert store.sources() == {i: r.source for i, r in records.items()}
        for i, r in records.items():
            np.testing.assert_array_equal(store[i], r.values)
        read = store.read(wanted)
        if isinstance(read, Ragged):
            assert store.level == "frame"
            parts: Any = [read.values[b:e] for b, e in itertools.pairwise(read.offsets)]
        else:
            assert read.shape == (len(wanted), *KINDS[kind][2])
            parts = read
        for part, i in zip(parts, wanted, strict=True):
            np.testing.assert_array_equal(part, records[i].values)
        assert store.verify() == []


def test_the_layout_is_the_documented_one(path: Path) -> None:
    records = write(path, "ab", "frames", merge=True)
    with h5py.File(path) as file:
        assert [i.decode() for i in file["utt_id"]] == ["a", "b"]
        assert [bytes(s) for s in file["source_sha256"]] == [r.source for r in records]
        assert list(file["n_samples"]) == [r.n_samples for r in records]
        assert list(file["n_frames"]) == [len(r.values) for r in records]
        assert list(file["offsets"]) == [0, len(records[0].values), sum(len(r.values) for r in records)]
        assert file["frames"].chunks is None
        assert file["frames"].compression is None
        assert file.attrs["schema"] == b"ser.store/1"
    assert store_files(path) == [path]


def test_attributes_and_assets(path: Path) -> None:
    given = facts(assets={"tokenizer.json": '{"ä": 1}', "empty": ""})
    with StoreWriter(path, given, provenance={"device": "cpu"}) as writer:
        writer.commit([record("a")])
        writer.merge(["a"])
    with FeatureStore(path) as store:
        assert store.assets == given.assets
        assert store.attrs["identity"] == IDENTITY
        assert store.attrs["provenance"] == {"device": "cpu"}
        assert (store.attrs["encoder"], store.modality, store.level, store.dim) == ("toy", "audio", "utterance", 3)


def test_a_large_store_is_read_and_merged_in_blocks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.features.stores.bulk_reading.BLOCK_BYTES", 64)
    monkeypatch.setattr("ser.features.stores.bulk_reading._GAP_BYTES", 12)
    names = "abcdefghijklmnop"
    records = {r.id: r for r in write(path, names, "frames")}
    order = [*reversed(names)]
    with StoreWriter(path, None) as writer:
        writer.merge(order)
    with FeatureStore(path) as store:
        assert store.ids == order
        read = store.read([*names])
        assert isinstance(read, Ragged)
        np.testing.assert_array_equal(read.values, np.concatenate([records[n].values for n in names]))
        assert store.read([]).values.shape == (0, 3)  # type: ignore[union-attr]


@st.composite
def histories(draw: st.DrawFn) -> list[Any]:
    """Commits of some letters, merges in some order, in any sequence."""
    letters = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1, max_size=5)
    step = st.one_of(st.tuples(st.just("commit"), letters), st.tuples(st.just("merge"), letters))
    return draw(st.lists(step, max_size=8))


@settings(max_examples=40, deadline=None)
@given(kind=st.sampled_from(["pooled", "frames"]), history=histories())
def test_any_history_equals_a_dictionary(tmp_path_factory: pytest.TempPathFactory, kind: str, history: list[Any]) -> None:
    path = tmp_path_factory.mktemp("history") / "toy.h5"
    model: dict[str, NDArray[Any]] = {}
    for number, (step, names) in enumerate(history):
        with StoreWriter(path, facts(kind)) as writer:  # a new process each time
            assert set(writer.stored) == set(model)
            if step == "commit":
                records = [record(n, kind, seed=number) for n in names]
                writer.commit(records)
                model |= {r.id: r.values for r in records}
            elif model and not set(names) & set(model):
                with pytest.raises(StoreError, match="none of the"):
                    writer.merge(names)
            else:
                writer.merge(names)
                model = {n: model[n] for n in names if n in model}
                assert not shards_folder(path).exists()
    if model:
        with FeatureStore(path) as store:
            assert set(store.ids) == set(model)
            for name, values in model.items():
                np.testing.assert_array_equal(store[name], values)


def test_missing_and_doubled_ids_are_named(path: Path) -> None:
    write(path, "abc")
    with FeatureStore(path) as store:
        with pytest.raises(StoreError, match=r"lacks 2 of 3 utterances: y, z"):
            store.read(["a", "y", "z"])
        with pytest.raises(StoreError, match="twice: b"):
            store.read(["b", "a", "b"])
        with pytest.raises(StoreError, match="lacks 1"):
            store["q"]


def test_a_store_that_is_not_there(path: Path) -> None:
    write(path, "a")
    with pytest.raises(StoreError, match=r"those of corpus: toy\..*ser extract --dataset corpus --audio bert"):
        FeatureStore(path.with_name("bert.h5"))
    with pytest.raises(StoreError, match="no feature store"):
        FeatureStore(path.parent / "other" / "bert.h5")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"identity": {**IDENTITY, "layers": [9]}}, r"layers is \[6\] there and \[9\] here"),
        ({"identity": {**IDENTITY, "versions": {"toy": "2"}}}, "versions.toy is 1 there and 2 here"),
        ({"identity": {**IDENTITY, "revision": "abc"}}, "revision is not given there and abc here"),
        ({"sample_rate": 8000}, "sample_rate is 16000 there and 8000 here"),
        ({"assets": {"vocabulary": "x"}}, "assets.vocabulary differs"),
    ],
)
def test_another_identity_is_refused_and_what_differs_is_said(path: Path, change: dict[str, Any], named: str) -> None:
    write(path, "a")
    with pytest.raises(StoreError, match=f"{named}.*--overwrite"):
        StoreWriter(path, facts(**change))
    with FeatureStore(path) as store:
        assert store.ids == ["a"]


def test_overwrite_starts_afresh_at_the_first_commit(path: Path) -> None:
    write(path, "ab", merge=True)
    other = facts(identity={"plugin": "other"})
    with StoreWriter(path, other, overwrite=True) as writer:
        assert writer.stored == {}
        with FeatureStore(path) as store:
            assert store.ids == ["a", "b"]
        writer.commit([record("c")])
    with FeatureStore(path) as store:
        assert store.ids == ["c"]
        assert store.attrs["identity"] == {"plugin": "other"}


@pytest.mark.parametrize("kind", ["pooled", "frames"])
@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_truncated_file_is_named(path: Path, kind: str, share: float) -> None:
    write(path, "abcdef", kind, merge=True)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(StoreError, match=r"toy\.h5 is truncated or damaged.*ser store verify"):
        FeatureStore(path)


def test_flipped_bits_are_found_wherever_they_are(path: Path) -> None:
    write(path, "abcdef", merge=True)
    whole = path.read_bytes()
    with FeatureStore(path) as store:
        before = {i: store[i] for i in store.ids}
    for position in range(0, len(whole), 7):
        changed = bytearray(whole)
        changed[position] ^= 4
        path.write_bytes(changed)
        try:
            with FeatureStore(path) as store:
                found = bool(store.verify())
                same = {*store.ids} == {*before} and all(np.array_equal(store[i], before[i]) for i in store.ids)
        except (StoreError, OSError):
            continue
        assert found or same, f"byte {position}"


def test_damaged_values_are_found_by_verify(path: Path) -> None:
    records = write(path, "abc", merge=True)
    flip(path, records[1].values.tobytes())
    with FeatureStore(path) as store:
        assert store.verify() == ["b"]


def test_a_damaged_shard_is_set_aside_and_the_rest_goes_on(path: Path) -> None:
    write(path, "abc")
    first, second, _ = store_files(path)
    os.truncate(first, 100)
    flip(second, record("b").values.tobytes())
    said: list[str] = []
    with pytest.raises(Damaged, match=first.name):
        FeatureStore(path)
    with StoreWriter(path, facts(), say=said.append) as writer:
        assert set(writer.stored) == {"b", "c"}
        with pytest.raises(StoreError, match=f"{second.name} is damaged; expected the features of b as"):
            writer.merge(["a", "b", "c"])
        assert writer.check() == ["b"]
        assert set(writer.stored) == {"c"}
        writer.commit([record("a"), record("b")])
        assert writer.check() == []
        writer.merge(["a", "b", "c"])
    assert [first.name in said[0], second.name in said[1]] == [True, True]
    assert len(list(path.parent.glob("*.damaged"))) == 2
    with FeatureStore(path) as store:
        assert store.ids == ["a", "b", "c"]
        assert store.verify() == []


def test_damaged_rows_of_the_merged_file_are_left_out_and_replaced(path: Path) -> None:
    records = write(path, "abc", merge=True)
    flip(path, records[1].values.tobytes())
    with StoreWriter(path, facts()) as writer:
        assert writer.check() == ["b"]
        writer.merge(["a", "b", "c"])
        assert list(writer.stored) == ["a", "c"]
        writer.commit([records[1]])
        writer.merge(["a", "b", "c"])
    with FeatureStore(path) as store:
        assert store.ids == ["a", "b", "c"]
        np.testing.assert_array_equal(store["b"], records[1].values)


def test_a_file_that_is_no_store_is_not_set_aside(path: Path) -> None:
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(StoreError, match="not a feature store"):
        StoreWriter(path, facts())
    assert path.exists()


def test_a_file_open_elsewhere_is_not_set_aside(path: Path) -> None:
    write(path, "a", merge=True)
    hold = "import h5py, sys; f = h5py.File(sys.argv[1], 'r+', locking=True); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", hold, str(path)], stdin=-1, stdout=-1) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises((OSError, StoreError)) as caught:
            StoreWriter(path, facts())
        assert not isinstance(caught.value, Damaged)
        other.communicate(b"")
    with h5py.File(path, "r", locking=False), pytest.raises(StoreError, match="in use elsewhere") as caught:
        StoreWriter(path, facts())
    assert not isinstance(caught.value, Damaged)
    with StoreWriter(path, facts()) as writer:
        assert set(writer.stored) == {"a"}


class Full:
    """A disk that is full after some bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, real: Any, data: Any) -> int:
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return int(real.write(data))


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    disk = Full(10**9)

    class File(io.FileIO):
        def write(self, data: Any) -> int:
            return disk.write(super(), data)

    class Limited(hdf5_streams.Sink, File):
        """A sink whose file is on that disk."""

    monkeypatch.setattr(store_file, "Sink", Limited)
    return disk


@pytest.mark.parametrize("room", [0, 100, 700, 1500, 2500])
def test_a_full_disk_leaves_what_was_committed(path: Path, full: Full, room: int) -> None:
    records = write(path, "abc")
    with StoreWriter(path, facts()) as writer:
        full.room = room
        with pytest.raises(OSError, match=r"toy\.shards") as caught:
            writer.commit([record("d")])
        assert caught.value.errno == errno.ENOSPC
        full.room = room
        with pytest.raises(OSError, match="No space"):
            writer.merge(["a", "b", "c"])
    assert not list(path.parent.rglob("*.tmp"))
    with FeatureStore(path) as store:
        assert store.ids == ["a", "b", "c"]
        assert store.verify() == []
    full.room = 10**9
    with StoreWriter(path, facts()) as writer:
        writer.merge(["a", "b", "c"])
    with FeatureStore(path) as store:
        np.testing.assert_array_equal(store.read(["a", "b", "c"]), np.stack([r.values for r in records]))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([1, np.nan, 2], np.float32), "not finite"),
        (np.ones(4, np.float32), "another shape"),
        (np.ones((2, 3), np.float32), "another shape"),
        (np.ones(3, np.float64), "type float64"),
    ],
)
def test_what_does_not_fit_is_refused(path: Path, bad: NDArray[Any], message: str) -> None:
    with StoreWriter(path, facts()) as writer:
        with pytest.raises(StoreError, match=message):
            writer.commit([record("a"), Record("b", bad, bytes(32))])
        with pytest.raises(StoreError, match="twice"):
            writer.commit([record("a"), record("a")])
    assert store_files(path) == []


def test_only_one_writes_unless_the_work_is_shared(path: Path) -> None:
    with StoreWriter(path, facts()):
        for shared in (True, False):
            with pytest.raises(StoreError, match=r"another process is writing.*--shard"):
                StoreWriter(path, facts(), shared=shared)
    with StoreWriter(path, facts(), shared=True) as one, StoreWriter(path, facts(), shared=True) as two:
        left_over = shards_folder(path) / ".000001-1-abc.h5.1.tmp"
        one.commit([record("a")])
        left_over.write_bytes(b"half of")
        two.commit([record("b")])
        with pytest.raises(StoreError, match="does not merge"):
            one.merge(["a", "b"])
        with pytest.raises(StoreError, match="another process"):
            StoreWriter(path, facts())
        assert left_over.exists()  # it may be the other's
    with StoreWriter(path, facts()) as writer:
        assert not left_over.exists()
        assert set(writer.stored) == {"a", "b"}


def test_a_kill_between_merge_and_clearing_up_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = write(path, "abc")
    with StoreWriter(path, facts()) as writer:
        monkeypatch.setattr(writer, "_remove", lambda files: None)
        writer.merge(["c", "a", "b"])
    assert len(store_files(path)) == 4
    with StoreWriter(path, facts()) as writer:
        assert set(writer.stored) == {"a", "b", "c"}
        writer.merge(["c", "a", "b"])
    assert store_files(path) == [path]
    with FeatureStore(path) as store:
        np.testing.assert_array_equal(store.read(["a", "b", "c"]), np.stack([r.values for r in records]))


def test_a_reader_keeps_what_it_opened_while_the_store_is_merged(path: Path) -> None:
    records = write(path, "ab", merge=True)
    with FeatureStore(path) as store:
        write(path, "bc", seed=1)
        with StoreWriter(path, None) as writer:
            writer.merge(["c", "b", "a"])
        np.testing.assert_array_equal(store.read(["a", "b"]), np.stack([r.values for r in records]))


def test_provenance_of_a_merged_store_keeps_what_differs(path: Path) -> None:
    for device, time, name in (("cpu", "1", "a"), ("cpu", "2", "b"), ("cuda", "3", "c")):
        with StoreWriter(path, facts(), provenance={"device": device, "time": time}) as writer:
            writer.commit([record(name)])
            writer.merge(["a", "b", "c"])
    with FeatureStore(path) as store:
        earlier = [{"device": "cpu", "time": "2"}]
        assert store.attrs["provenance"] == {"device": "cuda", "time": "3", "earlier": earlier}


def test_sha256_is_that_of_the_file(path: Path) -> None:
    import hashlib

    write(path, "ab")
    with FeatureStore(path) as store:
        shards = store.sha256
    write(path, "", merge=False)
    with StoreWriter(path, None) as writer:
        writer.merge(["a", "b"])
    with FeatureStore(path) as store:
        assert store.sha256 == hashlib.sha256(path.read_bytes()).hexdigest() != shards


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(path: Path) -> None:
    write(path, "a", merge=True)
    path.parent.chmod(0o500)
    try:
        with FeatureStore(path) as store:
            assert store.ids == ["a"]
        with StoreWriter(path, facts()) as writer, pytest.raises(PermissionError):
            writer.commit([record("b")])
    finally:
        path.parent.chmod(0o700)
