"""Joining tables and stores: by id, with labels applied last, and gaps named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audit.split_data import in_label_space
from ser.errors import ConfigError, StoreError
from ser.features.normalise import apply_statistics, normalise
from ser.features.store_selection import choose_dataset
from ser.features.stores.store import FeatureStore
from ser.features.tensors import load_labels, load_tensors
from ser.metadata.build import build, keep
from ser.metadata.table import load_table, make_table, write_table
from ser.workspace import Workspace


def test_rows_are_joined_by_id_and_labels_follow_the_scheme(maker: Any) -> None:
    emotions = maker.table("toy")
    maker.store("toy")
    data = load_tensors("toy", maker.space)
    assert data.classes == ("anger", "happiness", "neutral", "sadness")
    assert [data.classes[k] for k in data.labels] == emotions
    with FeatureStore(maker.space.store("toy", "toy")) as store:
        for row in (0, 17, 95):
            np.testing.assert_array_equal(data.blocks[0].values[row], store[data.frame["utterance_id"].iloc[row]])


def test_a_scheme_leaves_utterances_out_and_counts_them(maker: Any) -> None:
    maker.table("toy", emotions=("anger", "excitement", "boredom", "sadness"))
    maker.store("toy")
    data = load_tensors("toy", maker.space, scheme="4")
    assert data.classes == ("anger", "happiness", "sadness")
    assert data.dropped == {"not in scheme 4: boredom": 24}
    assert len(data.frame) == 72
    shared = load_tensors("toy", maker.space, scheme="4", classes=["anger", "sadness"])  # with a corpus without happiness
    other = "of the scheme, but not among the classes in use: excitement"
    assert shared.dropped == {"not in scheme 4: boredom": 24, other: 24}
    assert in_label_space("emodb", len(shared.frame), shared.dropped)["left_out"] == {"boredom": 24, "excitement": 24}
    assert load_tensors("toy", maker.space, scheme="native").classes == ("anger", "sadness", "excitement", "boredom")


def test_labels_that_are_numbers_are_classes_by_native_or_by_a_file(tmp_path: Path) -> None:
    space, file, scheme = Workspace(tmp_path / "w"), tmp_path / "t.csv", tmp_path / "s.yaml"
    file.write_text("text,label\na,0\nb,1\nc,0\n")
    keep(build("mine", file, quiet=True), space)
    with pytest.raises(ConfigError, match=r"mine: scheme 4 leaves 0 classes .* labels \(0, 1\) .* with \{anger: \['0'\]"):
        load_labels("mine", space)
    assert load_labels("mine", space, scheme="native").classes == ("0", "1")
    scheme.write_text("{anger: ['0'], sadness: [1]}")
    assert load_labels("mine", space, scheme=str(scheme)).labels.tolist() == [0, 1, 0]
    file.write_text("text,label\na,7\nb,7\n")
    keep(build("mine", file, quiet=True), space)
    with pytest.raises(ConfigError, match=r"leaves 1 class \(7\).* All of its utterances are 7: there is nothing"):
        load_labels("mine", space, scheme="native")


def test_an_utterance_without_features_is_named(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", leave_out=2)
    with pytest.raises(StoreError, match=r"lacks 2 of 96 utterances, first toy-s5-sadness-2"):
        load_tensors("toy", maker.space)
    gone = load_table("toy", maker.space).ids[-2:]
    (maker.space.features("toy") / "toy.failures.csv").write_text(
        "utterance_id,path,reason\n" + "".join(f"{i},x,empty\n" for i in gone)
    )
    data = load_tensors("toy", maker.space)
    assert data.dropped == {"no toy features": 2}
    assert len(data.frame) == 94


def test_several_stores_of_a_modality_must_be_chosen(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", "one")
    maker.store("toy", "two.frame", framewise=True)
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    with pytest.raises(ConfigError, match=r"several stores of audio features: one, two\.frame.*--audio NAME"):
        load_tensors("toy", maker.space)
    data = load_tensors("toy", maker.space, stores=["two", "words"])
    assert [(b.name, b.framewise, b.vocabulary) for b in data.blocks] == [("two.frame", True, 0), ("words", True, 13)]
    assert [b.name for b in load_tensors("toy", maker.space, modalities=["text"]).blocks] == ["words"]
    with pytest.raises(ConfigError, match="Did you mean 'words'"):
        load_tensors("toy", maker.space, stores=["word"])


def test_a_store_goes_by_the_id_of_its_model_on_a_hub(maker: Any) -> None:
    maker.table("toy")
    with pytest.raises(ConfigError, match=r"toy has no features in .*; expected the store egemaps. Extract some: ser extract"):
        load_tensors("toy", maker.space, stores="egemaps")
    maker.store("toy", "model-one.layers-all", identity={"model": "someone/Model.One"})
    maker.store("toy", "other", identity={"model": "someone/other"})
    assert [b.name for b in load_tensors("toy", maker.space, stores="someone/Model.One").blocks] == ["model-one.layers-all"]
    with pytest.raises(ConfigError, match="unknown store of toy: 'someone/nothing'"):
        load_tensors("toy", maker.space, stores="someone/nothing")
    maker.store("toy", "model-one", identity={"model": "someone/Model.One"})
    with pytest.raises(ConfigError, match=r"several stores of someone/Model\.One: model-one, model-one\.layers-all"):
        load_tensors("toy", maker.space, stores="someone/Model.One")


def test_frames_of_chosen_utterances(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", framewise=True)
    block = load_tensors("toy", maker.space).blocks[0]
    assert block.offsets is not None
    rows = np.array([5, 2, 90])
    parts = [block.values[block.offsets[r] : block.offsets[r + 1]] for r in rows]
    np.testing.assert_array_equal(block.rows(rows), np.concatenate(parts))


def test_the_only_dataset_is_chosen_and_several_are_listed(maker: Any) -> None:
    with pytest.raises(ConfigError, match="ser extract"):
        choose_dataset(maker.space)
    for name in ("one", "two"):
        maker.table(name)
        maker.store(name)
        if name == "one":
            assert choose_dataset(maker.space) == "one"
    with pytest.raises(ConfigError, match="found one, two"):
        choose_dataset(maker.space)


@pytest.mark.parametrize("framewise", [False, True])
def test_normalising_by_training_statistics_ignores_all_other_rows(maker: Any, framewise: bool) -> None:
    maker.table("toy")
    maker.store("toy", framewise=framewise)
    data = load_tensors("toy", maker.space)
    train = np.arange(0, 60)
    scaled, statistics = normalise(data, "train", train)
    assert abs(scaled.blocks[0].values).max() <= 3
    scaled, statistics = normalise(data, "train", train, limit=0)
    values = scaled.blocks[0].rows(train)
    np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)
    data.blocks[0].values[data.blocks[0].frame_rows(np.arange(60, 96)) if framewise else np.arange(60, 96)] += 100
    again, same = normalise(data, "train", train, limit=0)
    np.testing.assert_array_equal(again.blocks[0].rows(train), values)
    np.testing.assert_array_equal(same["toy"]["mean"], statistics["toy"]["mean"])
    np.testing.assert_array_equal(apply_statistics(data, same, limit=0).blocks[0].values, again.blocks[0].values)


@pytest.mark.parametrize("framewise", [False, True])
def test_statistics_do_not_depend_on_how_much_is_in_memory(
    maker: Any, monkeypatch: pytest.MonkeyPatch, framewise: bool
) -> None:
    maker.table("toy")
    maker.store("toy", framewise=framewise)
    data = load_tensors("toy", maker.space)
    train = np.random.default_rng(0).permutation(96)[:70]
    values = data.blocks[0].rows(train).astype(np.float64)
    for size in (1, 1000, 2**25):
        monkeypatch.setattr("ser.features.normalise._PART_BYTES", size)
        _, statistics = normalise(data, "train", train)
        np.testing.assert_allclose(statistics["toy"]["mean"], values.mean(axis=0), rtol=1e-6)
        np.testing.assert_allclose(statistics["toy"]["std"], values.std(axis=0), rtol=1e-6)


@pytest.mark.parametrize("framewise", [False, True])
def test_normalising_by_speaker_gives_every_speaker_mean_0_and_deviation_1(maker: Any, framewise: bool) -> None:
    maker.table("toy")
    maker.store("toy", framewise=framewise)
    data, _ = normalise(load_tensors("toy", maker.space), "speaker", np.arange(10), limit=0)
    for speaker in ("s0", "s5"):
        values = data.blocks[0].rows(np.flatnonzero(data.frame["speaker"] == speaker))
        np.testing.assert_allclose(values.mean(axis=0), 0, atol=1e-5)
        np.testing.assert_allclose(values.std(axis=0), 1, atol=1e-5)


def test_ids_are_not_normalised_and_a_constant_feature_stays_finite(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    maker.store("toy", "words", modality="text", framewise=True, vocabulary=13)
    data = load_tensors("toy", maker.space)
    data.blocks[0].values[:, 3] = 1e6
    scaled, statistics = normalise(data, "corpus", np.arange(3))
    np.testing.assert_array_equal(scaled.blocks[1].values, data.blocks[1].values)
    assert set(statistics) == {"toy"}
    np.testing.assert_array_equal(scaled.blocks[0].values[:, 3], 0)
    with pytest.raises(ConfigError, match="Did you mean 'speaker'"):
        normalise(data, "speakers", np.arange(3))


def test_a_table_without_emotions_says_what_can_be_done(maker: Any) -> None:
    maker.table("toy")
    rows = load_table("toy", maker.space).frame.assign(emotion="", label="")
    write_table(make_table(rows.to_dict("records"), "toy"), maker.space)
    maker.store("toy")
    with pytest.raises(ConfigError, match="It has no emotions: give its table a column emotion or label"):
        load_tensors("toy", maker.space)
    write_table(make_table(rows.assign(valence=3.0).to_dict("records"), "toy"), maker.space)
    with pytest.raises(
        ConfigError,
        match=r"It has ratings \(valence\) and no emotions. Train on them: --target valence; or add a column label made of",
    ):
        load_tensors("toy", maker.space)
    rated = {"dimensions": {"sentiment": {"low": -3.0, "high": 3.0}}}
    write_table(make_table(rows.assign(sentiment=2.0).to_dict("records"), "toy", facts=rated), maker.space)
    with pytest.raises(ConfigError, match=r"It has ratings \(sentiment\) .* --target sentiment;"):
        load_tensors("toy", maker.space)


def test_rows_with_several_labels_are_not_called_rows_without_an_emotion(maker: Any) -> None:
    maker.table("toy")
    rows = load_table("toy", maker.space).frame
    rows.loc[:2, ["emotion", "label"]] = ["", "anger;sadness"]
    rows.loc[3, ["emotion", "label"]] = ""
    write_table(make_table(rows.to_dict("records"), "toy"), maker.space)
    maker.store("toy")
    assert load_tensors("toy", maker.space).dropped == {
        "not in scheme 4: several labels (for --target labels)": 3,
        "not in scheme 4: no emotion": 1,
    }


def test_each_store_is_opened_once(maker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    maker.table("toy")
    maker.store("toy")
    maker.store("toy", "words", modality="text")
    opened: list[str] = []
    init = FeatureStore.__init__
    monkeypatch.setattr(FeatureStore, "__init__", lambda self, path: (opened.append(path.stem), init(self, path))[1])
    load_tensors("toy", maker.space)
    assert sorted(opened) == ["toy", "words"]


def test_one_name_and_plain_values_are_taken(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy")
    maker.store("toy", "words", modality="text")
    found = load_tensors("toy", str(maker.space.root), scheme=4, stores="toy")
    assert list(found.stores) == ["toy"]
    assert list(load_tensors("toy", maker.space, stores="toy,words").stores) == ["toy", "words"]
    assert list(load_tensors("toy", maker.space, modalities="text").stores) == ["words"]
