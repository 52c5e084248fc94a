"""Calibration against hand-derived values, SciPy and scikit-learn, and against samplers whose truth is known."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.metrics import brier_score_loss, log_loss

from ser.errors import TrainingError
from ser.results.metrics import calibration, evaluation


def sampled(n: int, k: int, seed: int, sharp: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their own softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    z = sharp * rng.normal(size=(n, k))
    p = softmax(z, axis=1)
    return z, (p.cumsum(1) < rng.random((n, 1))).sum(1)


@pytest.mark.parametrize("factor", [0.25, 0.5, 1.0, 2.0, 5.0])
def test_the_temperature_that_logits_were_scaled_by_is_found(factor: float) -> None:
    z, y = sampled(20000, 5, 1)
    own = calibration.fit_temperature(z, y)
    assert own == pytest.approx(1, abs=0.03)
    assert calibration.fit_temperature(z * factor, y) == pytest.approx(own * factor, rel=1e-5)
    p = softmax(z * factor, axis=1)
    assert calibration.fit_temperature(calibration.logits_of(p), y) == pytest.approx(own * factor, rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8), st.floats(0.2, 4))
def test_the_temperature_minimises_what_scipy_minimises(seed: int, k: int, sharp: float) -> None:
    rng = np.random.default_rng(seed)
    z, y = sharp * rng.normal(size=(60, k)), rng.integers(0, k, 60)
    z[np.arange(60), y] += rng.exponential(size=60)

    def nll(log_t: float) -> float:
        return float(-log_softmax(z / np.exp(log_t), axis=1)[np.arange(60), y].mean())

    low, high = np.log(calibration.LOWEST), np.log(calibration.HIGHEST)
    other = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    assert nll(np.log(calibration.fit_temperature(z, y))) <= other.fun + 1e-9


def test_a_temperature_for_votes_is_that_for_the_label_of_each_vote() -> None:
    rng = np.random.default_rng(4)
    z = 3 * rng.normal(size=(50, 4))
    votes = np.stack([rng.multinomial(10, row) for row in softmax(z / 2, axis=1)])
    label_of_each = np.concatenate([np.repeat(np.arange(4), row) for row in votes])
    soft = calibration.fit_temperature(z, votes / 10)
    assert soft == pytest.approx(calibration.fit_temperature(np.repeat(z, 10, axis=0), label_of_each))

    def cross_entropy(log_t: float) -> float:
        return float(-(votes / 10 * log_softmax(z / np.exp(log_t), axis=1)).sum(1).mean())

    bounds = (np.log(calibration.LOWEST), np.log(calibration.HIGHEST))
    other = minimize_scalar(cross_entropy, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    assert cross_entropy(np.log(soft)) <= other.fun + 1e-9
    assert soft != pytest.approx(calibration.fit_temperature(z, votes.argmax(1)), rel=0.1)


def test_the_ends_of_the_temperature_are_told() -> None:
    z = np.array([[5.0, 0.0], [0.0, 5.0]])
    assert calibration.fit_temperature(z, np.array([0, 1])) == calibration.LOWEST
    assert calibration.fit_temperature(z, np.array([1, 0])) == calibration.HIGHEST
    assert calibration.is_bound(calibration.LOWEST)
    assert not calibration.is_bound(1.0)
    with pytest.raises(ValueError, match="there are none"):
        calibration.fit_temperature(z[:0], np.array([], dtype=np.int64))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.floats(0.1, 10))
def test_scores_are_those_of_scikit_learn_and_a_temperature_keeps_the_order(seed: int, k: int, t: float) -> None:
    z, y = sampled(50, k, seed)
    p = softmax(z, axis=1)
    assert calibration.nll(p, y) == pytest.approx(log_loss(y, p, labels=np.arange(k)))
    of_each = [brier_score_loss(y == c, p[:, c]) for c in range(k)]
    assert calibration.brier(p, y) == pytest.approx(np.sum(of_each))
    other = calibration.scaled(p, t)
    np.testing.assert_allclose(other, softmax(z / t, axis=1), atol=1e-9)
    np.testing.assert_array_equal(np.argsort(other, axis=1), np.argsort(p, axis=1))


def test_a_probability_of_nothing_costs_what_float32_can_say() -> None:
    p = np.array([[1.0, 0.0]])
    assert calibration.nll(p, np.array([1])) == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_bins_hold_equally_many_and_ece_is_their_weighted_gap() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), 100)
    y = rng.integers(0, 3, 100)
    curve = calibration.reliability(p, y, 15)
    assert curve["n"].sum() == 100
    assert np.ptp(curve["n"]) == 1
    order = np.argsort(p.max(1), kind="stable")
    total = 0.0
    for part in np.array_split(order, 15):
        total += len(part) / 100 * abs(p.max(1)[part].mean() - (p.argmax(1) == y)[part].mean())
    assert calibration.ece(p, y, 15) == pytest.approx(total)
    by_hand = np.array([[0.6, 0.4], [0.7, 0.3], [0.9, 0.1], [0.8, 0.2]])  # bins: .6 .7 (1 of 2 right), .8 .9 (both right)
    assert calibration.ece(by_hand, np.array([0, 1, 0, 0]), 2) == pytest.approx((abs(0.65 - 0.5) + abs(0.85 - 1)) / 2)
    assert len(calibration.reliability(by_hand, np.array([0, 1, 0, 0]), 15)["n"]) == 4


def test_a_calibrated_sampler_has_an_ece_that_goes_to_nothing() -> None:
    small, large = ([calibration.ece(softmax(z, 1), y) for z, y in (sampled(n, 4, s) for s in range(8))] for n in (500, 32000))
    assert np.mean(large) < 0.01
    assert np.mean(small) / np.mean(large) == pytest.approx(8, rel=0.4)  # falls with the root of n: 64 times as many
    z, y = sampled(32000, 4, 9)
    assert calibration.ece(softmax(3 * z, 1), y) > 0.1


@pytest.mark.parametrize("n", [150, 1500])
def test_the_ece_of_a_calibrated_head_is_what_chance_says(n: int) -> None:
    pairs = [(softmax(z, 1), y) for z, y in (sampled(n, 4, s) for s in range(60))]
    found = np.mean([calibration.ece(p, y) for p, y in pairs])
    assert found == pytest.approx(np.mean([calibration.chance_ece(p) for p, _ in pairs]), rel=0.1)


def test_the_order_of_equal_confidences_is_nothing() -> None:
    """Bins that keep equal confidences together (get_ece_em of uncertainty-calibration 0.1.4) give the same 0.1."""
    p, y = np.tile([0.7, 0.3], (100, 1)), np.repeat([0, 1], [60, 40])
    assert calibration.ece(p, y) == pytest.approx(0.1)  # 15 bins of right and of wrong answers alone would have 0.44
    assert calibration.chance_ece(p) == pytest.approx(np.sqrt(2 / np.pi * 0.7 * 0.3 / 100))
    rng = np.random.default_rng(0)
    c = rng.choice([0.5, 0.6, 0.9], 100)
    p, right = np.stack([c, 1 - c], 1), np.where(rng.random(100) < c, 0, 1)
    curve = calibration.reliability(p, right)
    for order in (np.argsort(right), rng.permutation(100)):
        for name, values in calibration.reliability(p[order], right[order]).items():
            np.testing.assert_allclose(values, curve[name], atol=1e-12)
    drawn = [calibration.ece(p, np.where(rng.random(100) < c, 0, 1)) for _ in range(2000)]
    assert calibration.chance_ece(p) == pytest.approx(np.mean(drawn), rel=0.05)


def frame_of(z: np.ndarray, y: np.ndarray, split: str, fold: str = "1", run: int = 0) -> pd.DataFrame:
    classes = [f"c{k}" for k in range(z.shape[1])]
    p = softmax(z, axis=1)
    return pd.DataFrame(
        {
            "utterance_id": [f"{split}{fold}-{i}" for i in range(len(y))],
            "run": run,
            "fold": fold,
            "split": split,
            "true": np.array(classes)[y],
            "predicted": np.array(classes)[p.argmax(1)],
            "speaker": [f"s{i % 5}" for i in range(len(y))],
            "gender": ["female" if i % 5 < 2 else "male" for i in range(len(y))],
            **{f"p_{c}": p[:, k].astype(np.float32) for k, c in enumerate(classes)},
        }
    )


def test_each_fold_has_its_own_temperature_and_test_labels_touch_none() -> None:
    classes = ["c0", "c1", "c2"]
    (z, y), (zt, yt) = sampled(600, 3, 1), sampled(400, 3, 2)
    held = pd.concat([frame_of(z, y, "validation"), frame_of(4 * z, y, "validation", "2")])
    found = evaluation.fit_temperatures(held, classes)
    assert found[0, "2"] == pytest.approx(4 * found[0, "1"], rel=1e-3)
    test = pd.concat([frame_of(zt, yt, "test"), frame_of(4 * zt, yt, "test", "2")], ignore_index=True)
    numbers = evaluation.evaluation_numbers(test, held, classes, True, found)
    before, after = (numbers.probabilities[s] for s in ("uncalibrated", "calibrated"))
    assert after["NLL"]["mean"] < before["NLL"]["mean"]
    assert after["ECE"]["mean"] < before["ECE"]["mean"]
    change = numbers.probabilities.change
    assert change["NLL"]["mean"] == pytest.approx(after["NLL"]["mean"] - before["NLL"]["mean"])
    permuted = test.assign(true=np.random.default_rng(0).permutation(test["true"].to_numpy()))
    other = evaluation.calibrated(permuted, classes, evaluation.fit_temperatures(held, classes))
    columns = [f"p_{c}" for c in classes]
    pd.testing.assert_frame_equal(other[columns], evaluation.calibrated(test, classes, found)[columns])
    shown = evaluation.evaluation_numbers(permuted, held, classes, True, found).selective.from_validation
    coverage = {r: v["coverage"] for r, v in numbers.selective.from_validation.items()}
    assert {r: v["coverage"] for r, v in shown.items()} == coverage  # thresholds are of validation alone


def test_a_fold_without_validation_is_an_error() -> None:
    z, y = sampled(50, 3, 1)
    classes = ["c0", "c1", "c2"]
    found = evaluation.fit_temperatures(frame_of(z, y, "validation"), classes)
    with pytest.raises(TrainingError, match="run 0, fold 2"):
        evaluation.calibrated(frame_of(z, y, "test", "2"), classes, found)
    with pytest.raises(TrainingError, match="no validation"):
        evaluation.fit_temperatures(pd.DataFrame(), classes)


def test_heads_that_predict_the_same_utterances_are_units() -> None:
    z, y = sampled(200, 3, 3)
    both = pd.concat(
        [
            frame_of(z, y, "test"),
            frame_of(2 * z, y, "test", "2").assign(utterance_id=lambda f: f["utterance_id"].str.replace("test2", "test1")),
        ]
    )
    numbers = evaluation.evaluation_numbers(both.reset_index(drop=True), None, ["c0", "c1", "c2"], False, None)
    assert numbers.scores["UA"]["n"] == 2
    assert numbers.probabilities.calibrated is None
    values = numbers.probabilities.uncalibrated["NLL"]["values"]
    each = [calibration.nll(softmax(f * z, 1).astype(np.float32).astype(float), y) for f in (1, 2)]
    assert values == pytest.approx(each, rel=1e-5)
