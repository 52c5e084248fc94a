"""Stores written for other programs, whatever the size of the parts."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ser.errors import StoreError
from ser.features.export import export
from ser.features.stores.layout import Facts, Record
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter

SHAPES = {"pooled": ("utterance", (3,)), "layers": ("utterance", (2, 3)), "frames": ("frame", (5, 3))}


@pytest.fixture(params=[1, 30, 2**24])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ser.features.stores.bulk_reading.BLOCK_BYTES", request.param)


def store(folder: Path, kind: str, dtype: str = "float32") -> FeatureStore:
    level, shape = SHAPES[kind]
    rng = np.random.default_rng(0)
    records = [Record(f"ä{n}", rng.normal(size=shape).astype(dtype), bytes(32)) for n in range(7)]
    with StoreWriter(folder / "toy.h5", Facts("toy", "audio", level, 3, {"plugin": "toy"})) as writer:
        writer.commit(records)
    return FeatureStore(folder / "toy.h5")


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize(("kind", "dtype"), [*((k, "float32") for k in SHAPES), ("frames", "float16")])
def test_npz(tmp_path: Path, kind: str, dtype: str) -> None:
    made = store(tmp_path, kind, dtype)
    with np.load(export(made, tmp_path / "toy.npz")) as exported:
        names = {"ids", "features", "identity"} | ({"offsets"} if kind == "frames" else set())
        assert set(exported) == names
        assert list(exported["ids"]) == made.ids
        assert json.loads(str(exported["identity"])) == {"encoder": "toy", **made.facts.identity}
        read: Any = made.read(made.ids)
        np.testing.assert_array_equal(exported["features"], read.values if kind == "frames" else read)
        assert exported["features"].dtype == dtype
        if kind == "frames":
            np.testing.assert_array_equal(exported["offsets"], read.offsets)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_tables(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    made = store(tmp_path, "pooled")
    path = export(made, tmp_path / f"toy.{ending}")
    table = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert list(table.columns) == ["utterance_id", "f0", "f1", "f2"]
    assert list(table["utterance_id"]) == made.ids
    np.testing.assert_array_equal(table[["f0", "f1", "f2"]].to_numpy(np.float32), made.read(made.ids))


@pytest.mark.parametrize("kind", ["layers", "frames"])
def test_a_table_has_one_vector_a_row(tmp_path: Path, kind: str) -> None:
    with pytest.raises(StoreError, match=r"not have one vector per utterance.*--format npz"):
        export(store(tmp_path, kind), tmp_path / "toy.csv")
    assert not (tmp_path / "toy.csv").exists()


def test_damage_is_not_exported(tmp_path: Path) -> None:
    made = store(tmp_path, "pooled")
    path = made.files[0]
    content = bytearray(path.read_bytes())
    content[content.find(made["ä3"].tobytes())] ^= 1
    path.write_bytes(content)
    for ending in ("npz", "csv", "parquet"):
        with pytest.raises(StoreError, match="the features of ä3 as they were written"):
            export(made, tmp_path / f"toy.{ending}")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".toy.h5.lock", "toy.shards"]
