"""Damage costs the utterances it hit and no others; they are named, and can be added again."""

import os
from pathlib import Path

import numpy as np
import pytest

from ser.features.stores.layout import Facts, Record
from ser.features.stores.maintenance import verify
from ser.features.stores.store import FeatureStore, shards_folder, store_files
from ser.features.stores.writer import StoreWriter

FACTS = Facts("toy", "audio", "frame", 64, {"plugin": "toy"})
NAMES = [f"u{n}" for n in range(12)]


def record(name: str) -> Record:
    rng = np.random.default_rng([*name.encode()])
    return Record(name, rng.normal(size=(int(rng.integers(8, 16)), 64)).astype(np.float32), rng.bytes(32), 99)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Two shards of six."""
    path = tmp_path / "features" / "corpus" / "toy.h5"
    with StoreWriter(path, FACTS, provenance={"device": "cpu"}) as writer:
        for begin in (0, 6):
            writer.commit([record(name) for name in NAMES[begin : begin + 6]])
    return path


def merge(path: Path) -> None:
    with StoreWriter(path, None) as writer:
        writer.merge(NAMES)


def flip(path: Path, name: str) -> None:
    content = bytearray(path.read_bytes())
    content[content.find(record(name).values.tobytes())] ^= 1
    path.write_bytes(content)


def cut(path: Path, name: str) -> None:
    """End a file in the midst of the values of an utterance."""
    values = record(name).values
    os.truncate(path, path.read_bytes().find(values.tobytes()) + values.nbytes // 2)


def made_good(path: Path, lost: list[str]) -> list[str]:
    """Add what is lost as `ser extract` does, and compare with what was there; what the writer said."""
    said: list[str] = []
    with StoreWriter(path, FACTS, say=said.append) as writer:
        assert [name for name in NAMES if name not in writer.stored] == lost
        writer.commit([record(name) for name in lost])
        assert writer.check() == []
        writer.merge(NAMES)
    assert store_files(path) == [path]
    assert not shards_folder(path).exists()
    with FeatureStore(path) as store:
        assert store.ids == NAMES
        assert store.verify() == []
        for name in NAMES:
            np.testing.assert_array_equal(store[name], record(name).values)
            assert store.sources()[name] == record(name).source
    return said


def test_a_truncated_merged_file_costs_what_was_cut_off(path: Path) -> None:
    merge(path)
    before = path.read_bytes()
    cut(path, "u9")
    half = path.read_bytes()
    (said,) = made_good(path, ["u9", "u10", "u11"])
    aside = path.with_name("toy.h5.damaged")
    assert f"{path} is damaged: set aside as {aside.name}; 3 of its 12 utterances" in said
    assert "extracted again: u9, u10, u11" in said
    assert aside.read_bytes() == half == before[: len(half)]


def test_a_truncated_shard_costs_what_was_cut_off(path: Path) -> None:
    shard = store_files(path)[0]
    cut(shard, "u4")
    (said,) = made_good(path, ["u4", "u5"])
    assert said.startswith(f"{shard} is damaged")
    assert said.endswith("2 of its 6 utterances are extracted again: u4, u5")


@pytest.mark.parametrize("size", [0, 5, 60, 1000])
@pytest.mark.parametrize("merged", [True, False])
def test_a_file_without_its_index_is_set_aside_whole(path: Path, size: int, merged: bool) -> None:
    if merged:
        merge(path)
    os.truncate(store_files(path)[0], size)
    (said,) = made_good(path, NAMES if merged else NAMES[:6])
    assert said.endswith("its utterances are extracted again")


@pytest.mark.parametrize("merged", [True, False])
def test_a_flipped_bit_costs_one_utterance(path: Path, merged: bool) -> None:
    if merged:
        merge(path)
    flip(store_files(path)[0], "u2")
    said: list[str] = []
    finding = verify(path, repair=False, say=said.append)
    assert (finding.count, finding.damaged, finding.broken, finding.repaired) == (12, ["u2"], {}, False)
    assert finding.line() == (
        "corpus toy: 1 utterance damaged: u2. `ser store verify --repair` drops them, and "
        "ser extract --dataset corpus makes missing utterances again."
    )
    assert said == []
    finding = verify(path, repair=True, say=said.append)
    assert (finding.damaged, finding.repaired) == (["u2"], True)
    if not merged:
        assert [line.endswith("1 of its 6 utterances is extracted again: u2") for line in said] == [True]
    assert verify(path, repair=False, say=said.append).sound
    with FeatureStore(path) as store:
        assert store.attrs["provenance"] == {"device": "cpu"}
    assert made_good(path, ["u2"]) == []


def test_verify_names_every_file_that_is_cut_off(path: Path) -> None:
    for shard, name in zip(store_files(path), ("u3", "u8"), strict=True):
        cut(shard, name)
    said: list[str] = []
    finding = verify(path, repair=False, say=said.append)
    assert list(finding.broken) == store_files(path)
    assert verify(path, repair=True, say=said.append).broken == finding.broken
    assert [line[line.index(": u") :] for line in said] == [": u3, u4, u5", ": u8, u9, u10, u11"]
    assert made_good(path, ["u3", "u4", "u5", "u8", "u9", "u10", "u11"]) == []


def test_a_full_disk_while_keeping_what_is_sound_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    merge(path)
    cut(path, "u9")
    half = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("ser.features.stores.writer.write_file", full)
    with pytest.raises(OSError, match="No space"):
        StoreWriter(path, FACTS)
    assert path.read_bytes() == half
    assert sorted(p.name for p in path.parent.iterdir()) == [".toy.h5.lock", "toy.h5"]
    monkeypatch.undo()
    made_good(path, ["u9", "u10", "u11"])
