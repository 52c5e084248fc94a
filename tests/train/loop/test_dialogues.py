"""Dialogues: turns in order, parts apart, a label a turn; and what context is worth where it decides the label."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from ser.errors import ConfigError, TrainingError
from ser.features.blocks import Block
from ser.metadata.table import load_table, make_table, write_table
from ser.train.experiments.fit import fit
from ser.train.loop.config import make_config
from ser.train.loop.data import Data
from ser.train.loop.dialogues import Turns, turns_of
from ser.train.loop.objective import trainable
from ser.train.loop.prediction import logits, predict
from ser.train.loop.trainer import train
from ser.train.nn import streams

SMALL: dict[str, Any] = {"hidden": 16}


def echoes(dialogues: int = 40, turns: int = 6) -> tuple[Turns, np.ndarray]:
    """Turns whose label is the class of the turn before them; rows are in random order."""
    random = np.random.default_rng(0)
    own = random.integers(0, 3, (dialogues, turns))
    labels = np.concatenate([np.zeros((dialogues, 1), dtype=int), own[:, :-1]], axis=1)
    place = random.permutation(dialogues * turns)
    dialogue, turn = np.divmod(place, turns)
    values = (np.eye(3)[own] * 3 + random.normal(size=(dialogues, turns, 3)) * 0.3).reshape(-1, 3)[place]
    blocks = [Block("a", "text", values.astype(np.float32)), Block("b", "audio", -values.astype(np.float32))]
    return Turns(blocks, dialogue, turn), labels.reshape(-1)[place]


def test_turns_are_in_order_and_parts_are_apart() -> None:
    values = np.arange(7, dtype=np.float32)[:, None]
    resident = Turns([Block("a", "text", values)], np.array([1, 0, 1, 0, 1, 2, 0]), np.array([5, 2, 1, 1, 3, 0, 9]))
    units = resident.units(torch.tensor([[0, 1, 2, 3, 4, 5]]))  # row 6 is of another part
    assert units.tolist() == [[[3, 1, -1], [2, 4, 0], [5, -1, -1]]]
    feature = resident.batch(units[:, [0, 2]])["a"]
    assert feature.values[..., 0].tolist() == [[[3, 1], [5, 0]]]
    assert feature.mask is not None
    assert feature.mask.tolist() == [[[True, True], [True, False]]]
    logits = torch.arange(4.0).view(1, 2, 2, 1)
    flat, rows = resident.flat(logits, units[:, [0, 2]])
    assert (flat.flatten().tolist(), rows.tolist()) == ([0, 1, 2], [[3, 1, 5]])
    assert [u.tolist() for u in resident.chunks(np.array([0, 2, 6, 5]), 3)] == [[[6, -1]], [[2, 0]], [[5, -1]]]


@pytest.mark.parametrize("head", ["bilstm", "text_centred"])
def test_context_is_used_and_padding_is_not(head: str) -> None:
    resident, labels = echoes()
    dialogue = resident.dialogue.numpy()
    rows = [np.flatnonzero((dialogue >= a) & (dialogue < b)) for a, b in ((0, 25), (25, 30), (30, 40))]
    options = {"epochs": 25, "lr": 5e-3, "batch_size": 4, "head_options": SMALL, "context": "dialogue"}
    config = make_config(head, **options)
    data = Data(resident, labels, 3, rows[0], rows[1])
    (trained,) = train(data, config, [1])
    guess = predict(data, config, trained.weights[None], rows[2])
    assert (guess[0].argmax(-1) == labels[rows[2]]).mean() > 0.75
    first = rows[2][dialogue[rows[2]] == dialogue[rows[2][0]]]
    alone = predict(data, config, trained.weights[None], first[:3])  # a shorter dialogue: its first turns in row order
    order = np.argsort(resident.turn.numpy()[first])
    np.testing.assert_allclose(
        predict(data, config, trained.weights[None], first)[0], guess[0][np.isin(rows[2], first)], atol=1e-5
    )
    assert alone.shape == (1, 3, 3)
    assert len(order) == 6


def test_other_parts_change_nothing_in_training() -> None:
    resident, labels = echoes(20)
    train_rows, rest = np.flatnonzero(resident.turn.numpy() < 4), np.flatnonzero(resident.turn.numpy() >= 4)
    config = make_config("bilstm", epochs=2, head_options=SMALL, context="dialogue", selection="last")
    data = Data(resident, labels, 3, train_rows, rest[:0])
    (before,) = train(data, config, [streams.derive(1)])
    for values in resident.values.values():
        values[torch.from_numpy(rest)] = 99.0
    (after,) = train(data, config, [streams.derive(1)])
    assert torch.equal(before.weights, after.weights)


def test_fit_labels_every_turn(maker: Any) -> None:
    maker.table("toy")
    maker.store("toy", modality="text")
    with pytest.raises(ConfigError, match="96 of 96 utterances of toy have no dialogue or no turn"):
        fit("toy", maker.space, head="bilstm", context="dialogue")
    rows = load_table("toy", maker.space).frame.to_dict("records")
    rows = [r | {"dialogue": f"{r['speaker']}-{k % 4}", "turn": k // 4 % 4} for k, r in enumerate(rows)]
    write_table(make_table(rows, "toy", {"corpus": "csv"}), maker.space)
    options: dict[str, Any] = {"runs": 1, "epochs": 12, "lr": 5e-3, "jobs": 1, "head_options": SMALL, "batch_size": 4}
    summary = fit("toy", maker.space, head="bilstm", protocol="official", context="dialogue", **options)
    assert summary["pooled"]["UA"]["mean"] > 0.6
    assert summary["config"]["context"] == "dialogue"
    with pytest.raises(ConfigError, match="head mlp gives one label for a whole sequence"):
        fit("toy", maker.space, head="mlp", context="dialogue")


def test_what_dialogues_cannot_have_is_refused() -> None:
    with pytest.raises(ConfigError, match="mixup with context dialogue"):
        make_config("bilstm", context="dialogue", mixup=0.2)
    with pytest.raises(ConfigError, match="losses on logits alone"):
        make_config("bilstm", context="dialogue", loss="cross_entropy,supcon:0.1")
    frames = Block("a", "text", np.zeros((4, 2), np.float32), np.array([0, 2, 4]))
    with pytest.raises(TrainingError, match="cannot be the features of turns"):
        Turns([frames], np.array([0, 0]), np.array([0, 1]))


def test_a_turn_asked_for_twice_is_one_turn() -> None:
    resident, labels = echoes(4)
    config = make_config("bilstm", head_options=SMALL, context="dialogue")
    data = Data(resident, labels, 3, np.arange(0), np.arange(0))
    (parameters, _) = trainable(data, config, [1])
    once, twice = (logits(parameters, data, rows)[0] for rows in (np.arange(24), np.arange(48) % 24))
    assert torch.equal(torch.cat([once, once]), twice)


def test_dialogues_of_two_corpora_with_one_name_are_two() -> None:
    frame = pd.DataFrame({"dialogue": ["1", "1", "2", "1"], "turn": [0.0, 1.0, 0.0, 0.0], "dataset": [*"aaab"]})
    data: Any = SimpleNamespace(frame=frame, dataset="a+b")
    assert turns_of(data)[0].tolist() == [0, 0, 1, 2]
    frame.loc[2, "dialogue"] = ""
    with pytest.raises(ConfigError, match="1 of 4 utterances"):
        turns_of(data)
