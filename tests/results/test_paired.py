"""The paired comparison against SciPy, by hand, and on null data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import permutation_test

from ser.errors import TrainingError
from ser.jsonfile import plain
from ser.results.metrics.classification import scores
from ser.results.statistics.paired import compare, difference_interval, holm
from ser.results.statistics.permutation import joint_test, observed_difference, shuffle_test, swap_test, variances

Simulate = Callable[..., pd.DataFrame]
CLASSES = ["anger", "happiness", "neutral", "sadness"]


def counts(hits: NDArray[Any], trials: int) -> NDArray[np.int64]:
    """Confusion counts of one class pair: `hits (units, runs)` of `trials` right in each of two classes."""
    found = np.zeros((*hits.shape, 2, 2), dtype=np.int64)
    for k in range(2):
        found[..., k, k], found[..., k, 1 - k] = hits, trials - hits
    return found


@pytest.mark.parametrize("metric", ["UA", "WA"])
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_an_exact_p_value_is_scipys(metric: str, shift: int) -> None:
    random = np.random.default_rng(shift)
    a, b = random.integers(5, 16, (2, 9, 3))
    a = a + shift
    ours = swap_test(counts(a, 20), counts(b, 20), metric)

    def mean_difference(x: Any, y: Any, axis: int) -> Any:
        return np.mean(x - y, axis=axis)

    pairs = (a.mean(1) / 20, b.mean(1) / 20)
    theirs = permutation_test(
        pairs, mean_difference, permutation_type="samples", vectorized=True, n_resamples=np.inf, alternative="two-sided"
    )
    assert ours == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("metric", ["UA", "WA"])
def test_draws_of_what_each_model_adds_are_those_of_whole_counts(metric: str) -> None:
    """Counts that are not integers are added up before they are scored: the longer way to the same p."""
    random = np.random.default_rng(4)
    truth = random.multinomial(20, [0.5, 0.3, 0.2, 0.0], size=14)[:, None]  # classes that units lack, and one that all lack
    a, b = (
        random.multinomial(np.broadcast_to(truth, (14, 3, 4)), np.eye(4) * odds + (1 - odds) / 4).astype(np.int64)
        for odds in (0.4, 0.25)
    )
    for test in (swap_test, shuffle_test):
        for units in (5, 14):  # swaps of five units are not drawn: all are taken
            one, other = a[:units], b[:units]
            p = test(one, other, metric, permutations=499)
            assert p == test(one.astype(float), other.astype(float), metric, permutations=499)
            assert 0 < p < 1
    where = np.arange(14) % 3
    p = joint_test(a, b, np.arange(14), where, metric, permutations=499)
    assert p == joint_test(a.astype(float), b.astype(float), np.arange(14), where, metric, permutations=499)


def test_a_drawn_p_value_is_near_the_exact_one_and_never_0() -> None:
    random = np.random.default_rng(1)
    a, b = counts(random.integers(5, 16, (12, 2)), 20), counts(random.integers(5, 14, (12, 2)), 20)
    exact = swap_test(a, b, permutations=2**12)
    assert swap_test(a, b, permutations=2**12 - 1, seed=5) == pytest.approx(exact, abs=0.02)
    best, worst = counts(np.full((40, 2), 20), 20), counts(np.zeros((40, 2), dtype=int), 20)
    assert swap_test(best, worst, permutations=999) == 1 / 1000
    assert swap_test(best, best) == 1.0


@pytest.mark.parametrize("shift", [0, 2, 5])
def test_exchanged_models_give_scipys_p_value(shift: int) -> None:
    random = np.random.default_rng(shift)
    a, b = random.integers(5, 16, (2, 1, 5))
    a = a + shift

    def mean_difference(x: Any, y: Any, axis: int) -> Any:
        return np.mean(x, axis=axis) - np.mean(y, axis=axis)

    theirs = permutation_test(
        (a[0] / 20, b[0] / 20), mean_difference, permutation_type="independent", vectorized=True, n_resamples=np.inf
    )
    assert shuffle_test(counts(a, 20), counts(b, 20)) == pytest.approx(theirs.pvalue, abs=0.02)


def test_with_one_run_models_are_swapped() -> None:
    random = np.random.default_rng(2)
    a, b = (counts(random.integers(5, 16, (8, 1)), 20) for _ in range(2))
    assert shuffle_test(a, b) == pytest.approx(swap_test(a, b), abs=0.02)


def test_five_units_cannot_be_significant() -> None:
    best, worst = counts(np.full((5, 1), 20), 20), counts(np.zeros((5, 1), dtype=int), 20)
    assert swap_test(best, worst) == 2 / 2**5


def test_one_in_twenty_null_comparisons_has_a_p_below_5_percent() -> None:
    """The test's size: both systems are draws of one law, units have difficulties of their own."""
    random = np.random.default_rng(0)
    p = []
    for k in range(500):
        difficulty = random.uniform(0.3, 0.8, (20, 1))
        a, b = (counts(random.binomial(15, difficulty, (20, 2)), 15) for _ in range(2))
        p.append(swap_test(a, b, permutations=199, seed=k))
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.075
    assert 0.40 < np.mean(np.array(p) <= 0.5) < 0.60


def luck(random: np.random.Generator, models: float, suits: float) -> list[NDArray[np.int64]]:
    """Two systems that are equal on average: 5 runs x 6 folds of 2 speakers; models have luck of their own, and each system
    suits some speakers better."""
    fold, difficulty, pair = np.arange(12) // 2, random.uniform(0.4, 0.7, (12, 1)), []
    for _ in range(2):
        model, own = random.normal(0, models, (6, 5))[fold], random.normal(0, suits, (12, 1))
        pair.append(counts(random.binomial(15, np.clip(difficulty + model + own, 0.02, 0.98)), 15))
    return pair


@pytest.mark.parametrize(("models", "suits"), [(0.0, 0.0), (0.06, 0.0), (0.0, 0.06), (0.06, 0.06)])
def test_the_joint_test_keeps_its_size_whatever_varies(models: float, suits: float) -> None:
    """400 null comparisons each: at most 5 %, give or take two standard errors."""
    random = np.random.default_rng(1)
    fold = np.arange(12) // 2
    p = [joint_test(*luck(random, models, suits), np.arange(12), fold, permutations=199, seed=k) for k in range(400)]
    assert 0.015 < (np.array(p) <= 0.05).mean() < 0.075


def test_the_larger_of_both_tests_alone_would_not() -> None:
    random = np.random.default_rng(1)
    fold, p = np.arange(12) // 2, []
    for k in range(300):
        pair = luck(random, 0.06, 0.08)
        folds = [np.stack([c[fold == f].sum(0) for f in range(6)]) for c in pair]
        alone = shuffle_test(folds[0], folds[1], permutations=199, seed=k)
        p.append((alone, swap_test(pair[0], pair[1], permutations=199, seed=k)))
    models, speakers = np.array(p).T
    assert (models <= 0.05).mean() > 0.075
    assert np.maximum(models, speakers).min() >= 0.005


def test_where_folds_are_speakers_the_joint_test_is_the_exact_swap() -> None:
    random = np.random.default_rng(5)
    a, b = (counts(random.integers(5, 16, (9, 3)), 20) for _ in range(2))
    assert joint_test(a, b, np.arange(9), np.arange(9)) == swap_test(a, b)
    shuffled = random.permutation(9)
    assert joint_test(a[shuffled], b[shuffled], shuffled, shuffled) == swap_test(a, b)


@pytest.mark.parametrize("metric", ["UA", "WA", "WF1", "Macro_F1"])
def test_without_differences_over_speakers_the_joint_test_is_the_deal(metric: str) -> None:
    """All speakers alike in each model: what a system does differently it does for all."""
    random = np.random.default_rng(6)
    a, b = (counts(np.repeat(random.integers(8, 14, (1, 6)), 12, 0), 20) for _ in range(2))
    fold = np.zeros(12, dtype=int)
    found = joint_test(a, b, np.arange(12), fold, metric, permutations=999)
    assert found == shuffle_test(a.sum(0)[None], b.sum(0)[None], metric, permutations=999)


def test_the_variances_add_up() -> None:
    """Means over many simulated pairs: models + speakers - cells is the variance of the difference itself."""
    random = np.random.default_rng(7)
    fold = np.arange(12) // 2
    pairs = [luck(random, 0.06, 0.06) for _ in range(400)]
    differences = [observed_difference(a, b, "UA") for a, b in pairs]
    parts = np.mean([variances(a, b, np.arange(12), fold, "UA") for a, b in pairs], axis=0)
    assert parts[0] + parts[1] - parts[2] == pytest.approx(np.var(differences), rel=0.2)
    assert parts.min() > 0.1 * np.var(differences)


def test_holm_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_interval_holds_the_true_difference_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    inside = 0
    for k in range(150):
        skill = random.normal(0, 0.05, (16, 1))
        a = counts(random.binomial(20, np.clip(0.65 + skill, 0, 1), (16, 3)), 20)
        b = counts(random.binomial(20, np.clip(0.55 + skill, 0, 1), (16, 3)), 20)
        low, high = difference_interval(a, b, resamples=200, seed=k)
        inside += low <= 0.1 <= high
    assert inside / 150 > 0.9


@pytest.fixture
def pair(simulate: Simulate) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A better and a worse system on the same utterances."""
    better = simulate(runs=4, folds=3, speakers=9, skill=2.5)
    worse = better.copy()
    random = np.random.default_rng(3)
    rows = random.random(len(worse)) < 0.3
    worse.loc[rows, "predicted"] = random.choice(CLASSES, int(rows.sum()))
    return better, worse


def test_the_difference_is_that_of_the_pooled_metric(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = pair
    found = compare(a, b.sample(frac=1, random_state=0), CLASSES, permutations=999)
    gaps = []
    for run in range(4):
        values = [f[(f["split"] == "test") & (f["run"] == run)] for f in pair]
        x, y = (scores(v["true"].to_numpy(), v["predicted"].to_numpy(), CLASSES)["UA"] for v in values)
        gaps.append(x - y)
    assert found["difference"] == pytest.approx(np.mean(gaps))
    low, high = found["ci_95"]
    assert low < found["difference"] < high
    assert found["tests"]["models"]["units"] == 12
    assert found["tests"]["speakers"]["units"] == 9
    assert found["p"] < 0.05
    assert found["effect_size"] > 1
    back = compare(b, a, CLASSES, permutations=999)
    assert back["difference"] == pytest.approx(-found["difference"])
    assert back["effect_size"] == pytest.approx(-found["effect_size"])


def test_equal_systems_do_not_differ(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    found = compare(pair[0], pair[0], CLASSES)
    assert (found["difference"], found["p"], found["effect_size"]) == (0.0, 1.0, None)


def test_copies_of_a_run_are_no_more_evidence(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    copies = []
    for frame in pair:
        one = frame[frame["run"] == 0]
        copies.append(pd.concat([one.assign(run=k) for k in range(5)], ignore_index=True))
    found = compare(copies[0], copies[1], CLASSES, permutations=999)
    assert found["tests"]["models"]["units"] == 3
    assert found["tests"]["models"]["p"] == pytest.approx(2 / 2**3, abs=0.05)
    assert compare(*(c.assign(speaker="") for c in copies), CLASSES)["ci_95"] is None


def test_one_system_without_luck_is_compared_model_by_model(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    """Five models, all better than one that has no seeds: under the null a coin thrown five times, 2 / 32."""
    better, worse = (f[f["fold"] == f["fold"].iloc[0]].assign(speaker="") for f in pair)
    varied = pd.concat([better, better[better["run"] == 0].assign(run=4)], ignore_index=True)
    constant = pd.concat([worse[worse["run"] == 0].assign(run=k) for k in range(5)], ignore_index=True)
    for a, b in ((varied, constant), (constant, varied)):
        found = compare(a, b, CLASSES)
        assert plain(found["tests"]["models"]) == {"p": 2 / 2**5, "units": 5}


def test_where_speakers_are_not_known_runs_are_compared(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = (f.assign(speaker="") for f in pair)
    found = compare(a, b, CLASSES, permutations=999)
    assert found["tests"]["speakers"] is None
    assert found["ci_95"][0] < found["difference"] < found["ci_95"][1]
    one = [f[(f["run"] == 0) & (f["fold"] == f["fold"].iloc[0])] for f in (a, b)]
    alone = compare(one[0], one[1], CLASSES)
    assert (alone["p"], alone["ci_95"], alone["effect_size"]) == (None, None, None)


def test_other_test_utterances_are_refused(pair: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    a, b = pair
    with pytest.raises(TrainingError, match="not tested on the same"):
        compare(a, b.iloc[:-1], CLASSES)
    other = b.copy()
    other.loc[other.index[-1], "true"] = "anger" if other["true"].iloc[-1] != "anger" else "sadness"
    with pytest.raises(TrainingError, match="another true"):
        compare(a, other, CLASSES)
    with pytest.raises(ValueError, match="unknown metric"):
        compare(a, b, CLASSES, "UAR")
