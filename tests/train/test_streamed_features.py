"""Features beyond `--memory` stay on disk, and all numbers are those of features in memory, to the bit."""

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ser
from ser.errors import ConfigError, StoreError
from ser.evaluation.evaluate import evaluate
from ser.features.normalise import normalise
from ser.features.stores.streamed import Streamed
from ser.features.tensors import load_tensors
from ser.train.loop.data import Resident
from ser.train.loop.dialogues import Turns
from ser.train.runs.joined_corpora import join

VIEW = {"view": {"name": "noise15"}}


@pytest.fixture(scope="module")
def space(maker_type: Any, tmp_path_factory: Any) -> Path:
    """Two corpora, with views of the first store of each."""
    maker = maker_type(tmp_path_factory.mktemp("streamed"))
    for name in ("toy", "other"):
        maker.table(name)
        for store, framewise in (("frames", True), ("pooled", False)):
            maker.store(name, store, framewise=framewise, identity={"plugin": "toy"})
            maker.store(name, f"{store}@noise15", framewise=framewise, identity={"plugin": "toy", **VIEW})
        maker.store(name, "layers", layers=(0.5, 2.0), identity={"plugin": "toy", "layers": [0, 1]})
        maker.store(name, "words", modality="text", framewise=True, vocabulary=20)
    return Path(maker.space.root)


def same(a: Any, b: Any) -> bool:
    """True for the same bits: zeros differ by their sign."""
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize("how", ["train", "speaker"])
def test_features_are_the_same_from_disk(space: Path, how: str) -> None:
    stores = ["frames", "pooled", "words"]
    here, disk = (
        join([load_tensors(c, space, stores=stores, views="all", memory=memory) for c in ("toy", "other")])
        for memory in (None, 0.0)
    )
    (here, known), (disk, found) = (normalise(data, how, np.arange(5, 90)) for data in (here, disk))
    assert known.keys() == found.keys()
    assert all(same(s[k], found[name][k]) for name, s in known.items() for k in ("mean", "std"))  # type: ignore[literal-required]
    assert all(isinstance(block.values, Streamed) for block in disk.blocks)
    copied = pickle.loads(pickle.dumps(disk.blocks))  # as worker processes get them
    assert here.views is not None
    rows = torch.tensor([[3, 100, 3, int(here.views.rows[7, 0])], [191, 4, 0, 9]])
    resident, streamed = Resident(here.blocks), Resident(copied)
    units = [rows, rows[:, 1:3]]
    batches = (data.batches(units, lambda name, rows: rows % 192 if name == "words" else rows) for data in (resident, streamed))
    for (_, one), (_, other) in zip(*batches, strict=True):
        for name, feature in one.items():
            assert same(feature.values, other[name].values), name
            assert feature.mask is None or torch.equal(feature.mask, other[name].mask)
    pooled = [b for b in here.blocks if b.name == "pooled"], [b for b in copied if b.name == "pooled"]
    numbers = np.arange(192) // 10, np.arange(192) % 10
    turns = [Turns(blocks, *numbers) for blocks in pooled]
    dialogues = turns[0].units(torch.arange(64)[None])
    assert same(*(t.batch(dialogues)["pooled"].values for t in turns))


@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("bilstm", {"stores": "frames", "views": "all", "head_options": {"hidden": 8}}),
        ("late", {"stores": "frames", "views": "all"}),
        ("mlp", {"stores": ["pooled", "layers"], "head_options": {"hidden": [8]}}),
        ("linear", {"stores": "layers", "layer": 1, "normalize": "speaker"}),
        ("sklearn:GaussianNB", {"stores": "frames"}),
    ],
)
def test_training_and_evaluation_give_the_same_from_disk(space: Path, head: str, options: dict[str, Any]) -> None:
    fixed: dict[str, Any] = {"runs": 2, "protocol": "official", "jobs": 1, "save": not head.startswith("sklearn")}
    fixed |= {"epochs": 2} if fixed["save"] else {}
    folders = [space / "results" / f"{head.partition(':')[0]}-{name}" for name in ("here", "disk")]
    for folder, memory in zip(folders, (None, 0.0), strict=True):
        ser.fit("toy", space, head=head, memory=memory, output=folder.with_suffix(".json"), **fixed, **options)
    one, other = ({path.name: path.read_bytes() for path in folder.glob("*.csv")} for folder in folders)
    assert len(one) == 2
    assert one == other
    if fixed["save"]:
        scores = [
            evaluate(folders[0].name, space, dataset="other", scheme="4", memory=memory)[0]["scores"] for memory in (None, 0.0)
        ]
        assert scores[0] == scores[1]


def test_features_that_fit_are_held_in_memory(space: Path) -> None:
    def kind(memory: float | None) -> type:
        return type(load_tensors("toy", space, stores="pooled", memory=memory).blocks[0].values)

    size = 2 * 96 * 8 * 4 / 2**30  # as stored and standardised
    assert (kind(None), kind(size), kind(size * 0.99)) == (np.ndarray, np.ndarray, Streamed)
    with pytest.raises(ConfigError, match="memory = -1"):
        ser.fit("toy", space, memory=-1)


def test_a_file_that_is_written_again_or_damaged_is_named(space: Path) -> None:
    path = space / "features" / "toy" / "pooled.h5"
    block = load_tensors("toy", space, stores="pooled", memory=0).blocks[0]
    content = path.read_bytes()
    os.utime(path, ns=(1, 1))
    with pytest.raises(StoreError, match="was written again while its features were in use"):
        block.rows(np.arange(3))
    block = load_tensors("toy", space, stores="pooled", memory=0).blocks[0]
    with path.open("r+b") as file:
        file.seek(content.index(block.values[np.array([7])].tobytes()))
        file.write(bytes(8))
    os.utime(path, ns=(1, 1))
    with pytest.raises(StoreError, match="is damaged; expected the features of toy-s0-happiness-3 as"):
        block.rows(np.arange(3, 9))
    path.write_bytes(content)
