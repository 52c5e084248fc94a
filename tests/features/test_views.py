"""Views of a store: their names, what loads them, and how they are joined, standardised and refused."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.errors import ConfigError, StoreError
from ser.features.normalise import normalise
from ser.features.store_selection import choose_dataset, open_stores
from ser.features.stores.layout import Facts, Record
from ser.features.stores.names import TTA_VIEWS, originals, split_name, view_stores
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter
from ser.features.tensors import load_tensors
from ser.features.view_rows import NO_VIEW
from ser.metadata.table import load_table, write_table
from ser.train.runs.joined_corpora import join

NOISE = {"plugin": "toy", "view": {"name": "noise15"}}
SPEED = {"plugin": "toy", "view": {"name": "speed0.95"}}
CLASSES = ("anger", "happiness")
CLASSWISE = {
    "plugin": "toy",
    "view": {"name": "classwise1", "scheme": "4", "classes": CLASSES, "labels": {c: c for c in (*CLASSES, "sadness")}},
}


@pytest.fixture
def viewed(maker: Any) -> Any:
    """A dataset with features, frames, and two views of each; words have none."""
    maker.table("toy")
    for name, framewise in (("toy", False), ("toy.frame", True)):
        maker.store("toy", name, framewise=framewise, identity={"plugin": "toy"})
        maker.store("toy", f"{name}@noise15", framewise=framewise, identity=NOISE)
        maker.store("toy", f"{name}@speed0.95", framewise=framewise, identity=SPEED)
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    return maker


def test_names() -> None:
    assert split_name("wavlm.frame@speed0.95") == ("wavlm.frame", "speed0.95")
    assert originals(["a", "a@tta", "b"]) == ["a", "b"]
    assert TTA_VIEWS == ("speed0.95", "speed1.05", "noise15", "noise20")


def taken(viewed: Any, stores: list[str] | None, modalities: list[str] | None) -> list[str]:
    opened = open_stores(viewed.space, load_table("toy", viewed.space), stores, modalities)
    for store in opened.values():
        store.close()
    return list(opened)


def test_views_of_a_store_are_found_and_never_taken_by_themselves(viewed: Any, tmp_path: Path) -> None:
    folder = viewed.space.features("toy")
    found = view_stores(folder, "toy.frame")
    assert found == {v: folder / f"toy.frame@{v}.h5" for v in ("noise15", "speed0.95")}
    assert len(FeatureStore(found["noise15"])) == 96
    assert view_stores(folder, "words") == {}
    assert taken(viewed, None, ["text"]) == ["words"]
    with pytest.raises(ConfigError, match=r"several stores of audio features: toy, toy\.frame\. "):
        taken(viewed, None, None)
    assert taken(viewed, ["toy@noise15"], None) == ["toy@noise15"]
    (folder / "toy.h5").unlink()
    assert taken(viewed, ["toy"], None) == ["toy.frame"]
    viewed.table("other")
    viewed.store("other", "toy@noise15", identity=NOISE)
    assert choose_dataset(viewed.space) == "toy"


@pytest.mark.parametrize("name", ["toy", "toy.frame"])
def test_views_follow_the_utterances_in_their_block(viewed: Any, name: str) -> None:
    plain = load_tensors("toy", viewed.space, stores=[name, "words"])
    data = load_tensors("toy", viewed.space, stores=[name, "words"], views=["speed0.95", "noise15"])
    assert plain.views is None
    assert data.views is not None
    assert data.views.names == ("speed0.95", "noise15")
    assert data.views.stores == {name}
    np.testing.assert_array_equal(data.blocks[1].values, plain.blocks[1].values)
    everyone = np.arange(96)
    np.testing.assert_array_equal(data.blocks[0].rows(everyone), plain.blocks[0].rows(everyone))
    for column, view in enumerate(data.views.names):
        with FeatureStore(viewed.space.store("toy", f"{name}@{view}")) as store:
            for k in (0, 41, 95):
                own = data.blocks[0].rows(data.views.rows[[k], column])
                np.testing.assert_array_equal(own.reshape(-1, 8), store[plain.frame["utterance_id"][k]].reshape(-1, 8))


def test_only_some_utterances_have_a_view_by_label(viewed: Any) -> None:
    classwise(viewed)
    data = load_tensors("toy", viewed.space, stores=["toy"], views=["all"])
    assert data.views is not None
    assert data.views.names == ("classwise1", "noise15", "speed0.95")
    chosen = data.frame["emotion"].isin(CLASSES).to_numpy()
    assert ((data.views.rows[:, 0] == NO_VIEW) == ~chosen).all()
    assert sorted(data.views.of(np.arange(96)).tolist()) == list(range(96, 96 + 48 + 2 * 96))
    assert data.views.schemes == {"classwise1": "4"}
    assert data.views.stamp.endswith("original, classwise1, noise15, speed0.95; classwise1 by the true label, scheme 4")
    with pytest.raises(ConfigError, match=r"toy@classwise1 cannot be the features of validation and test data"):
        load_tensors("toy", viewed.space, stores=["toy@classwise1"])


def classwise(viewed: Any, leave_out: int = 0, source: bytes = bytes(32)) -> None:
    """A view by the emotion, of the utterances of its two classes."""
    frame = load_table("toy", viewed.space).frame
    own = frame[frame["emotion"].isin(CLASSES)]
    pairs = list(zip(own["utterance_id"], own["emotion"], strict=True))[leave_out:]
    made = [hashlib.sha256(source + emotion.encode()).digest() for _, emotion in pairs]
    facts = Facts("toy", "audio", "utterance", 8, CLASSWISE, 0, 0)
    with StoreWriter(viewed.space.store("toy", "toy@classwise1"), facts, overwrite=True) as writer:
        values = np.zeros(8, np.float32)
        writer.commit([Record(i, values, s) for (i, _), s in zip(pairs, made, strict=True)])
        writer.merge([i for i, _ in pairs])


def test_a_view_by_label_is_of_the_labels_and_the_audio_as_they_are(viewed: Any) -> None:
    def load() -> Any:
        return load_tensors("toy", viewed.space, stores=["toy"], views=["classwise1"])

    classwise(viewed, leave_out=3)
    with pytest.raises(StoreError, match="lacks 3 of 48 utterances"):
        load()
    classwise(viewed, source=b"x" * 32)
    with pytest.raises(StoreError, match="48 utterances are views of other audio, or by other labels"):
        load()
    classwise(viewed)
    load()
    table = load_table("toy", viewed.space)
    frame = table.frame.copy()
    swapped = frame["emotion"].map({"anger": "happiness", "happiness": "anger"}).fillna(frame["emotion"])
    write_table(replace(table, frame=frame.assign(emotion=swapped, label=swapped)), viewed.space)
    with pytest.raises(StoreError, match="48 utterances are views of other audio, or by other labels"):
        load()
    fewer = frame["emotion"].replace("anger", "sadness")
    write_table(replace(table, frame=frame.assign(emotion=fewer, label=fewer)), viewed.space)
    with pytest.raises(StoreError, match="24 utterances are views of other audio, or by other labels"):
        load()


def test_views_that_are_not_there_or_not_of_these_features(viewed: Any) -> None:
    def load(*views: str, stores: tuple[str, ...] = ("toy",)) -> Any:
        return load_tensors("toy", viewed.space, stores=stores, views=views)

    with pytest.raises(ConfigError, match=r"has no view reverb of toy; found noise15, speed0\.95\. Make it: .*--views reverb"):
        load("reverb")
    with pytest.raises(ConfigError, match=r"toy has no views speed1\.05, noise20 of toy; found .*Make them: "):
        load("tta")
    with pytest.raises(ConfigError, match="no audio features"):
        load("noise15", stores=("words",))
    viewed.store("toy", "toy@pink20", identity={"plugin": "other", "view": {"name": "pink20"}})
    with pytest.raises(StoreError, match=r"is not a view of .*a difference in plugin"):
        load("pink20")
    viewed.store("toy", "toy@gain-6", identity={"plugin": "toy", "view": {"name": "gain-6"}}, leave_out=2)
    with pytest.raises(StoreError, match="lacks 2 of 96 utterances: toy-s5-sadness-2"):
        load("gain-6")
    viewed.store("toy", "toy@pitch+2", identity={"plugin": "toy", "view": {"name": "pitch+2"}}, source=b"x" * 32)
    with pytest.raises(StoreError, match="96 utterances are views of other audio"):
        load("pitch+2")


@pytest.mark.parametrize("name", ["toy", "toy.frame"])
@pytest.mark.parametrize("how", ["train", "corpus", "speaker"])
def test_views_are_standardised_by_the_statistics_of_originals(viewed: Any, name: str, how: str) -> None:
    train = np.arange(64)
    plain = normalise(load_tensors("toy", viewed.space, stores=[name]), how, train)
    data = load_tensors("toy", viewed.space, stores=[name], views=["all"])
    scaled = normalise(data, how, train)
    everyone = np.arange(96)
    np.testing.assert_array_equal(scaled[0].blocks[0].rows(everyone), plain[0].blocks[0].rows(everyone))
    for store, s in plain[1].items():
        np.testing.assert_array_equal(scaled[1][store]["mean"], s["mean"])
    assert data.views is not None
    speakers = data.frame["speaker"].to_numpy()
    for k in (3, 90):
        base = {"train": train, "corpus": everyone, "speaker": np.flatnonzero(speakers == speakers[k])}[how]
        vectors = data.blocks[0].rows(base).astype(np.float64)
        raw = data.blocks[0].rows(data.views.rows[[k], 1])
        expected = np.clip((raw - vectors.mean(0)) / vectors.std(0), -3, 3)
        np.testing.assert_allclose(scaled[0].blocks[0].rows(data.views.rows[[k], 1]), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["toy", "toy.frame"])
def test_corpora_are_joined_with_their_views(viewed: Any, name: str) -> None:
    viewed.table("other", speakers=4)
    viewed.store("other", name, framewise="frame" in name, identity={"plugin": "toy"})
    viewed.store("other", f"{name}@noise15", framewise="frame" in name, identity=NOISE)
    parts = [load_tensors(d, viewed.space, stores=[name], views=["noise15"]) for d in ("toy", "other")]
    both = join(parts)
    assert both.views is not None
    for k, (part, row) in {5: (0, 5), 95: (0, 95), 96: (1, 0), 130: (1, 34)}.items():
        own = parts[part]
        assert own.views is not None
        for here, there in (([k], [row]), (both.views.rows[[k], 0], own.views.rows[[row], 0])):
            np.testing.assert_array_equal(both.blocks[0].rows(np.asarray(here)), own.blocks[0].rows(np.asarray(there)))
    plain = load_tensors("other", viewed.space, stores=[name])
    with pytest.raises(ConfigError, match="corpora with different views"):
        join([parts[0], plain])
    assert load_table("other", viewed.space).dataset == "other"
