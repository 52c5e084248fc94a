"""Intervals against tables, SciPy and simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ser.errors import TrainingError
from ser.results import statistics


def test_describe_by_hand() -> None:
    found = statistics.describe([0.6, 0.7, 0.8])
    assert found["mean"] == pytest.approx(0.7)
    assert found["std"] == pytest.approx(0.1)
    half = 4.302653 * 0.1 / 3**0.5  # Student's t with 2 degrees of freedom, 97.5 %, from a printed table
    assert found["ci_95"] == pytest.approx([0.7 - half, 0.7 + half], abs=1e-6)
    assert (found["n"], found["values"]) == (3, [0.6, 0.7, 0.8])


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_describe_equals_scipy(values: list[float]) -> None:
    found = statistics.describe(values)
    assert found["std"] == pytest.approx(np.std(values, ddof=1))
    if found["std"] > 1e-9:
        expected = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert found["ci_95"] == pytest.approx(list(expected))


def test_one_value_has_no_deviation() -> None:
    assert statistics.describe([0.5]) == {"mean": 0.5, "std": None, "ci_95": None, "n": 1, "values": [0.5]}


@pytest.mark.parametrize("values", [[], [0.5, float("nan")], [float("inf")], [[0.5]]])
def test_describe_refuses(values: list[float]) -> None:
    with pytest.raises(TrainingError):
        statistics.describe(values)


def test_tally_equals_a_loop() -> None:
    random = np.random.default_rng(0)
    a, b, c = (random.integers(0, size, 200) for size in (3, 4, 5))
    expected = np.zeros((3, 4, 5), dtype=np.int64)
    for i, j, k in zip(a, b, c, strict=True):
        expected[i, j, k] += 1
    np.testing.assert_array_equal(statistics.tally((3, 4, 5), a, b, c), expected)


def test_bootstrap_equals_a_plain_one() -> None:
    """The same interval, within the noise of resampling, as drawing speakers one by one and concatenating their rows."""
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 240)
    speaker = np.repeat(np.arange(12), 20)
    skill = random.uniform(0.2, 0.9, 12)[speaker]
    guess = np.where(random.random(240) < skill, truth, random.integers(0, 3, 240))
    found = statistics.bootstrap(truth, guess, ["a", "b", "c"], speaker, "WA", resamples=4000)
    right = [(truth == guess)[speaker == s].mean() for s in range(12)]  # equal sizes: WA is the mean over speakers
    plain = [np.mean(random.choice(right, 12)) for _ in range(4000)]
    assert found is not None
    assert found == pytest.approx(np.quantile(plain, [0.025, 0.975]), abs=0.02)


def test_bootstrap_of_equal_speakers_is_a_point_and_of_one_is_none() -> None:
    truth, guess = [0, 0, 1, 1] * 5, [0, 1, 1, 1] * 5
    speakers = np.repeat(np.arange(5), 4)
    for metric, value in (("UA", 0.75), ("WA", 0.75)):
        assert statistics.bootstrap(truth, guess, ["a", "b"], speakers, metric) == pytest.approx([value, value])
    assert statistics.bootstrap(truth, guess, ["a", "b"], np.zeros(20), "UA") is None


def test_the_interval_over_speakers_is_wider_than_over_utterances_when_speakers_differ() -> None:
    truth = np.zeros(400, dtype=int)
    guess = np.repeat([0, 1, 0, 1, 0, 0, 1, 0], 50)
    speakers = np.repeat(np.arange(8), 50)
    wide = statistics.bootstrap(truth, guess, ["a", "b"], speakers, "WA")
    narrow = statistics.bootstrap(truth, guess, ["a", "b"], np.arange(400), "WA")
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_bootstrap_is_repeatable_and_refuses_an_unknown_metric() -> None:
    arguments = ([0, 1, 1, 0], [0, 1, 0, 0], ["a", "b"], ["x", "x", "y", "y"])
    assert statistics.bootstrap(*arguments, seed=3) == statistics.bootstrap(*arguments, seed=3)
    with pytest.raises(ValueError, match="unknown metric"):
        statistics.bootstrap(*arguments, "UAR")
    with pytest.raises(ValueError, match="clusters"):
        statistics.bootstrap([0], [0], ["a", "b"], ["x", "y"])
