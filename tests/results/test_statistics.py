"""Intervals against tables, SciPy and simulation."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import precision_recall_fscore_support

from ser.errors import TrainingError
from ser.jsonfile import plain
from ser.results.metrics import intervals, measures


def test_describe_by_hand() -> None:
    found = intervals.describe([0.6, 0.7, 0.8])
    assert found["mean"] == pytest.approx(0.7)
    assert found["std"] == pytest.approx(0.1)
    half = 4.302653 * 0.1 / 3**0.5  # Student's t with 2 degrees of freedom, 97.5 %, from a printed table
    assert found["ci_95"] == pytest.approx([0.7 - half, 0.7 + half], abs=1e-6)
    assert (found["n"], found["values"]) == (3, [0.6, 0.7, 0.8])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_describe_equals_scipy(values: list[float]) -> None:
    found = intervals.describe(values)
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    if found["std"] > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert found["ci_95"] == pytest.approx(list(expected))


def test_quantiles_are_those_of_scipy_in_the_table_and_beyond_it() -> None:
    degrees = range(1, len(intervals.T_975) + 3)
    expected = [float(special.stdtrit(n, 0.975)) for n in degrees]
    assert [intervals.student_t(n) for n in degrees] == pytest.approx(
        expected, rel=1e-10
    )  # 1e-15 with SciPy 1.17, whose quantiles are exact


def test_one_value_has_no_deviation() -> None:
    assert plain(intervals.describe([0.5])) == {"mean": 0.5, "std": None, "ci_95": None, "n": 1, "values": [0.5]}


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")], [[0.5]]])
def test_describe_refuses(values: list[float]) -> None:
    with pytest.raises(TrainingError):
        intervals.describe(values)


def test_tally_equals_a_loop() -> None:
    random = np.random.default_rng(0)
    a, b, c = (random.integers(0, size, 200) for size in (3, 4, 5))
    expected = np.zeros((3, 4, 5), dtype=np.int64)
    for i, j, k in zip(a, b, c, strict=True):
        expected[i, j, k] += 1
    np.testing.assert_array_equal(measures.tally((3, 4, 5), a, b, c), expected)


def interval(truth: Any, guess: Any, k: int, clusters: Any, metric: str, **options: Any) -> list[float] | None:
    """Of one metric on one set of predictions, clusters drawn again."""
    names, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    counts = measures.tally((len(names), k, k), cluster, np.asarray(truth), np.asarray(guess))
    found = intervals.cluster_intervals(counts[:, None], measures.MEASURES["emotion"], **options)
    return None if found is None else found[metric]


def test_bootstrap_equals_a_plain_one_and_scipys() -> None:
    """The same interval, within the noise of resampling, as drawing speakers one by one and concatenating their rows."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 240)
    speaker = np.repeat(np.arange(12), 20)
    skill = random.uniform(0.2, 0.9, 12)[speaker]
    guess = np.where(random.random(240) < skill, truth, random.integers(0, 3, 240))
    found = interval(truth, guess, 3, speaker, "WA", resamples=4000)
    right = [(truth == guess)[speaker == s].mean() for s in range(12)]  # equal sizes: WA is the mean over speakers
    plain = [np.mean(random.choice(right, 12)) for _ in range(4000)]
    assert found is not None
    assert found == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)
    theirs = stats.bootstrap((right,), np.mean, method="percentile", n_resamples=4000, rng=random).confidence_interval
    assert found == pytest.approx([theirs.low, theirs.high], abs=0.02)


def test_bootstrap_of_rows_by_scikit_learn() -> None:
    """Speakers of unequal size, over two runs: rows of the drawn speakers concatenated, scored by scikit-learn."""
    random = np.random.default_rng(2)
    speaker = np.repeat(np.arange(8), [5, 10, 15, 20, 25, 30, 35, 40])
    truth = random.integers(0, 3, len(speaker))
    guess = [np.where(random.random(len(truth)) < 0.6, truth, random.integers(0, 3, len(truth))) for _ in range(2)]
    counts = np.stack([measures.tally((8, 3, 3), speaker, truth, g) for g in guess], axis=1)
    found = intervals.cluster_intervals(counts, measures.MEASURES["emotion"], resamples=3000, seed=4)
    assert found is not None
    values = []
    for _ in range(600):
        rows = np.concatenate([np.flatnonzero(speaker == s) for s in random.integers(0, 8, 8)])
        each = [precision_recall_fscore_support(truth[rows], g[rows], average="macro", zero_division=0) for g in guess]
        values.append(np.mean([e[1:3] for e in each], axis=0))
    low, high = np.quantile(values, [0.025, 0.975], axis=0)
    for k, metric in enumerate(("UA", "Macro_F1")):
        assert found[metric] == pytest.approx([low[k], high[k]], abs=0.025)


def test_bootstrap_of_equal_speakers_is_a_point_and_of_one_is_none() -> None:
    truth, guess = [0, 0, 1, 1] * 5, [0, 1, 1, 1] * 5
    speakers = np.repeat(np.arange(5), 4)
    for metric, value in (("UA", 0.75), ("WA", 0.75)):
        assert interval(truth, guess, 2, speakers, metric) == pytest.approx([value, value])
    assert interval(truth, guess, 2, np.zeros(20), "UA") is None


def test_the_interval_over_speakers_is_wider_than_over_utterances_when_speakers_differ() -> None:
    truth = np.zeros(400, dtype=int)
    guess = np.repeat([0, 1, 0, 1, 0, 0, 1, 0], 50)
    speakers = np.repeat(np.arange(8), 50)
    wide = interval(truth, guess, 2, speakers, "WA")
    narrow = interval(truth, guess, 2, np.arange(400), "WA")
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_bootstrap_is_repeatable() -> None:
    arguments = ([0, 1, 1, 0], [0, 1, 0, 0], 2, ["x", "x", "y", "y"], "UA")
    assert interval(*arguments, seed=3) == interval(*arguments, seed=3)
