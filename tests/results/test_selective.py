"""Abstention: curves by hand, thresholds, and what ties and orders may not change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ser.results.metrics import abstention

CONFIDENCE = np.array([0.5, 0.9, 0.7, 0.6])
RIGHT = np.array([False, True, False, True])


def test_the_curve_by_hand() -> None:
    # the surest first: right, wrong, right, wrong
    assert abstention.risk_curve(CONFIDENCE, RIGHT).tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert abstention.aurc(CONFIDENCE, RIGHT) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2) / 4)
    best = (0 + 0 + 1 / 3 + 2 / 4) / 4  # both right ones first
    assert abstention.excess_aurc(CONFIDENCE, RIGHT) == pytest.approx(abstention.aurc(CONFIDENCE, RIGHT) - best)
    assert abstention.accuracy_at(CONFIDENCE, RIGHT, 0.5) == 0.5
    assert abstention.accuracy_at(CONFIDENCE, RIGHT, 1.0) == 0.5
    assert abstention.accuracy_at(CONFIDENCE, RIGHT, 0.01) == 1.0


def test_thresholds_take_the_largest_coverage_and_all_of_a_tie() -> None:
    assert abstention.threshold(CONFIDENCE, RIGHT, 0.0) == 0.9
    assert abstention.threshold(CONFIDENCE, RIGHT, 0.34) == 0.6  # a third of three, past the half of two
    assert abstention.threshold(CONFIDENCE, RIGHT, 0.5) == 0.5
    assert abstention.coverage_at(CONFIDENCE, RIGHT, 0.34) == 0.75
    assert abstention.threshold(CONFIDENCE, ~RIGHT, 0.2) == np.inf
    assert abstention.coverage_at(CONFIDENCE, ~RIGHT, 0.2) == 0
    tied = np.array([0.9, 0.9, 0.1])
    assert abstention.threshold(tied, np.array([True, False, True]), 0.2) == np.inf


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30), st.integers(0, 1000))
def test_order_is_nothing_and_ties_count_as_on_average(pairs: list[tuple[int, bool]], seed: int) -> None:
    confidence = np.array([c / 5 for c, _ in pairs])
    right = np.array([r for _, r in pairs])
    shuffled = np.random.default_rng(seed).permutation(len(pairs))
    curve = abstention.risk_curve(confidence, right)
    np.testing.assert_allclose(abstention.risk_curve(confidence[shuffled], right[shuffled]), curve, atol=1e-12)
    assert curve[-1] == pytest.approx(1 - right.mean())
    assert abstention.excess_aurc(confidence, right) >= -1e-12
    if len(set(confidence)) == 1:
        np.testing.assert_allclose(curve, 1 - right.mean())
    for risk in (0.0, 0.3, 1.0):
        limit = abstention.threshold(confidence, right, risk)
        answered = confidence >= limit
        assert not answered.any() or 1 - right[answered].mean() <= risk + 1e-9
        for level in np.unique(confidence[confidence < limit]):
            assert 1 - right[confidence >= level].mean() > risk
