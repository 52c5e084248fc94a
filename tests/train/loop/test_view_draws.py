"""Training draws among views: of training rows alone, from the run's own stream, each as likely."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.features.view_rows import NO_VIEW, ViewRows
from ser.train.experiments.fit import fit
from ser.train.loop.augmentation import ViewDraws
from ser.train.loop.config import make_config
from ser.train.loop.data import Data, Resident
from ser.train.loop.dialogues import Turns
from ser.train.loop.prediction import predict
from ser.train.loop.trainer import train

COUNT, VIEWS = 150, 3


def with_views(data: Data, blocks: dict[str, Block], kind: str, seed: int = 0) -> Data:
    """The same data with views of the block `kind`: its own features and noise. The last of them only every other row has."""
    rng = np.random.default_rng(seed)
    rows = COUNT + np.arange(COUNT * VIEWS).reshape(VIEWS, COUNT).T
    rows[1::2, -1] = NO_VIEW
    block = blocks[kind]
    values = [block.values, *(block.values + rng.normal(0, 0.3, block.values.shape) for _ in range(VIEWS))]
    grown = replace(block, values=np.concatenate(values).astype(np.float32))
    if block.offsets is not None:
        lengths = np.tile(np.diff(block.offsets), 1 + VIEWS)
        grown = replace(grown, offsets=np.concatenate([[0], np.cumsum(lengths)]))
    others = [blocks[i.name] for i in data.resident.inputs if i.name != kind]
    choices = ViewRows(tuple("abc"), rows, frozenset({kind}), {})
    return replace(data, resident=Resident([grown, *others]), views=choices)


def test_draws_are_uniform_over_what_an_utterance_has_and_of_training_rows_only() -> None:
    rows = 100 + np.arange(200).reshape(2, 100).T
    rows[50:, 0] = NO_VIEW
    drawn = ViewDraws(ViewRows(("a", "b"), rows, frozenset({"x"}), {}), torch.arange(80).expand(2, -1))
    seen = []
    for epoch in range(300):
        drawn.begin_epoch([5, 6], epoch, 1)
        seen.append(drawn.now.clone())
    now = torch.stack(seen)  # (epochs, runs, utterances)
    assert (now[..., 80:] == torch.arange(80, 100)).all()
    for utterance in range(80):
        options = [utterance, *(r for r in rows[utterance].tolist() if r != NO_VIEW)]
        shares = [(now[..., utterance] == o).double().mean().item() for o in options]
        assert sum(shares) == pytest.approx(1)
        assert max(abs(s - 1 / len(options)) for s in shares) < 0.1
    assert not torch.equal(now[:, 0], now[:, 1])
    batch = torch.tensor([[3, 3, 90], [4, 5, 6]])
    expected = torch.stack([drawn.now[0, batch[0]], drawn.now[1, batch[1]]])
    assert torch.equal(drawn.rows("x", batch), expected)
    assert drawn.rows("words", batch) is batch


def test_a_runs_draws_do_not_depend_on_its_neighbours() -> None:
    rows = 60 + np.arange(120).reshape(2, 60).T
    choices = ViewRows(("a", "b"), rows, frozenset({"x"}), {})
    together, alone = (ViewDraws(choices, torch.arange(40).expand(3, -1)), ViewDraws(choices, torch.arange(40).expand(1, -1)))
    together.keep(torch.tensor([0, 2]))
    together.begin_epoch([1, 9], 4, 1)
    alone.begin_epoch([9], 4, 1)
    assert torch.equal(together.now[1], alone.now[0])


@pytest.mark.parametrize("kind", ["pooled", "pooled+words", "frames"])
def test_a_run_with_views_is_itself(kind: str, data: Callable[..., Data], blocks: dict[str, Block]) -> None:
    plain = data(kind)
    viewed = with_views(plain, blocks, kind.partition("+")[0])
    head = "mlp" if kind == "pooled" else "mean_linear"
    config = make_config(head, epochs=6, patience=2, batch_size=16)
    seeds = [3, 4, 5] if kind == "pooled" else [4]
    stack = train(viewed, config, seeds)
    (alone,) = train(viewed, config, [4])
    trained = stack[seeds.index(4)]
    assert torch.equal(alone.weights, trained.weights)
    assert alone.curves == trained.curves
    (without,) = train(plain, config, [4])
    assert not torch.equal(alone.weights, without.weights)


def test_only_training_rows_see_views(data: Callable[..., Data], blocks: dict[str, Block]) -> None:
    viewed = with_views(data(), blocks, "pooled")
    config = make_config("mlp", epochs=4, batch_size=16)
    (trained,) = train(viewed, config, [7])
    spoilt = with_views(data(), blocks, "pooled")
    assert spoilt.views is not None
    others = spoilt.views.of(np.arange(100, COUNT))
    spoilt.resident.values["pooled"][torch.as_tensor(others)] = float("nan")
    (again,) = train(spoilt, config, [7])
    assert torch.equal(again.weights, trained.weights)
    assert again.curves == trained.curves
    rows = np.arange(125, COUNT)
    probabilities = predict(spoilt, config, again.weights[None], rows)
    assert np.isfinite(probabilities).all()
    np.testing.assert_array_equal(probabilities, predict(data(), config, again.weights[None], rows))


def test_without_a_view_to_draw_training_is_bit_for_bit_what_it_was(
    data: Callable[..., Data], blocks: dict[str, Block]
) -> None:
    config = make_config("mlp", epochs=4, batch_size=16)
    viewed = with_views(data(), blocks, "pooled")
    assert viewed.views is not None
    nothing = replace(viewed, views=replace(viewed.views, rows=np.full((COUNT, VIEWS), NO_VIEW)))
    (one,), (other,) = train(nothing, config, [1]), train(data(), config, [1])
    assert torch.equal(one.weights, other.weights)


def test_turns_of_dialogues_are_drawn_each_by_itself() -> None:
    values = np.arange(60, dtype=np.float32)[:, None]
    resident = Turns([Block("x", "audio", values)], np.arange(20) // 5, np.arange(20) % 5)
    rows = 20 + np.arange(40).reshape(2, 20).T
    drawn = ViewDraws(ViewRows(("a", "b"), rows, frozenset({"x"}), {}), torch.arange(20)[None])
    drawn.begin_epoch([3], 1, 1)
    units = resident.units(torch.arange(18)[None])
    batch = resident.batch(units, drawn.rows)["x"]
    assert batch.mask is not None
    assert torch.equal(batch.values[batch.mask][:, 0], drawn.now[0, :18].float())
    assert len({int(v) // 20 for v in drawn.now[0]}) == 3


@pytest.fixture
def toy(maker: Any) -> Any:
    maker.table("toy")
    maker.store("toy", identity={"plugin": "toy"})
    maker.store("toy", "toy@noise15", identity={"plugin": "toy", "view": {"name": "noise15"}})
    return maker


FIT: dict[str, Any] = {"head": "linear", "epochs": 3, "protocol": "official", "jobs": 1}


def test_fit_with_views_is_another_experiment_with_a_stamp(toy: Any) -> None:
    plain = fit("toy", toy.space, runs=2, **FIT)
    viewed = fit("toy", toy.space, runs=2, views=["all"], **FIT)
    assert plain["config_hash"] != viewed["config_hash"]
    assert "views" not in plain["data"]
    assert viewed["data"]["views"]["names"] == ["noise15"]
    assert "training utterances drawn among augmented views: original, noise15" in viewed["stamps"]
    (inputs,) = viewed["config"]["inputs"]
    assert inputs["views"].keys() == {"toy@noise15"}
    assert [r["seed"] for r in plain["runs"]] == [r["seed"] for r in viewed["runs"]]
    again = fit("toy", toy.space, runs=1, views=["noise15"], output=toy.space.root / "again.json", **FIT)
    assert again["config_hash"] == viewed["config_hash"]
    toy.store("toy", "toy@noise15", identity={"plugin": "toy", "view": {"name": "noise15"}}, strength=1.0)
    assert fit("toy", toy.space, runs=1, views=["all"], **FIT)["config_hash"] != viewed["config_hash"]


def test_a_classifier_without_epochs_draws_nothing(toy: Any) -> None:
    with pytest.raises(ConfigError, match="has no epochs"):
        fit("toy", toy.space, runs=1, head="sklearn:LogisticRegression", views=["all"], protocol="official", jobs=1)
