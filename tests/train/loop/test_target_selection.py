"""Choosing an epoch for a target corpus: scores against known answers, and what is read to compute them."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ser.errors import ConfigError, TrainingError
from ser.train.loop.config import LOWEST, SOURCE, TARGET, make_config
from ser.train.loop.data import Data
from ser.train.loop.objective import trainable
from ser.train.loop.prediction import embeddings
from ser.train.loop.target_selection import (
    MOST,
    TargetScores,
    controlled_risk,
    density_ratio,
    effective,
    information,
    pooled,
    thinned,
    weighted_risk,
)
from ser.train.loop.trainer import train
from ser.train.loop.validation import EpochChoice, account

BLIND = [name for name in TARGET if name != "oracle"]
SMALL: dict[str, Any] = {"epochs": 6, "patience": 0, "head_options": {"hidden": "16"}}


@pytest.fixture
def pair(data: Callable[..., Data]) -> Callable[..., Data]:
    """The toy data: rows 0 to 69 are source, 70 to 94 its validation, the others target, 25 of them labelled validation."""

    def make(kind: str = "pooled") -> Data:
        rows = {"train": np.arange(70), "validation": np.arange(70, 95)}
        return replace(data(kind), **rows, unlabelled=np.arange(95, 150), oracle=np.arange(95, 120))

    return make


def test_information_rewards_certainty_and_variety_and_a_collapse_has_none() -> None:
    certain = torch.eye(4).repeat(5, 1) * 50
    collapsed = torch.zeros(20, 4)
    collapsed[:, 2] = 50
    found = information(torch.stack([certain, collapsed, torch.zeros(20, 4)]))
    torch.testing.assert_close(found, torch.tensor([math.log(4), 0, 0]).double(), atol=1e-6, rtol=0)
    logits = torch.randn(3, 30, 4, dtype=torch.double)
    for r, value in enumerate(information(logits)):
        p = logits[r].softmax(-1).numpy()
        joint = p / len(p)  # of an utterance drawn at random and its predicted class
        outer = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
        assert value.item() == pytest.approx((joint * np.log(joint / outer)).sum())


def test_the_density_ratio_is_that_of_two_gaussians() -> None:
    random = np.random.default_rng(0)
    source, target = random.normal(size=(2000, 1)), random.normal(1.0, 1.0, size=(1500, 1))
    at = np.linspace(-1.5, 2.5, 9)[:, None]
    np.testing.assert_allclose(density_ratio(source, target, at), np.exp(at[:, 0] - 0.5), rtol=0.15)
    losses = source[:, 0] ** 2  # 1 on the source, 2 on the target
    weights = density_ratio(source, target, source)
    assert weighted_risk(weights, losses) == pytest.approx(2.0, rel=0.15)
    assert controlled_risk(weights, losses) == pytest.approx(2.0, rel=0.15)
    same = density_ratio(source, source[::-1], at)
    np.testing.assert_allclose(same, 1, atol=1e-6)
    apart = density_ratio(source, source + 100, source)
    assert np.isfinite(apart).all()


def test_weights_of_features_that_tell_nothing_apart_are_the_same_at_any_width() -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(300, 1)), random.normal(0.7, 1, size=(300, 1))
    narrow = density_ratio(x, y, x)
    np.testing.assert_allclose(density_ratio(np.tile(x, 50), np.tile(y, 50), np.tile(x, 50)), narrow, rtol=0.02)
    constant = np.ones((300, 1))
    wide = density_ratio(np.hstack([x, constant]), np.hstack([y, constant]), np.hstack([x, constant]))
    assert np.isfinite(wide).all()


def test_deep_embedded_validation_subtracts_what_the_weights_explain() -> None:
    random = np.random.default_rng(1)
    weights, noise = random.exponential(size=200), random.normal(size=200)
    assert controlled_risk(weights, np.full(200, 0.7)) == pytest.approx(0.7)  # whatever the weights' mean
    assert controlled_risk(np.ones(200), noise) == pytest.approx(noise.mean())
    spread: dict[str, list[float]] = {"plain": [], "controlled": []}
    for _ in range(300):
        x = random.normal(size=100)
        w = np.exp(x - 0.5)
        spread["plain"].append(weighted_risk(w, x**2 + 1))
        spread["controlled"].append(controlled_risk(w, x**2 + 1))
    assert np.std(spread["controlled"]) < 0.8 * np.std(spread["plain"])
    assert effective(np.ones(7)) == pytest.approx(7)
    assert effective(np.array([1.0, 0, 0, 0])) == pytest.approx(1)


def test_thinned_rows_are_few_and_even() -> None:
    assert thinned(np.arange(10)).tolist() == list(range(10))
    assert len(thinned(np.arange(2 * MOST + 1))) <= MOST
    assert len(thinned(np.arange(0))) == 0


def test_choices_take_the_best_epoch() -> None:
    def choose(name: str, *scores: float) -> int:
        choice = EpochChoice(name)
        return max(k for k, s in enumerate(scores) if choice.takes({f"selection_{name}": s, "validation_loss": 1.0}))

    assert choose("entropy", 0.1, 0.9, 0.9, 0.3) == 1
    assert choose("iwv", 3.0, 1.2, 5.0, 1.2) == 1
    assert choose("dev", 3.0, -0.2, -0.1) == 1
    oracle, kept = EpochChoice("oracle"), []
    for ua, loss in ((0.5, 1.0), (0.7, 0.9), (0.66, 0.7), (0.64, 0.5)):
        kept.append(oracle.takes({"selection_oracle": ua, "selection_oracle_error": 0.05, "oracle_loss": loss}))
    assert kept == [True, True, True, False]


@pytest.mark.parametrize("name", list(TARGET))
def test_a_run_is_itself_and_its_best_epoch_is_that_of_its_curve(name: str, pair: Callable[..., Data]) -> None:
    toy = pair()
    for adapt in ("none", "mmd"):
        config = make_config("mlp", selection=name, adapt=adapt, **SMALL)
        together, (alone,) = train(toy, config, [1, 2, 3]), train(toy, config, [2])
        assert torch.equal(together[1].weights, alone.weights)
        assert together[1].curves == alone.curves
        curve = alone.curves[f"selection_{name}"]
        assert len(curve) == alone.epochs == 6
        if name != "oracle":
            best = np.argmin(curve) if name in LOWEST else np.argmax(curve)
            assert alone.best_epoch == best + 1
    assert not any(key.endswith("error") or key == "oracle_loss" for key in alone.curves)


@pytest.mark.parametrize("name", list(TARGET))
def test_target_labels_are_read_by_the_oracle_alone(name: str, pair: Callable[..., Data]) -> None:
    toy = pair()
    labels = toy.labels.copy()
    labels[95:] = np.random.default_rng(0).permutation(labels[95:])
    config = make_config("mlp", selection=name, adapt="coral", **SMALL)
    (plain,), (permuted,) = train(toy, config, [4]), train(replace(toy, labels=labels), config, [4])
    assert plain.curves["loss"] == permuted.curves["loss"]
    if name == "oracle":
        assert plain.curves["selection_oracle"] != permuted.curves["selection_oracle"]
    else:
        assert plain.curves == permuted.curves
        assert torch.equal(plain.weights, permuted.weights)


def test_early_stopping_follows_the_target_and_runs_leave_by_themselves(pair: Callable[..., Data]) -> None:
    config = make_config("mlp", selection="dev", epochs=40, patience=2, lr=2e-2, head_options={"hidden": "16"})
    own = replace(pair(), train=np.stack([np.arange(k, k + 60) for k in range(5)]))
    together = train(own, config, list(range(5)))
    assert len({t.epochs for t in together}) > 1
    for trained in together:
        assert trained.epochs in (40, trained.best_epoch + 2)
    (alone,) = train(replace(own, train=np.arange(3, 63)), config, [3])
    assert together[3].curves == alone.curves


def test_equal_corpora_give_about_the_validation_loss(pair: Callable[..., Data]) -> None:
    toy = replace(pair(), unlabelled=np.arange(70))
    for name in ("iwv", "dev"):
        (trained,) = train(toy, make_config("mlp", selection=name, **SMALL), [1])
        np.testing.assert_allclose(trained.curves[f"selection_{name}"], trained.curves["validation_loss"], rtol=1e-4)
        np.testing.assert_allclose(trained.curves["selection_effective"], 1, rtol=1e-3)


@pytest.mark.parametrize("kind", ["frames", "layers", "pooled+pooled"])
def test_features_are_averaged_and_embeddings_are_in_the_order_of_the_rows(kind: str, pair: Callable[..., Data]) -> None:
    toy = pair(kind)
    rows = np.array([140, 3, 77])
    found = pooled(toy.resident, rows)
    assert found.shape == (3, sum(i.dim for i in toy.resident.inputs))
    for k, row in enumerate(rows):
        parts = []
        for source in toy.resident.inputs:
            values = toy.resident.values[source.name].numpy()
            if source.name in toy.resident.offsets:
                first, last = toy.resident.offsets[source.name][row : row + 2].tolist()
                parts.append(values[first:last].mean(0))
            else:
                parts.append(values[row].mean(0) if source.layers > 1 else values[row])
        np.testing.assert_allclose(found[k], np.concatenate(parts), rtol=1e-5, atol=1e-6)
    parameters, _ = trainable(toy, make_config("mlp", head_options={"hidden": "16"}), [1, 2])
    together = embeddings(parameters, toy, rows)
    assert together.shape == (2, 3, 16)
    for k, row in enumerate(rows):
        torch.testing.assert_close(together[:, k : k + 1], embeddings(parameters, toy, np.array([row])))


def test_what_a_selection_needs_is_said(pair: Callable[..., Data]) -> None:
    for name in BLIND:
        with pytest.raises(TrainingError, match="without unlabelled target rows"):
            train(replace(pair(), unlabelled=None), make_config("mlp", selection=name), [1])
    with pytest.raises(TrainingError, match="without labelled target validation rows"):
        train(replace(pair(), oracle=None), make_config("mlp", selection="oracle"), [1])
    with pytest.raises(TrainingError, match="without source validation rows"):
        train(replace(pair(), validation=np.arange(0)), make_config("mlp", selection="iwv"), [1])
    with pytest.raises(TrainingError, match="word ids"):
        TargetScores(pair("words"), "iwv", trainable(pair("words"), make_config("mean_linear"), [1])[0])
    with pytest.raises(ConfigError, match="head linear has none"):
        make_config("linear", selection="dev")
    with pytest.raises(ConfigError, match="with context dialogue"):
        make_config("bilstm", selection="entropy", context="dialogue")
    toy = replace(pair(), validation=np.arange(0))
    (trained,) = train(toy, make_config("mlp", selection="entropy", **SMALL), [1])
    assert "validation_UA" not in trained.curves
    assert trained.best_epoch == np.argmax(trained.curves["selection_entropy"]) + 1
    assert all(account(name) for name in (*SOURCE, *TARGET))
    assert account("oracle").startswith("ORACLE")
