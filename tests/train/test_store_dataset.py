"""A feature store as a torch dataset: the rows, labels and folds of `ser fit`, in worker processes too."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, RandomSampler

import ser
from ser.errors import ConfigError


@pytest.fixture
def space(maker: Any) -> Any:
    maker.table("toy")
    maker.store("toy", "flat")
    maker.store("toy", "frames", framewise=True)
    maker.store("toy", "pieces", modality="text", framewise=True, vocabulary=20)
    return maker.space


def test_every_row_has_the_features_and_the_label_of_its_id(space: Any) -> None:
    data = ser.StoreDataset("toy", space, store="flat")
    frame = ser.load_table("toy", space).frame.set_index("utterance_id")
    with ser.FeatureStore(space.store("toy", "flat")) as store:
        for number in (0, 17, -1):
            features, label = data[number]
            assert (features.numpy() == store[data.ids[number]]).all()
            assert data.classes[int(label)] == frame.loc[data.ids[number], "emotion"]
    with pytest.raises(IndexError):
        data[len(data)]


def test_the_parts_are_those_of_fit(space: Any) -> None:
    options: dict[str, Any] = {"protocol": "speaker", "folds": 3}
    result = ser.fit("toy", space, audio="flat", head="linear", epochs=1, runs=1, jobs=1, refit="never", **options)
    rows = result.predictions
    for fold in ("0", "1", "2"):
        parts = {p: ser.StoreDataset("toy", space, store="flat", part=p, fold=fold, **options) for p in ("test", "validation")}
        for part, data in parts.items():
            asked = rows[(rows["fold"].astype(str) == fold) & (rows["split"] == part)]
            assert data.ids == list(asked["utterance_id"])
        train = ser.StoreDataset("toy", space, store="flat", part="train", fold=fold, **options)
        everything = [*train.ids, *parts["test"].ids, *parts["validation"].ids]
        assert len(everything) == len(set(everything)) == 96
    assert repr(parts["test"]) == "toy flat, test of fold 2 of speaker: 32 utterances; anger, happiness, neutral, sadness"
    assert parts["test"].stamps == result["stamps"]


@pytest.mark.parametrize("workers", [0, 2])
def test_frames_are_padded_and_each_worker_opens_the_store_for_itself(space: Any, workers: int) -> None:
    data = ser.StoreDataset("toy", space, store="frames")
    _ = data[0]  # opened before the workers are forked
    loader = DataLoader(data, batch_size=40, num_workers=workers, collate_fn=ser.StoreDataset.collate)
    seen = 0
    with ser.FeatureStore(space.store("toy", "frames")) as store:
        for frames, lengths, labels in loader:
            assert frames.shape == (len(labels), int(lengths.max()), 8)
            for features, length in zip(frames, lengths, strict=True):
                expected = store[data.ids[seen]]
                assert (features[:length].numpy() == expected).all()
                assert not features[length:].any()
                seen += 1
    assert seen == len(data) == 96


def test_a_row_may_be_drawn_twice_and_a_copy_has_no_open_file(space: Any) -> None:
    data = ser.StoreDataset("toy", space, store="flat")
    loader = DataLoader(data, batch_size=64, sampler=RandomSampler(data, replacement=True, num_samples=64))
    features, labels = next(iter(loader))
    assert features.shape == (64, 8)
    assert features.dtype == torch.float32
    copy = pickle.loads(pickle.dumps(data))
    assert copy._opened is None
    assert all((copy[k][0] == data[k][0]).all() for k in range(5))
    assert labels.dtype == torch.int64


def test_word_pieces_are_whole_numbers(space: Any) -> None:
    data = ser.StoreDataset("toy", space, store="pieces")
    assert data[3][0].dtype == torch.int64
    with ser.FeatureStore(space.store("toy", "pieces")) as store:
        np.testing.assert_array_equal(data[3][0], store[data.ids[3]])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"store": "flat", "part": "dev"}, "unknown part 'dev'"),
        ({"store": "flat", "part": "test", "protocol": "speaker", "folds": 3, "fold": 7}, "unknown fold '7'"),
        ({"store": "flat", "protocol": "speaker"}, "a fold without a part"),
        ({"store": "flat,frames"}, "several stores; expected store=NAME"),
    ],
)
def test_what_is_not_there_is_refused(space: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ser.StoreDataset("toy", space, **options)
