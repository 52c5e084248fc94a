"""Features that give labels away: known by the identity that they carry out and in, and by their values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.errors import ConfigError, StoreError
from ser.features.export import export
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.features.stores.store import FeatureStore
from ser.features.value_checks import check_values

VIEW = {"encoder": "toy", "view": {"name": "classwise1", "scheme": "4"}}
SIMULATED = {"encoder": "toy", "text_source": {"name": "simulated"}}
MADE = {"view": ("audio", "toy@classwise1", VIEW), "text": ("text", "toy+simulated", SIMULATED)}


@pytest.mark.parametrize("made", MADE)
def test_what_was_made_with_labels_does_not_come_back(tmp_path: Path, maker: Any, made: str) -> None:
    modality, name, identity = MADE[made]
    maker.table("toy", speakers=3, each=1)
    maker.store("toy", name, modality=modality, identity=identity)
    with FeatureStore(maker.space.store("toy", name)) as store:
        with pytest.raises(StoreError, match=r"cannot be exported.*true label.*--format npz or parquet"):
            export(store, tmp_path / "out.csv")
        assert not (tmp_path / "out.csv").exists()
        for ending in ("npz", "parquet"):
            if ending == "parquet":
                pytest.importorskip("pyarrow")
            file = export(store, tmp_path / f"out.{ending}")
            with pytest.raises(ConfigError, match=r"out.* cannot be imported: .* true label"):
                import_features("toy", maker.space, [parse(f"{modality}:again={file}")])
    assert maker.space.stores("toy") == [name]


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
def test_other_stores_do(tmp_path: Path, maker: Any, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    maker.table("toy", speakers=3, each=1)
    maker.store("toy", "toy")
    with FeatureStore(maker.space.store("toy", "toy")) as store:
        file = export(store, tmp_path / f"out.{ending}")
        import_features("toy", maker.space, [parse(f"audio:again={file}")])
        with FeatureStore(maker.space.store("toy", "again")) as again:
            assert again.ids == store.ids
            np.testing.assert_array_equal(again.read(again.ids), store.read(store.ids))


def test_few_rows_are_parted_by_chance(maker: Any) -> None:
    maker.table("few", speakers=1, each=2, emotions=("anger", "sadness"))
    maker.store("few", "x", dim=30)
    store = FeatureStore(maker.space.store("few", "x"))
    labels = {i: i.split("-")[2] for i in store.ids}
    values: Any = store.read(store.ids)
    anger = np.array([labels[i] == "anger" for i in store.ids])
    assert (values[anger].max(axis=0) < values[~anger].min(axis=0)).any()
    assert check_values(store, labels).label_features == ()
